/*
 * vivid --device /dev/videoN --heap NAME --expect ok|EFAULT: has the test driver vivid capture into buffers of a heap
 * (V4L2_MEMORY_DMABUF).
 *
 * ok: frames arrive, and each is byte for byte the frame that the driver captures into memory of its own; the memory after the frame
 * and the buffers beside it stay as they are. EFAULT: QBUF refuses the buffer, as a driver does that needs contiguous memory and is
 * given scattered one.
 */
#include <linux/videodev2.h>
#include <poll.h>

#include "check.h"

#define WIDTH 640
#define HEIGHT 360
#define FRAMES 3
#define CANARY 0x5a

/* A test picture by its name in the driver's menu, and whether it has one colour only. */
static const struct picture {
	const char *name;
	int solid;
} pictures[] = {
	{ "100% Red", 1 },
	{ "16x16 Checkers", 0 },
	{ "75% Colorbar", 0 },
};

struct frame {
	int fd;
	size_t size;
	unsigned char *mem;
};

static int video;
static size_t image; /* bytes of a frame */

/* The control of a name, with its smallest and largest value. */
static struct v4l2_queryctrl control(const char *name)
{
	struct v4l2_queryctrl q = { .id = V4L2_CTRL_FLAG_NEXT_CTRL };

	while (ioctl(video, VIDIOC_QUERYCTRL, &q) == 0) {
		if (strcmp((const char *)q.name, name) == 0)
			return q;
		q.id |= V4L2_CTRL_FLAG_NEXT_CTRL;
	}
	fprintf(stderr, "no control \"%s\": not a device of vivid?\n", name);
	exit(2);
}

static void choose(const char *name, const char *item)
{
	struct v4l2_queryctrl q = control(name);
	int i;

	for (i = q.minimum; i <= q.maximum; i++) {
		struct v4l2_querymenu m = { .id = q.id, .index = (uint32_t)i };
		struct v4l2_control c = { .id = q.id, .value = i };

		if (ioctl(video, VIDIOC_QUERYMENU, &m) != 0 || strcmp((const char *)m.name, item) != 0)
			continue;
		CHECK(ioctl(video, VIDIOC_S_CTRL, &c) == 0);
		return;
	}
	fprintf(stderr, "control \"%s\" has no \"%s\"\n", name, item);
	exit(2);
}

static void set_format(void)
{
	struct v4l2_format format = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE };
	int input = 0;

	CHECK(ioctl(video, VIDIOC_S_INPUT, &input) == 0);
	format.fmt.pix.width = WIDTH;
	format.fmt.pix.height = HEIGHT;
	format.fmt.pix.pixelformat = V4L2_PIX_FMT_YUYV;
	format.fmt.pix.field = V4L2_FIELD_NONE;
	CHECK(ioctl(video, VIDIOC_S_FMT, &format) == 0);
	CHECK(format.fmt.pix.width == WIDTH && format.fmt.pix.height == HEIGHT);
	CHECK(format.fmt.pix.pixelformat == V4L2_PIX_FMT_YUYV);
	image = format.fmt.pix.sizeimage;
	CHECK(image >= WIDTH * HEIGHT * 2);
}

static int request(uint32_t memory, uint32_t count)
{
	struct v4l2_requestbuffers r = { .count = count, .type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = memory };

	if (ioctl(video, VIDIOC_REQBUFS, &r) != 0)
		return -1;
	CHECK(count == 0 || r.count >= count);
	return 0;
}

static int queue(uint32_t memory, uint32_t index, const struct frame *f)
{
	struct v4l2_buffer b = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = memory, .index = index };

	if (memory == V4L2_MEMORY_DMABUF) {
		b.m.fd = f->fd;
		b.length = (uint32_t)f->size;
	}
	return ioctl(video, VIDIOC_QBUF, &b);
}

static uint32_t dequeue(uint32_t memory)
{
	struct v4l2_buffer b = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = memory };
	struct pollfd p = { .fd = video, .events = POLLIN };

	CHECK(poll(&p, 1, 30000) == 1);
	CHECK(ioctl(video, VIDIOC_DQBUF, &b) == 0);
	CHECK(!(b.flags & V4L2_BUF_FLAG_ERROR));
	CHECK(b.bytesused == image);
	return b.index;
}

static void stream(int on)
{
	int type = V4L2_BUF_TYPE_VIDEO_CAPTURE;

	CHECK(ioctl(video, on ? VIDIOC_STREAMON : VIDIOC_STREAMOFF, &type) == 0);
}

