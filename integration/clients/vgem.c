/*
 * vgem HEAP SIZE [hold]: gives a buffer of the heap to the DRM driver vgem and gets it back.
 *
 * The bytes must be the same by every way in, and the buffer must live, untouched, as long as the driver has it: after the last
 * descriptor and the last mapping of this program are gone too, and while the same heap hands out further buffers.
 *
 * With "hold" it prints "imported" when only the driver holds the buffer, and "released" when nobody does, and waits for a line
 * of stdin each time.
 */
#include "check.h"

/* include/uapi/drm/drm.h, which not every machine has where programs are built */
struct drm_version {
	int version_major, version_minor, version_patchlevel;
	size_t name_len;
	char *name;
	size_t date_len;
	char *date;
	size_t desc_len;
	char *desc;
};

struct drm_gem_close {
	uint32_t handle, pad;
};

struct drm_prime_handle {
	uint32_t handle, flags;
	int32_t fd;
};

#define DRM_RDWR O_RDWR
#define DRM_CLOEXEC O_CLOEXEC
#define DRM_IOCTL_VERSION _IOWR('d', 0x00, struct drm_version)
#define DRM_IOCTL_GEM_CLOSE _IOW('d', 0x09, struct drm_gem_close)
#define DRM_IOCTL_PRIME_HANDLE_TO_FD _IOWR('d', 0x2d, struct drm_prime_handle)
#define DRM_IOCTL_PRIME_FD_TO_HANDLE _IOWR('d', 0x2e, struct drm_prime_handle)

static void pattern(unsigned char *p, size_t size, unsigned char seed)
{
	size_t i;

	for (i = 0; i < size; i++)
		p[i] = (unsigned char)(seed + i / 4096 * 7 + i);
}

static int has_pattern(const unsigned char *p, size_t size, unsigned char seed)
{
	size_t i;

	for (i = 0; i < size; i++)
		if (p[i] != (unsigned char)(seed + i / 4096 * 7 + i))
			return 0;
	return 1;
}

/* The driver's node, by its name. */
static int open_vgem(void)
{
	int i;

	for (i = 0; i < 16; i++) {
		char path[32], name[16] = "";
		struct drm_version version = { .name = name, .name_len = sizeof(name) - 1 };
		int fd;

		snprintf(path, sizeof(path), "/dev/dri/card%d", i);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (ioctl(fd, DRM_IOCTL_VERSION, &version) == 0 && strcmp(name, "vgem") == 0)
			return fd;
		close(fd);
	}
	fprintf(stderr, "no DRM device of vgem; modprobe vgem\n");
	exit(2);
}

static void say(const char *what)
{
	char line[16];

	puts(what);
	fflush(stdout);
	CHECK(fgets(line, sizeof(line), stdin) != NULL);
}

static uint32_t import(int card, int fd)
{
	struct drm_prime_handle prime = { .fd = fd };

	CHECK(ioctl(card, DRM_IOCTL_PRIME_FD_TO_HANDLE, &prime) == 0);
	return prime.handle;
}

static int export_handle(int card, uint32_t handle)
{
	struct drm_prime_handle prime = { .handle = handle, .flags = DRM_CLOEXEC | DRM_RDWR, .fd = -1 };

	CHECK(ioctl(card, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime) == 0);
	return prime.fd;
}

static void close_handle(int card, uint32_t handle)
{
	struct drm_gem_close gem = { .handle = handle };

	CHECK(ioctl(card, DRM_IOCTL_GEM_CLOSE, &gem) == 0);
}

int main(int argc, char **argv)
{
	int heap, card, fd, again, other, i, hold;
	struct stat before, after;
	unsigned char *p;
	uint32_t handle;
	size_t size;

	if (argc < 3) {
		fprintf(stderr, "usage: vgem HEAP SIZE [hold]\n");
		return 2;
	}
	hold = argc > 3;
	size = page_align(strtoull(argv[2], NULL, 0));
	card = open_vgem();
	heap = open_heap(argv[1], O_RDWR | O_CLOEXEC);

	/* No file of another kind is taken. */
	{
		struct drm_prime_handle prime = { .fd = heap };

		CHECK_ERRNO(ioctl(card, DRM_IOCTL_PRIME_FD_TO_HANDLE, &prime), EINVAL);
	}

	fd = alloc(heap, size);
	CHECK(fd >= 0);
	p = map_buffer(fd, size);
	CHECK(p != NULL);
	pattern(p, size, 3);
	CHECK(fstat(fd, &before) == 0);
	handle = import(card, fd);
	CHECK(import(card, fd) == handle);
	CHECK(munmap(p, size) == 0);
	CHECK(close(fd) == 0);
	if (hold)
		say("imported");

	/* Whatever the heap hands out now is other memory. */
	for (i = 0; i < 8; i++) {
		other = alloc(heap, size);
		CHECK(other >= 0);
		use_buffer(other, size, 0xa5);
		CHECK(close(other) == 0);
	}

	again = export_handle(card, handle);
	CHECK(fstat(again, &after) == 0);
	CHECK(before.st_ino == after.st_ino && before.st_dev == after.st_dev);
	CHECK(lseek(again, 0, SEEK_END) == (off_t)size);
	p = map_buffer(again, size);
	CHECK(p != NULL);
	CHECK(sync_buffer(again, DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW) == 0);
	CHECK(has_pattern(p, size, 3));
	CHECK(sync_buffer(again, DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW) == 0);
	CHECK(munmap(p, size) == 0);
	CHECK(close(again) == 0);
	close_handle(card, handle);
	if (hold)
		say("released");
	puts("vgem: ok");
	return 0;
}
