// client HEAP: a program that uses the proposal of this folder where a kernel has it. It prints a line for each thing it tries.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/types.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct alloc {
	uint64_t len;
	uint32_t fd;
	uint32_t fd_flags;
	uint64_t heap_flags;
	// The proposal's.
	uint32_t max_pieces;
	uint32_t pieces;
};

#define ALLOC _IOWR('H', 0, struct alloc)
#define ONE_PIECE 1
#define INFO _IOR('H', 1, uint64_t)
#define UNKNOWN _IOR('H', 2, uint64_t)

static const char *result(int status)
{
	return status < 0 ? strerrorname_np(errno) : "ok";
}

static void try(int heap, const char *what, uint64_t flags, uint32_t max_pieces)
{
	struct alloc a = {.len = 5 << 20, .fd_flags = O_RDWR | O_CLOEXEC, .heap_flags = flags, .max_pieces = max_pieces};
	int status = ioctl(heap, ALLOC, &a);

	printf("%s: %s, %u pieces\n", what, result(status), a.pieces);
	if (status == 0)
		close(a.fd);
}

int main(int argc, char **argv)
{
	uint64_t longest = 0;
	char path[256];
	int heap, status;

	if (argc != 2)
		return 3;
	snprintf(path, sizeof(path), "/dev/dma_heap/%s", argv[1]);
	heap = open(path, O_RDONLY | O_CLOEXEC);
	if (heap < 0) {
		perror(path);
		return 1;
	}
	status = ioctl(heap, INFO, &longest);
	printf("info: %s, %llu bytes\n", result(status), (unsigned long long)longest);
	try(heap, "any", 0, 0);
	try(heap, "at most 5", 0, 5);
	try(heap, "at most 4", 0, 4);
	try(heap, "one piece", ONE_PIECE, 0);
	try(heap, "another flag", 2, 0);
	status = ioctl(heap, UNKNOWN, &longest);
	printf("unknown: %s\n", result(status));
	return 0;
}
