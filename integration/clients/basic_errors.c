/* What an ALLOC refuses, and with which errno. */
#include "basic.h"

#include <termios.h>

static void check_refused(int heap)
{
	static const struct {
		const char *name;
		struct dma_heap_allocation_data data;
	} rows[] = {
		{ "fd is not 0", { .len = 4096, .fd = 1, .fd_flags = O_RDWR } },
		{ "fd is -1", { .len = 4096, .fd = ~0u, .fd_flags = O_RDWR } },
		{ "fd_flags with O_NONBLOCK", { .len = 4096, .fd_flags = O_RDWR | O_NONBLOCK } },
		{ "fd_flags with O_CREAT", { .len = 4096, .fd_flags = O_RDWR | O_CREAT } },
		{ "fd_flags with the highest bit", { .len = 4096, .fd_flags = 1u << 31 } },
		{ "fd_flags all but the good ones", { .len = 4096, .fd_flags = ~(uint32_t)(O_RDWR | O_CLOEXEC) } },
		{ "heap_flags 1", { .len = 4096, .fd_flags = O_RDWR, .heap_flags = 1 } },
		{ "heap_flags with the highest bit", { .len = 4096, .fd_flags = O_RDWR, .heap_flags = 1ull << 63 } },
		{ "len 0", { .len = 0, .fd_flags = O_RDWR } },
		{ "len that wraps by one", { .len = UINT64_MAX, .fd_flags = O_RDWR } },
		{ "len that wraps to the page", { .len = UINT64_MAX - 4094, .fd_flags = O_RDWR } },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dma_heap_allocation_data data = rows[i].data;
		int free_before = lowest_free();

		context("%s", rows[i].name);
		CHECK_ERRNO(ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &data), EINVAL);
		CHECK(lowest_free() == free_before);
	}
}

/* Only NR counts: 1 and more is EINVAL (not ENOTTY), whatever the magic, size and direction. */
static void check_other_commands(int heap)
{
	static const struct {
		const char *name;
		unsigned long cmd;
	} rows[] = {
		{ "H 1", _IOWR('H', 1, struct dma_heap_allocation_data) },
		{ "H 255", _IOWR('H', 255, struct dma_heap_allocation_data) },
		{ "H 1 without a struct", _IO('H', 1) },
		{ "SET_NAME_A", DMA_BUF_SET_NAME_A },
		{ "SET_NAME_B", DMA_BUF_SET_NAME_B },
		{ "EXPORT_SYNC_FILE", DMA_BUF_IOCTL_EXPORT_SYNC_FILE },
		{ "IMPORT_SYNC_FILE", DMA_BUF_IOCTL_IMPORT_SYNC_FILE },
		{ "SYNC_IOC_MERGE", SYNC_IOC_MERGE },
		{ "SYNC_IOC_FILE_INFO", SYNC_IOC_FILE_INFO },
		{ "TCGETS", TCGETS },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned char argument[256] = { 0 };

		context("command %s on a heap", rows[i].name);
		CHECK_ERRNO(ioctl(heap, rows[i].cmd, argument), EINVAL);
	}
	context("isatty");
	CHECK(isatty(heap) == 0); /* its errno is the C library's, not the kernel's */
}

/* Commands with NR 0 are ALLOCs, and what they do not carry in is zero. */
static void check_directions(int heap)
{
	struct dma_heap_allocation_data data = { .len = 4096, .fd_flags = O_RDWR | O_CLOEXEC };
	uint64_t sync;
	int expected;

	context("ALLOC that carries nothing in");
	CHECK_ERRNO(ioctl(heap, _IO('H', 0), &data), EINVAL);
	CHECK_ERRNO(ioctl(heap, _IOR('H', 0, struct dma_heap_allocation_data), &data), EINVAL);

	context("ALLOC that carries nothing out");
	data = (struct dma_heap_allocation_data){ .len = 4096, .fd_flags = O_RDWR | O_CLOEXEC };
	expected = lowest_free();
	CHECK(ioctl(heap, _IOW('H', 0, struct dma_heap_allocation_data), &data) == 0);
	CHECK(data.fd == 0);
	CHECK(is_open(expected));
	CHECK(close(expected) == 0);

	context("SYNC sent to a heap");
	sync = DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW;
	expected = lowest_free();
	CHECK(ioctl(heap, DMA_BUF_IOCTL_SYNC, &sync) == 0);
	CHECK(is_open(expected));
	CHECK(lseek(expected, 0, SEEK_END) == (off_t)page_size());
	CHECK((fcntl(expected, F_GETFL) & O_ACCMODE) == O_RDONLY);
	CHECK(close(expected) == 0);
	sync = 0;
	CHECK_ERRNO(ioctl(heap, DMA_BUF_IOCTL_SYNC, &sync), EINVAL);
}

