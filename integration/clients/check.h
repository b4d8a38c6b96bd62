/*
 * What the client programs share: the kernel's ABI of DMA-BUF heaps, written down once more so that a client can be
 * built where no kernel headers are (musl), and checks that end the program at the first that fails.
 *
 * A client knows a directory of heap nodes and nothing else: HEAP_DIR in the environment, else /dev/dma_heap.
 * Exit status: 0 when all checks hold, 1 after one line "file:line: what, errno", 2 when there is no heap.
 */
#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#ifndef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64
#endif

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define UNUSED __attribute__((unused))

/* include/uapi/linux/dma-heap.h */
struct dma_heap_allocation_data {
	uint64_t len;
	uint32_t fd;
	uint32_t fd_flags;
	uint64_t heap_flags;
} __attribute__((aligned(8)));

#define DMA_HEAP_IOCTL_ALLOC _IOWR('H', 0, struct dma_heap_allocation_data)

/* include/uapi/linux/dma-buf.h */
#define DMA_BUF_SYNC_READ 1u
#define DMA_BUF_SYNC_WRITE 2u
#define DMA_BUF_SYNC_RW 3u
#define DMA_BUF_SYNC_START 0u
#define DMA_BUF_SYNC_END 4u
#define DMA_BUF_NAME_LEN 32

struct dma_buf_sync_file {
	uint32_t flags;
	int32_t fd;
};

#define DMA_BUF_IOCTL_SYNC _IOW('b', 0, uint64_t)
#define DMA_BUF_SET_NAME_A _IOW('b', 1, uint32_t)
#define DMA_BUF_SET_NAME_B _IOW('b', 1, uint64_t)
#define DMA_BUF_IOCTL_EXPORT_SYNC_FILE _IOWR('b', 2, struct dma_buf_sync_file)
#define DMA_BUF_IOCTL_IMPORT_SYNC_FILE _IOW('b', 3, struct dma_buf_sync_file)

/* include/uapi/linux/sync_file.h */
struct sync_merge_data {
	char name[32];
	int32_t fd2;
	int32_t fence;
	uint32_t flags;
	uint32_t pad;
};

struct sync_fence_info {
	char obj_name[32];
	char driver_name[32];
	int32_t status;
	uint32_t flags;
	uint64_t timestamp_ns;
};

struct sync_file_info {
	char name[32];
	int32_t status;
	uint32_t flags;
	uint32_t num_fences;
	uint32_t pad;
	uint64_t sync_fence_info;
} __attribute__((aligned(8)));

#define SYNC_IOC_MERGE _IOWR('>', 3, struct sync_merge_data)
#define SYNC_IOC_FILE_INFO _IOWR('>', 4, struct sync_file_info)

/* What is being checked right now, for the message of a check in a table or a loop. */
static __thread char check_context[160];

UNUSED __attribute__((format(printf, 1, 2))) static void context(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(check_context, sizeof(check_context), format, args);
	va_end(args);
}

/* _exit, because a check may fail in a thread, a forked child or a signal handler's program. */
UNUSED static void check_failed(const char *file, int line, const char *what)
{
	int err = errno;
	char text[512];
	int n = snprintf(text, sizeof(text), "%s:%d: %s%s%s, errno %d (%s)\n", file, line, check_context,
			 check_context[0] ? ": " : "", what, err, strerror(err));
	size_t length = n < (int)sizeof(text) ? (size_t)n : sizeof(text) - 1;

	fflush(stdout);
	if (write(2, text, length) < 0)
		_exit(1);
	_exit(1);
}

#define CHECK(condition)                                                                                               \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			check_failed(__FILE__, __LINE__, #condition);                                                  \
	} while (0)

/* The call fails, and with this errno. */
#define CHECK_ERRNO(call, wanted)                                                                                      \
	do {                                                                                                           \
		errno = 0;                                                                                             \
		if ((call) != -1 || errno != (wanted))                                                                 \
			check_failed(__FILE__, __LINE__, #call " does not fail with " #wanted);                        \
	} while (0)

UNUSED static const char *heap_dir(void)
{
	const char *dir = getenv("HEAP_DIR");

	return dir && *dir ? dir : "/dev/dma_heap";
}

/*
 * Whether a buffer is a file of FUSE. Then the kernel copies as many bytes as the command's size says before it asks anybody, also
 * where the argument is no struct but a string.
 */
UNUSED static int is_fuse(int fd)
{
	struct statfs st;

	return fstatfs(fd, &st) == 0 && st.f_type == 0x65735546;
}

/* Opens the node of a heap; without one there is nothing to check: status 2. */
UNUSED static int open_heap(const char *name, int flags)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", heap_dir(), name);
	fd = open(path, flags);
	if (fd < 0) {
		fprintf(stderr, "open %s: %s\n", path, strerror(errno));
		exit(2);
	}
	return fd;
}

UNUSED static int open_system(void)
{
	return open_heap("system", O_RDWR | O_CLOEXEC);
}

/* One ALLOC; the buffer's descriptor, or -1 and errno. */
UNUSED static int alloc_flags(int heap, uint64_t len, uint32_t fd_flags)
{
	struct dma_heap_allocation_data data = { .len = len, .fd_flags = fd_flags };

	if (ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &data) != 0)
		return -1;
	return (int)data.fd;
}

UNUSED static int alloc(int heap, uint64_t len)
{
	return alloc_flags(heap, len, O_RDWR | O_CLOEXEC);
}

UNUSED static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

UNUSED static size_t page_align(size_t len)
{
	return (len + page_size() - 1) & ~(page_size() - 1);
}

UNUSED static int sync_buffer(int fd, uint64_t flags)
{
	return ioctl(fd, DMA_BUF_IOCTL_SYNC, &flags);
}

UNUSED static unsigned char *map_buffer(int fd, size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* Maps a buffer, finds it zeroed, leaves a pattern in it, sees the pattern through SYNC. */
UNUSED static void use_buffer(int fd, size_t len, unsigned char pattern)
{
	size_t size = page_align(len), i;
	unsigned char *p = map_buffer(fd, size);

	CHECK(p != NULL);
	CHECK(sync_buffer(fd, DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW) == 0);
	for (i = 0; i < size; i++)
		if (p[i] != 0)
			break;
	CHECK(i == size);
	memset(p, pattern, size);
	CHECK(sync_buffer(fd, DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW) == 0);
	for (i = 0; i < size; i++)
		if (p[i] != pattern)
			break;
	CHECK(i == size);
	CHECK(munmap(p, size) == 0);
}

/* The lowest descriptor that is free now. */
UNUSED static int lowest_free(void)
{
	int fd = fcntl(0, F_DUPFD, 0);

	if (fd < 0) /* 0 itself is closed */
		return 0;
	close(fd);
	return fd;
}

UNUSED static int is_open(int fd)
{
	return fcntl(fd, F_GETFD) != -1;
}

/* Waits for a child that must end well. */
UNUSED static void wait_child(pid_t pid)
{
	int status = -1;

	CHECK(waitpid(pid, &status, 0) == pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 1)
		_exit(1); /* it has said why */
	CHECK(WIFEXITED(status));
	CHECK(WEXITSTATUS(status) == 0);
}

UNUSED static void *page_before_hole(size_t pages)
{
	size_t page = page_size();
	unsigned char *p = mmap(NULL, (pages + 1) * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	CHECK(mprotect(p + pages * page, page, PROT_NONE) == 0);
	return p + pages * page; /* the first byte that cannot be touched */
}

#endif
