/*
 * exhaust HEAP SIZE: takes the whole of a heap's memory in buffers of SIZE bytes, again and again: what was freed can
 * be allocated again, what is mapped cannot, and an ALLOC that fails for want of a descriptor takes nothing.
 * Not for a heap of a real machine's memory.
 */
#include "check.h"

#include <sys/resource.h>

#define MOST 65536

static int buffers[MOST];

/* Allocates until ENOMEM; how many it got. */
static int fill(int heap, size_t size)
{
	int n = 0;

	while (n < MOST && (buffers[n] = alloc(heap, size)) >= 0)
		n++;
	CHECK(n < MOST && errno == ENOMEM);
	return n;
}

static void empty(int n)
{
	while (n > 0)
		CHECK(close(buffers[--n]) == 0);
}

static void raise_limit(struct rlimit *limit)
{
	CHECK(getrlimit(RLIMIT_NOFILE, limit) == 0);
	limit->rlim_cur = limit->rlim_max;
	CHECK(setrlimit(RLIMIT_NOFILE, limit) == 0);
}

static void without_descriptors(int heap, size_t size, struct rlimit limit)
{
	struct rlimit none = limit;
	struct dma_heap_allocation_data data;

	context("no free descriptor");
	none.rlim_cur = (rlim_t)lowest_free();
	CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
	for (int i = 0; i < 300; i++) {
		data = (struct dma_heap_allocation_data){ .len = size, .fd_flags = O_RDWR | O_CLOEXEC };
		CHECK_ERRNO(ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &data), EMFILE);
	}
	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

int main(int argc, char **argv)
{
	struct rlimit limit;
	unsigned char *kept;
	size_t size;
	int heap, full, n;

	if (argc != 3) {
		fprintf(stderr, "usage: exhaust HEAP SIZE\n");
		return 2;
	}
	heap = open_heap(argv[1], O_RDWR | O_CLOEXEC);
	size = strtoull(argv[2], NULL, 0);
	raise_limit(&limit);

	context("larger than any pool");
	CHECK_ERRNO(alloc(heap, 1ull << 62), ENOMEM);
	CHECK_ERRNO(alloc(heap, UINT64_MAX - 4095), ENOMEM); /* the largest that does not wrap */

	context("first fill");
	full = fill(heap, size);
	CHECK(full > 1);
	empty(full);

	for (int round = 0; round < 5; round++) {
		context("fill %d", round);
		n = fill(heap, size);
		CHECK(n == full);
		if (round == 2) { /* the newest first, then the oldest first */
			for (int i = 0; i < n; i++)
				CHECK(close(buffers[i]) == 0);
		} else {
			empty(n);
		}
	}

	context("one still mapped");
	n = fill(heap, size);
	CHECK(n == full);
	CHECK((kept = map_buffer(buffers[0], page_size())) != NULL);
	kept[0] = 0x6d;
	empty(n);
	n = fill(heap, size);
	CHECK(n == full - 1);
	CHECK(kept[0] == 0x6d);
	empty(n);
	CHECK(munmap(kept, page_size()) == 0);

	without_descriptors(heap, size, limit);
	context("after EMFILE");
	n = fill(heap, size);
	CHECK(n == full);
	empty(n);
	printf("exhaust: %d buffers of %zu bytes: ok\n", full, size);
	return 0;
}