/* Pointers that cannot be read or written. */
static void check_pointers(int heap)
{
	const size_t size = sizeof(struct dma_heap_allocation_data);
	struct dma_heap_allocation_data good = { .len = 4096, .fd_flags = O_RDWR | O_CLOEXEC };
	unsigned char *edge = page_before_hole(1);
	struct dma_heap_allocation_data *at_edge = (void *)(edge - size);
	int free_before = lowest_free(), fd;

	context("bad pointer");
	CHECK_ERRNO(ioctl(heap, DMA_HEAP_IOCTL_ALLOC, NULL), EFAULT);
	CHECK_ERRNO(ioctl(heap, DMA_HEAP_IOCTL_ALLOC, (void *)1), EFAULT);
	CHECK_ERRNO(ioctl(heap, DMA_HEAP_IOCTL_ALLOC, edge), EFAULT);
	CHECK_ERRNO(ioctl(heap, DMA_HEAP_IOCTL_ALLOC, (void *)(UINTPTR_MAX - 7)), EFAULT);

	context("struct that ends with the page");
	*at_edge = good;
	CHECK(ioctl(heap, DMA_HEAP_IOCTL_ALLOC, at_edge) == 0);
	fd = (int)at_edge->fd;
	CHECK(fd == free_before);
	CHECK(close(fd) == 0);

	context("struct that crosses into a hole");
	CHECK_ERRNO(ioctl(heap, DMA_HEAP_IOCTL_ALLOC, edge - 8), EFAULT);
	CHECK_ERRNO(ioctl(heap, DMA_HEAP_IOCTL_ALLOC, edge - size + 1), EFAULT);
	CHECK(lowest_free() == free_before);

	context("struct at an odd address");
	memcpy(edge - size - 3, &good, size);
	CHECK(ioctl(heap, DMA_HEAP_IOCTL_ALLOC, edge - size - 3) == 0);
	memcpy(&good, edge - size - 3, size);
	CHECK((int)good.fd == free_before);
	CHECK(close((int)good.fd) == 0);

	context("struct on a read-only page");
	*at_edge = (struct dma_heap_allocation_data){ .len = 4096, .fd_flags = O_RDWR | O_CLOEXEC };
	CHECK(mprotect(edge - page_size(), page_size(), PROT_READ) == 0);
	CHECK_ERRNO(ioctl(heap, DMA_HEAP_IOCTL_ALLOC, at_edge), EFAULT);
	CHECK(at_edge->fd == 0);
	if (lowest_free() != free_before) { /* kernels to 6.18 leave the descriptor behind */
		printf("note: a copy-out that faulted left descriptor %d open\n", free_before);
		CHECK(close(free_before) == 0);
	}
	CHECK(munmap(edge - page_size(), 2 * page_size()) == 0);

	context("struct on a page never touched");
	edge = mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(edge != MAP_FAILED);
	CHECK_ERRNO(ioctl(heap, DMA_HEAP_IOCTL_ALLOC, edge), EINVAL); /* all zero: len 0 */
	CHECK(munmap(edge, page_size()) == 0);
}

static void check_descriptors(int heap)
{
	struct dma_heap_allocation_data data = { .len = 4096, .fd_flags = O_RDWR | O_CLOEXEC };
	char path[PATH_MAX];
	int fd;

	context("descriptor that is not open");
	CHECK_ERRNO(ioctl(-1, DMA_HEAP_IOCTL_ALLOC, &data), EBADF);
	CHECK_ERRNO(ioctl(lowest_free(), DMA_HEAP_IOCTL_ALLOC, &data), EBADF);

	context("O_PATH descriptor of the node");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", heap);
	fd = open(path, O_PATH | O_CLOEXEC);
	CHECK(fd >= 0);
	CHECK_ERRNO(ioctl(fd, DMA_HEAP_IOCTL_ALLOC, &data), EBADF);
	CHECK(close(fd) == 0);
}

/* The struct of other kernels' headers: shorter and longer than ours. */
void check_alloc_sizes(int heap)
{
	static const unsigned sizes[] = { 8, 16, 24, 32, 48, 128, 200 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		unsigned char *edge = page_before_hole(1), *argument = edge - sizes[i];
		struct dma_heap_allocation_data data = { .len = 5000, .fd_flags = O_RDWR | O_CLOEXEC };
		unsigned known = sizes[i] < sizeof(data) ? sizes[i] : sizeof(data);
		unsigned cmd = _IOC(_IOC_READ | _IOC_WRITE, 'H', 0, sizes[i]);
		int expected = lowest_free();

		context("struct of %u bytes", sizes[i]);
		memset(argument, 0xa5, sizes[i]);
		memcpy(argument, &data, known);
		CHECK(ioctl(heap, cmd, argument) == 0);
		memcpy(&data, argument, known);
		if (sizes[i] >= 16)
			CHECK((int)data.fd == expected);
		CHECK(lseek(expected, 0, SEEK_END) == (off_t)page_align(5000));
		CHECK((fcntl(expected, F_GETFL) & O_ACCMODE) == (sizes[i] >= 16 ? O_RDWR : O_RDONLY));
		CHECK(close(expected) == 0);
		for (unsigned k = known; k < sizes[i]; k++)
			CHECK(argument[k] == 0xa5);
		CHECK(munmap(edge - page_size(), 2 * page_size()) == 0);
	}
}

void check_alloc_errors(int heap)
{
	check_refused(heap);
	check_other_commands(heap);
	check_directions(heap);
	check_pointers(heap);
	check_descriptors(heap);
}
