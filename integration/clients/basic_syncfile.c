/* Sync files: EXPORT_SYNC_FILE, what the file answers, IMPORT_SYNC_FILE (drivers/dma-buf/sync_file.c). */
#include "basic.h"

#include <poll.h>

static int export_sync_file(int buffer, uint32_t flags)
{
	struct dma_buf_sync_file data = { .flags = flags, .fd = -1 };

	if (ioctl(buffer, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &data) != 0)
		return -1;
	CHECK(data.flags == flags);
	return data.fd;
}

static int import_sync_file(int buffer, uint32_t flags, int sync_file)
{
	struct dma_buf_sync_file data = { .flags = flags, .fd = sync_file };

	return ioctl(buffer, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &data);
}

/* A file without pending fences: readable, CLOEXEC, status 1. */
static void check_signalled(int fd, const char *name)
{
	struct sync_fence_info fences[8] = { 0 };
	struct sync_file_info info = { 0 };
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
	CHECK(poll(&ready, 1, 1000) == 1);
	CHECK(ready.revents == POLLIN);

	CHECK(ioctl(fd, SYNC_IOC_FILE_INFO, &info) == 0);
	CHECK(info.status == 1);
	CHECK(info.num_fences >= 1 && info.num_fences <= 8);
	CHECK(memchr(info.name, 0, sizeof(info.name)) != NULL);
	if (name)
		CHECK(strcmp(info.name, name) == 0);

	info = (struct sync_file_info){ .num_fences = 8, .sync_fence_info = (uintptr_t)fences };
	CHECK(ioctl(fd, SYNC_IOC_FILE_INFO, &info) == 0);
	CHECK(info.status == 1);
	for (uint32_t i = 0; i < info.num_fences; i++)
		CHECK(fences[i].status == 1);
}

static void check_file_errors(int fd)
{
	struct sync_fence_info fences[8];
	struct sync_file_info info;
	struct sync_merge_data merge;

	context("sync file errors");
	info = (struct sync_file_info){ .flags = 1 };
	CHECK_ERRNO(ioctl(fd, SYNC_IOC_FILE_INFO, &info), EINVAL);
	info = (struct sync_file_info){ .pad = 1 };
	CHECK_ERRNO(ioctl(fd, SYNC_IOC_FILE_INFO, &info), EINVAL);
	info = (struct sync_file_info){ .num_fences = 8 };
	CHECK_ERRNO(ioctl(fd, SYNC_IOC_FILE_INFO, &info), EFAULT);
	info = (struct sync_file_info){ .num_fences = 8, .sync_fence_info = (uintptr_t)fences };
	CHECK(ioctl(fd, SYNC_IOC_FILE_INFO, &info) == 0);
	CHECK_ERRNO(ioctl(fd, SYNC_IOC_FILE_INFO, NULL), EFAULT);

	merge = (struct sync_merge_data){ .fd2 = fd, .flags = 1 };
	CHECK_ERRNO(ioctl(fd, SYNC_IOC_MERGE, &merge), EINVAL);
	merge = (struct sync_merge_data){ .fd2 = fd, .pad = 1 };
	CHECK_ERRNO(ioctl(fd, SYNC_IOC_MERGE, &merge), EINVAL);
	merge = (struct sync_merge_data){ .fd2 = -1 };
	CHECK_ERRNO(ioctl(fd, SYNC_IOC_MERGE, &merge), ENOENT);
	merge = (struct sync_merge_data){ .fd2 = 0 }; /* open, but no sync file */
	CHECK_ERRNO(ioctl(fd, SYNC_IOC_MERGE, &merge), ENOENT);
	CHECK_ERRNO(ioctl(fd, SYNC_IOC_MERGE, NULL), EFAULT);
}

void check_sync_files(int heap)
{
	static const uint32_t bad_flags[] = { 0, 4, 8 | DMA_BUF_SYNC_RW, ~0u };
	struct sync_merge_data merge = { .name = "merged" };
	int buffer = alloc(heap, 1), fd, fd2, free_before = lowest_free();

	CHECK(buffer >= 0);
	for (size_t i = 0; i < sizeof(bad_flags) / sizeof(bad_flags[0]); i++) {
		context("sync file flags 0x%x", bad_flags[i]);
		CHECK_ERRNO(export_sync_file(buffer, bad_flags[i]), EINVAL);
		CHECK_ERRNO(import_sync_file(buffer, bad_flags[i], 0), EINVAL);
	}
	context("sync file, bad pointer");
	CHECK_ERRNO(ioctl(buffer, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, NULL), EFAULT);
	CHECK_ERRNO(ioctl(buffer, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, NULL), EFAULT);
	context("import of what is no sync file");
	CHECK_ERRNO(import_sync_file(buffer, DMA_BUF_SYNC_RW, -1), EINVAL);
	CHECK_ERRNO(import_sync_file(buffer, DMA_BUF_SYNC_RW, 0), EINVAL);
	CHECK_ERRNO(import_sync_file(buffer, DMA_BUF_SYNC_RW, buffer), EINVAL);
	CHECK(lowest_free() == free_before);

	context("export");
	fd = export_sync_file(buffer, DMA_BUF_SYNC_READ);
	CHECK(fd == free_before);
	fd2 = export_sync_file(buffer, DMA_BUF_SYNC_RW);
	CHECK(fd2 > fd);
	check_signalled(fd, NULL);
	check_signalled(fd2, NULL);
	check_file_errors(fd);

	context("merge");
	merge.fd2 = fd2;
	CHECK(ioctl(fd, SYNC_IOC_MERGE, &merge) == 0);
	CHECK(merge.fence > fd2);
	check_signalled(merge.fence, "merged");

	context("import");
	CHECK(import_sync_file(buffer, DMA_BUF_SYNC_READ, fd) == 0);
	CHECK(import_sync_file(buffer, DMA_BUF_SYNC_RW, fd2) == 0);
	CHECK(import_sync_file(buffer, DMA_BUF_SYNC_WRITE, merge.fence) == 0);
	CHECK(close(fd) == 0);
	CHECK(close(fd2) == 0);
	CHECK(close(merge.fence) == 0);
	CHECK(close(buffer) == 0);
}
