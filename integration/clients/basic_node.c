/* The heap node and the ALLOC that succeeds (drivers/dma-buf/dma-heap.c). */
#include "basic.h"

#include <termios.h>

/* A node answers ALLOC and nothing else. */
void check_node(int heap, int read_only_heap)
{
	struct stat st;
	char byte = 0;
	int other;

	context("node");
	CHECK(fstat(heap, &st) == 0);
	CHECK_ERRNO(read(heap, &byte, 1), EINVAL);
	CHECK_ERRNO(read(read_only_heap, &byte, 1), EINVAL);
	CHECK_ERRNO(write(heap, &byte, 1), EINVAL);
	CHECK_ERRNO(write(read_only_heap, &byte, 1), EBADF);
	CHECK_ERRNO(lseek(heap, 0, SEEK_SET), ESPIPE);
	CHECK_ERRNO(lseek(heap, 0, SEEK_END), ESPIPE);
	CHECK(mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED, heap, 0) == MAP_FAILED && errno == ENODEV);
	CHECK(mmap(NULL, page_size(), PROT_READ, MAP_SHARED, read_only_heap, 0) == MAP_FAILED && errno == ENODEV);

	/* What the kernel answers for every file works here too. */
	CHECK(ioctl(heap, FIONCLEX) == 0);
	CHECK(fcntl(heap, F_GETFD) == 0);
	CHECK(ioctl(heap, FIOCLEX) == 0);
	CHECK(fcntl(heap, F_GETFD) == FD_CLOEXEC);
	CHECK((fcntl(heap, F_GETFL) & O_ACCMODE) == O_RDWR);
	CHECK((other = dup(heap)) >= 0);
	CHECK(close(other) == 0);
}

static void check_access_modes(int heap)
{
	static const struct {
		const char *name;
		uint32_t fd_flags;
	} modes[] = {
		{ "O_RDONLY", O_RDONLY },
		{ "O_WRONLY", O_WRONLY },
		{ "O_RDWR", O_RDWR },
		{ "O_RDONLY|O_CLOEXEC", O_RDONLY | O_CLOEXEC },
		{ "O_WRONLY|O_CLOEXEC", O_WRONLY | O_CLOEXEC },
		{ "O_RDWR|O_CLOEXEC", O_RDWR | O_CLOEXEC },
	};
	size_t page = page_size();

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		int access = (int)(modes[i].fd_flags & O_ACCMODE), fd;
		void *p;

		context("fd_flags %s", modes[i].name);
		fd = alloc_flags(heap, page, modes[i].fd_flags);
		CHECK(fd >= 0);
		CHECK((fcntl(fd, F_GETFL) & O_ACCMODE) == access);
		CHECK(fcntl(fd, F_GETFD) == (modes[i].fd_flags & O_CLOEXEC ? FD_CLOEXEC : 0));

		p = mmap(NULL, page, PROT_READ, MAP_SHARED, fd, 0);
		if (access == O_WRONLY) {
			CHECK(p == MAP_FAILED && errno == EACCES);
		} else {
			CHECK(p != MAP_FAILED);
			CHECK(*(unsigned char *)p == 0);
			CHECK(munmap(p, page) == 0);
		}
		p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (access == O_RDWR) {
			CHECK(p != MAP_FAILED);
			CHECK(munmap(p, page) == 0);
		} else {
			CHECK(p == MAP_FAILED && errno == EACCES);
		}
		CHECK(close(fd) == 0);
	}
}

/* The number is the lowest that is free, also when that is 0, as for open(). */
static void check_lowest_number(int heap)
{
	int low, high, fd, saved;

	context("lowest free number");
	low = dup(heap);
	high = dup(heap);
	CHECK(low >= 0 && high > low);
	CHECK(close(low) == 0);
	CHECK(lowest_free() == low);
	fd = alloc(heap, 1);
	CHECK(fd == low);
	CHECK(close(fd) == 0);
	CHECK(close(high) == 0);

	saved = fcntl(0, F_DUPFD_CLOEXEC, 3);
	CHECK(saved >= 3);
	CHECK(close(0) == 0);
	fd = alloc(heap, 1);
	CHECK(fd == 0);
	CHECK(dup2(saved, 0) == 0);
	CHECK(close(saved) == 0);
}

/* Close-on-exec as the next program sees it. */
static void check_exec(int heap)
{
	int kept, shut;
	pid_t pid;

	context("exec");
	kept = alloc_flags(heap, 1, O_RDWR);
	shut = alloc_flags(heap, 1, O_RDWR | O_CLOEXEC);
	CHECK(kept >= 0 && shut >= 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		char open_text[16], shut_text[16];

		snprintf(open_text, sizeof(open_text), "%d", kept);
		snprintf(shut_text, sizeof(shut_text), "%d", shut);
		execl("/proc/self/exe", "basic", "--descriptors", open_text, shut_text, (char *)NULL);
		_exit(3);
	}
	wait_child(pid);
	CHECK(close(kept) == 0);
	CHECK(close(shut) == 0);
}

/* ALLOC that succeeds: lengths are rounded up to pages, the content is zero, also where an old buffer lay. */
void check_alloc(int heap)
{
	size_t page = page_size();
	const uint64_t lengths[] = { 1,		 page - 1,  page,	      page + 1,	   3 * page + 5,
				     64 * 1024, 100000UL, 1024 * 1024 - 7, 1024 * 1024, 1920 * 1080 * 3 / 2 };

	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
			struct dma_heap_allocation_data data = { .len = lengths[i], .fd_flags = O_RDWR | O_CLOEXEC };
			size_t size = page_align((size_t)lengths[i]);
			struct stat st;
			int fd;

			context("len %llu, round %d", (unsigned long long)lengths[i], round);
			CHECK(ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &data) == 0);
			fd = (int)data.fd;
			CHECK(data.fd_flags == (O_RDWR | O_CLOEXEC));
			CHECK(data.heap_flags == 0);
			CHECK(data.len == lengths[i] || data.len == size);
			CHECK(fstat(fd, &st) == 0);
			CHECK((size_t)st.st_size == size);
			CHECK(lseek(fd, 0, SEEK_END) == (off_t)size);
			CHECK(lseek(fd, 0, SEEK_SET) == 0);
			use_buffer(fd, size, (unsigned char)(0xa0 + i));
			CHECK(close(fd) == 0);
		}
	}
	check_access_modes(heap);
	check_lowest_number(heap);
	check_exec(heap);
}
