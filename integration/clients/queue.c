/*
 * queue NODE HEAP BYTES: gives a buffer of a heap to the driver of NODE, as programs of V4L2 and of DRM do, and prints a line for each
 * way: "single 0" or "planes EFAULT". The driver need not be one of that kind: what it says itself is ENOTTY then.
 */
#include <linux/videodev2.h>

#include "check.h"

/* include/uapi/drm/drm.h */
struct drm_prime_handle {
	uint32_t handle;
	uint32_t flags;
	int32_t fd;
};

#define DRM_IOCTL_PRIME_FD_TO_HANDLE _IOWR('d', 0x2e, struct drm_prime_handle)

static const char *answer(int ret)
{
	static char other[32];

	if (ret == 0)
		return "0";
	switch (errno) {
	case EBADF: return "EBADF";
	case EFAULT: return "EFAULT";
	case EINVAL: return "EINVAL";
	case EIO: return "EIO";
	case ENOMEM: return "ENOMEM";
	case ENOTTY: return "ENOTTY";
	}
	snprintf(other, sizeof(other), "errno %d", errno);
	return other;
}

int main(int argc, char **argv)
{
	struct v4l2_plane planes[2];
	struct v4l2_buffer b = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = V4L2_MEMORY_DMABUF };
	struct drm_prime_handle p = { 0 };
	int node, heap, fd;

	if (argc != 4) {
		fprintf(stderr, "usage: queue NODE HEAP BYTES\n");
		return 2;
	}
	node = open(argv[1], O_RDWR | O_CLOEXEC);
	if (node < 0) {
		fprintf(stderr, "open %s: %s\n", argv[1], strerror(errno));
		return 2;
	}
	heap = open_heap(argv[2], O_RDWR | O_CLOEXEC);
	fd = alloc(heap, strtoull(argv[3], NULL, 0));
	CHECK(fd >= 0);

	b.m.fd = fd;
	printf("single %s\n", answer(ioctl(node, VIDIOC_QBUF, &b)));

	memset(planes, 0, sizeof(planes));
	planes[0].m.fd = planes[1].m.fd = fd;
	b.type = V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE;
	b.m.planes = planes;
	b.length = 2;
	printf("planes %s\n", answer(ioctl(node, VIDIOC_QBUF, &b)));

	/* The driver uses no more of a plane than its length. */
	planes[0].length = planes[1].length = 4096;
	printf("short planes %s\n", answer(ioctl(node, VIDIOC_QBUF, &b)));

	b.memory = V4L2_MEMORY_MMAP;
	printf("mmap %s\n", answer(ioctl(node, VIDIOC_QBUF, &b)));

	p.fd = fd;
	printf("prime %s\n", answer(ioctl(node, DRM_IOCTL_PRIME_FD_TO_HANDLE, &p)));

	/* What is none of ours is the driver's. */
	b.memory = V4L2_MEMORY_DMABUF;
	b.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
	b.length = 0;
	b.m.fd = 0;
	printf("another file %s\n", answer(ioctl(node, VIDIOC_QBUF, &b)));
	b.m.fd = -1;
	printf("no file %s\n", answer(ioctl(node, VIDIOC_QBUF, &b)));
	return 0;
}
