/* The buffer's descriptor: mappings, SYNC, names (drivers/dma-buf/dma-buf.c). */
#include "basic.h"

#include <poll.h>
#include <termios.h>

/* Mappings of one buffer show one memory. */
void check_buffer(int heap)
{
	size_t page = page_size(), size = 4 * page;
	struct dma_heap_allocation_data data = { .len = 4096, .fd_flags = O_RDWR | O_CLOEXEC };
	struct pollfd both;
	unsigned char *a, *b, *tail;
	struct termios tty;
	int fd, copy;

	context("buffer");
	fd = alloc(heap, size - 9);
	CHECK(fd >= 0);
	both = (struct pollfd){ .fd = fd, .events = POLLIN | POLLOUT };
	CHECK(poll(&both, 1, 1000) == 1);
	CHECK((both.revents & (POLLIN | POLLOUT)) == (POLLIN | POLLOUT));

	a = map_buffer(fd, size);
	b = map_buffer(fd, size);
	CHECK(a && b && a != b);
	memset(a, 0x5a, size);
	CHECK(memcmp(a, b, size) == 0);
	b[size - 1] = 0x11;
	CHECK(a[size - 1] == 0x11);

	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	CHECK(copy >= 0);
	tail = mmap(NULL, page, PROT_READ, MAP_SHARED, copy, (off_t)(size - page));
	CHECK(tail != MAP_FAILED);
	CHECK(tail[0] == 0x5a && tail[page - 1] == 0x11);
	CHECK(sync_buffer(copy, DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ) == 0);
	CHECK(sync_buffer(copy, DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ) == 0);
	CHECK(close(copy) == 0);
	CHECK(munmap(tail, page) == 0);
	CHECK(munmap(a, size) == 0);
	CHECK(munmap(b, size) == 0);

	context("command that no buffer knows");
	CHECK_ERRNO(ioctl(fd, _IOW('b', 4, uint64_t), &data), ENOTTY);
	CHECK_ERRNO(ioctl(fd, _IOW('b', 0, uint32_t), &data), ENOTTY);
	CHECK_ERRNO(ioctl(fd, _IOR('b', 0, uint64_t), &data), ENOTTY);
	CHECK_ERRNO(ioctl(fd, DMA_HEAP_IOCTL_ALLOC, &data), ENOTTY);
	CHECK_ERRNO(ioctl(fd, SYNC_IOC_FILE_INFO, &data), ENOTTY);
	CHECK_ERRNO(ioctl(fd, TCGETS, &tty), ENOTTY);
	CHECK(close(fd) == 0);
}

void check_sync_ioctl(int heap)
{
	static const struct {
		uint64_t flags;
		int wanted; /* errno, 0 when it succeeds */
	} rows[] = {
		{ DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ, 0 },
		{ DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ, 0 },
		{ DMA_BUF_SYNC_START | DMA_BUF_SYNC_WRITE, 0 },
		{ DMA_BUF_SYNC_END | DMA_BUF_SYNC_WRITE, 0 },
		{ DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW, 0 },
		{ DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW, 0 }, /* calls out of pairs are not detected */
		{ DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW, 0 },
		{ DMA_BUF_SYNC_START, EINVAL },
		{ DMA_BUF_SYNC_END, EINVAL },
		{ 8, EINVAL },
		{ 8 | DMA_BUF_SYNC_RW, EINVAL },
		{ (1ull << 32) | DMA_BUF_SYNC_RW, EINVAL },
		{ UINT64_MAX, EINVAL },
	};
	static const uint32_t access_modes[] = { O_RDWR, O_RDONLY, O_WRONLY };

	for (size_t m = 0; m < sizeof(access_modes) / sizeof(access_modes[0]); m++) {
		int fd = alloc_flags(heap, 1, access_modes[m]);
		unsigned char *edge = page_before_hole(1);

		CHECK(fd >= 0);
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			context("SYNC 0x%llx, access mode %u", (unsigned long long)rows[i].flags, access_modes[m]);
			if (rows[i].wanted)
				CHECK_ERRNO(sync_buffer(fd, rows[i].flags), rows[i].wanted);
			else
				CHECK(sync_buffer(fd, rows[i].flags) == 0);
		}
		context("SYNC with a bad pointer");
		CHECK_ERRNO(ioctl(fd, DMA_BUF_IOCTL_SYNC, NULL), EFAULT);
		CHECK_ERRNO(ioctl(fd, DMA_BUF_IOCTL_SYNC, edge - 4), EFAULT);
		memcpy(edge - 8, &rows[4].flags, 8);
		CHECK(ioctl(fd, DMA_BUF_IOCTL_SYNC, edge - 8) == 0);
		CHECK(mprotect(edge - page_size(), page_size(), PROT_READ) == 0);
		CHECK(ioctl(fd, DMA_BUF_IOCTL_SYNC, edge - 8) == 0); /* it only reads */
		CHECK(munmap(edge - page_size(), 2 * page_size()) == 0);
		CHECK(close(fd) == 0);
	}
}

/* SET_NAME: the argument is the string; 31 bytes and a NUL fit. */
void check_names(int heap)
{
	static const unsigned long commands[] = { DMA_BUF_SET_NAME_A, DMA_BUF_SET_NAME_B };
	int fd = alloc(heap, 1);

	CHECK(fd >= 0);
	for (size_t c = 0; c < 2; c++) {
		unsigned char *edge = page_before_hole(1);
		char name[64];

		for (unsigned length = 0; length <= 40; length++) {
			context("SET_NAME_%c, %u bytes", 'A' + (int)c, length);
			memset(name, 'n', sizeof(name));
			name[length] = '\0';
			if (length < DMA_BUF_NAME_LEN)
				CHECK(ioctl(fd, commands[c], name) == 0);
			else
				CHECK_ERRNO(ioctl(fd, commands[c], name), EINVAL);

			/* The same string as the last bytes before a page that cannot be read. */
			memcpy(edge - length - 1, name, length + 1);
			if (is_fuse(fd) && length + 1 < (commands[c] >> 16 & 0x3fff)) /* its size */
				CHECK_ERRNO(ioctl(fd, commands[c], edge - length - 1), EFAULT);
			else if (length < DMA_BUF_NAME_LEN)
				CHECK(ioctl(fd, commands[c], edge - length - 1) == 0);
			else
				CHECK_ERRNO(ioctl(fd, commands[c], edge - length - 1), EINVAL);
		}
		context("SET_NAME_%c without a NUL before the hole", 'A' + (int)c);
		memset(edge - 64, 'n', 64);
		CHECK_ERRNO(ioctl(fd, commands[c], edge - 31), EFAULT);
		CHECK_ERRNO(ioctl(fd, commands[c], edge - 1), EFAULT);
		CHECK_ERRNO(ioctl(fd, commands[c], edge - 32), EINVAL);
		context("SET_NAME_%c with a bad pointer", 'A' + (int)c);
		CHECK_ERRNO(ioctl(fd, commands[c], edge), EFAULT);
		CHECK_ERRNO(ioctl(fd, commands[c], NULL), EFAULT);
		CHECK(munmap(edge - page_size(), 2 * page_size()) == 0);
	}
	context("SET_NAME of another size");
	CHECK_ERRNO(ioctl(fd, _IOC(_IOC_WRITE, 'b', 1, 16), "name"), ENOTTY);
	CHECK(close(fd) == 0);
}
