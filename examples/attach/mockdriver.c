/*
 * mockdriver [--hold] DEVICE HEAP BYTES [HEAP BYTES]...: plays the driver of a device of the board. For each pair it allocates a buffer from
 * /dev/dma_heap/HEAP, attaches it to /dev/heapfs/DEVICE and prints what the device sees of it, or the error of a driver of its kind:
 *
 *	system 1048576: EFAULT
 *	linux,cma 1048576: 1 segment at 0x48000000+1048576
 *
 * With --hold the device keeps what it was given until the end of standard input; "heapfs buffers" shows it.
 *
 * Build: cc -o mockdriver mockdriver.c. Run: heapfs run --board imx8mq-evk -- ./mockdriver 38300000.video-codec system 1048576
 */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/dma-heap.h>

#include "../../include/heapfs.h"

static const char *name_of(int error)
{
	static char other[32];

	switch (error) {
	case EBADF: return "EBADF";
	case EFAULT: return "EFAULT";
	case EINVAL: return "EINVAL";
	case EIO: return "EIO";
	case ENOMEM: return "ENOMEM";
	}
	snprintf(other, sizeof(other), "error %d", error);
	return other;
}

static int open_in(const char *dir, const char *name)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		fprintf(stderr, "open %s: %s\n", path, strerror(errno));
		exit(2);
	}
	return fd;
}

static int alloc(const char *heap, unsigned long long bytes)
{
	struct dma_heap_allocation_data data = { .len = bytes, .fd_flags = O_RDWR | O_CLOEXEC };
	int fd = open_in("/dev/dma_heap", heap);

	if (ioctl(fd, DMA_HEAP_IOCTL_ALLOC, &data) != 0) {
		fprintf(stderr, "%s: DMA_HEAP_IOCTL_ALLOC: %s\n", heap, strerror(errno));
		exit(1);
	}
	close(fd);
	return (int)data.fd;
}

/* What the device sees, one line. */
static void show(int device, const struct heapfs_attach *a)
{
	struct heapfs_segment s;
	unsigned int i;

	printf("%u segment%s at", a->nsegs, a->nsegs == 1 ? "" : "s");
	for (i = 0; i < a->nsegs && i < 4; i++) {
		if (pread(device, &s, sizeof(s), (off_t)(HEAPFS_SEGMENTS(a->attach_id) + i * sizeof(s))) != sizeof(s)) {
			perror("pread");
			exit(1);
		}
		printf(" 0x%llx+%llu", (unsigned long long)s.addr, (unsigned long long)s.len);
	}
	printf("%s\n", i < a->nsegs ? " ..." : "");
}

int main(int argc, char **argv)
{
	int device, i, hold = argc > 1 && strcmp(argv[1], "--hold") == 0;

	argc -= hold;
	argv += hold;
	if (argc < 4 || argc % 2 != 0) {
		fprintf(stderr, "usage: mockdriver [--hold] DEVICE HEAP BYTES [HEAP BYTES]...\n");
		return 2;
	}
	device = open_in("/dev/heapfs", argv[1]);
	for (i = 2; i < argc; i += 2) {
		int buffer = alloc(argv[i], strtoull(argv[i + 1], NULL, 0));
		struct heapfs_attach a = { .fd = (unsigned int)buffer, .dir = HEAPFS_BIDIRECTIONAL };
		struct heapfs_detach d;

		printf("%s %s: ", argv[i], argv[i + 1]);
		if (ioctl(device, HEAPFS_ATTACH, &a) != 0) {
			printf("%s\n", name_of(errno));
			close(buffer);
			continue;
		}
		show(device, &a);
		/* The device has the buffer: its descriptor is not needed any more. */
		close(buffer);
		d.attach_id = a.attach_id;
		if (!hold && ioctl(device, HEAPFS_DETACH, &d) != 0) {
			perror("HEAPFS_DETACH");
			return 1;
		}
	}
	if (hold) {
		printf("held\n");
		fflush(stdout);
		while (getchar() != EOF)
			;
	}
	return 0;
}
