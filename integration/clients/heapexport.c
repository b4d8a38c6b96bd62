/*
 * heapexport.so, for LD_PRELOAD: answers VIDIOC_EXPBUF with a buffer of the heap $HEAP, of $BYTES bytes. So a program that exports
 * buffers of one video node and imports them into another, such as v4l2-ctl, imports buffers of a heap, itself unmodified.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/dma-heap.h>
#include <linux/videodev2.h>

static int export_from_heap(struct v4l2_exportbuffer *e)
{
	struct dma_heap_allocation_data data = { .len = strtoull(getenv("BYTES"), NULL, 0), .fd_flags = O_RDWR | O_CLOEXEC };
	char path[256];
	int heap;

	snprintf(path, sizeof(path), "/dev/dma_heap/%s", getenv("HEAP"));
	heap = open(path, O_RDONLY | O_CLOEXEC);
	if (heap < 0 || syscall(SYS_ioctl, heap, DMA_HEAP_IOCTL_ALLOC, &data) != 0) {
		fprintf(stderr, "heapexport: %s: %s\n", path, strerror(errno));
		exit(2);
	}
	close(heap);
	e->fd = (int)data.fd;
	return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if (request == VIDIOC_EXPBUF)
		return export_from_heap(arg);
	return (int)syscall(SYS_ioctl, fd, request, arg);
}