/* A frame in the driver's own memory. */
static unsigned char *reference(void)
{
	struct v4l2_buffer b = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = V4L2_MEMORY_MMAP };
	unsigned char *copy = malloc(image);
	void *p;

	CHECK(copy != NULL);
	CHECK(request(V4L2_MEMORY_MMAP, FRAMES) == 0);
	for (b.index = 0; b.index < FRAMES; b.index++)
		CHECK(queue(V4L2_MEMORY_MMAP, b.index, NULL) == 0);
	stream(1);
	b.index = dequeue(V4L2_MEMORY_MMAP);
	CHECK(ioctl(video, VIDIOC_QUERYBUF, &b) == 0);
	p = mmap(NULL, b.length, PROT_READ, MAP_SHARED, video, b.m.offset);
	CHECK(p != MAP_FAILED);
	memcpy(copy, p, image);
	CHECK(munmap(p, b.length) == 0);
	stream(0);
	CHECK(request(V4L2_MEMORY_MMAP, 0) == 0);
	return copy;
}

static struct frame new_frame(int heap)
{
	struct frame f = { .size = page_align(image) };

	f.fd = alloc(heap, f.size);
	CHECK(f.fd >= 0);
	f.mem = map_buffer(f.fd, f.size);
	CHECK(f.mem != NULL);
	memset(f.mem, CANARY, f.size);
	return f;
}

static int untouched(const struct frame *f, size_t from)
{
	for (; from < f->size; from++)
		if (f->mem[from] != CANARY)
			return 0;
	return 1;
}

static void capture(int heap, const struct picture *picture)
{
	struct frame f[FRAMES], beside[FRAMES];
	unsigned char *wanted;
	size_t at;
	int i;

	context("%s", picture->name);
	choose("Test Pattern", picture->name);
	wanted = reference();
	for (at = 4; picture->solid && at < image; at++)
		CHECK(wanted[at] == wanted[at - 4]); /* a pair of pixels is 4 bytes */
	for (i = 0; i < FRAMES; i++) {
		f[i] = new_frame(heap);
		beside[i] = new_frame(heap);
	}
	CHECK(request(V4L2_MEMORY_DMABUF, FRAMES) == 0);
	for (i = 0; i < FRAMES; i++)
		CHECK(queue(V4L2_MEMORY_DMABUF, (uint32_t)i, &f[i]) == 0);
	stream(1);
	for (i = 0; i < FRAMES; i++) {
		struct frame *got = &f[dequeue(V4L2_MEMORY_DMABUF)];

		CHECK(sync_buffer(got->fd, DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ) == 0);
		CHECK(memcmp(got->mem, wanted, image) == 0);
		CHECK(untouched(got, image));
		CHECK(sync_buffer(got->fd, DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ) == 0);
	}
	stream(0);
	CHECK(request(V4L2_MEMORY_DMABUF, 0) == 0);
	for (i = 0; i < FRAMES; i++) {
		CHECK(untouched(&beside[i], 0));
		CHECK(munmap(f[i].mem, f[i].size) == 0 && close(f[i].fd) == 0);
		CHECK(munmap(beside[i].mem, beside[i].size) == 0 && close(beside[i].fd) == 0);
	}
	free(wanted);
}

static void refuse(int heap, int wanted)
{
	struct frame f = new_frame(heap);

	CHECK(request(V4L2_MEMORY_DMABUF, FRAMES) == 0);
	context("QBUF");
	errno = 0;
	CHECK(queue(V4L2_MEMORY_DMABUF, 0, &f) == -1);
	CHECK(errno == wanted);
	CHECK(untouched(&f, 0));
	CHECK(request(V4L2_MEMORY_DMABUF, 0) == 0);
	CHECK(munmap(f.mem, f.size) == 0 && close(f.fd) == 0);
}

int main(int argc, char **argv)
{
	const char *device = NULL, *name = NULL, *expect = "ok";
	size_t i;
	int heap;

	for (i = 1; i + 1 < (size_t)argc; i += 2) {
		if (strcmp(argv[i], "--device") == 0)
			device = argv[i + 1];
		else if (strcmp(argv[i], "--heap") == 0)
			name = argv[i + 1];
		else if (strcmp(argv[i], "--expect") == 0)
			expect = argv[i + 1];
		else
			break;
	}
	if (i != (size_t)argc || !device || !name || (strcmp(expect, "ok") != 0 && strcmp(expect, "EFAULT") != 0)) {
		fprintf(stderr, "usage: vivid --device /dev/videoN --heap NAME --expect ok|EFAULT\n");
		return 2;
	}
	video = open(device, O_RDWR | O_CLOEXEC);
	if (video < 0) {
		fprintf(stderr, "open %s: %s\n", device, strerror(errno));
		return 2;
	}
	heap = open_heap(name, O_RDWR | O_CLOEXEC);
	set_format();
	choose("OSD Text Mode", "None");
	if (strcmp(expect, "ok") == 0)
		for (i = 0; i < sizeof(pictures) / sizeof(pictures[0]); i++)
			capture(heap, &pictures[i]);
	else
		refuse(heap, EFAULT);
	printf("vivid: %s: ok\n", expect);
	return 0;
}
