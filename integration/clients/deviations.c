/*
 * deviations: the rows of docs/conformance.md that one program can try, on the heap "system" or the one that is named. Without an
 * option every row must be as listed, so that one that has become needless is noticed; with --kernel every row must be as on a
 * kernel, to try the list itself on a real one; with --kernel-sync-files those of sync files must be. The last line has the number of rows.
 */
#include "check.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/statfs.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <linux/fs.h>

enum verdict { AS_KERNEL, AS_LISTED, NEITHER, NOT_HERE };

static const char *heap_name = "system";
static size_t page;

static int node(void)
{
	return open_heap(heap_name, O_RDWR | O_CLOEXEC);
}

static int buffer(size_t len)
{
	int heap = node(), fd = alloc(heap, len);

	CHECK(fd >= 0);
	close(heap);
	return fd;
}

/* What a call did: 0, or its errno. */
static int outcome(long result)
{
	return result == -1 ? errno : 0;
}

static int map_outcome(void *p)
{
	return p == MAP_FAILED ? errno : 0;
}

static enum verdict judge(int got, int kernel, int listed)
{
	if (got == kernel)
		return AS_KERNEL;
	if (got == listed)
		return AS_LISTED;
	printf("  got %d (%s)\n", got, strerror(got));
	return NEITHER;
}

/* Two halves of a row must agree. */
static enum verdict both(enum verdict a, enum verdict b)
{
	return a == b ? a : NEITHER;
}

static enum verdict n1_file_type(void)
{
	struct stat st;

	CHECK(fstat(node(), &st) == 0);
	return S_ISCHR(st.st_mode) && st.st_rdev ? AS_KERNEL : S_ISREG(st.st_mode) && !st.st_rdev ? AS_LISTED : NEITHER;
}

static enum verdict n2_generic_file_ioctl(void)
{
	int bytes = -1;

	return judge(outcome(ioctl(node(), FIONREAD, &bytes)), EINVAL, 0);
}

static enum verdict n3_bad_pointer(void)
{
	return judge(outcome(ioctl(node(), _IOWR('H', 1, struct dma_heap_allocation_data), (void *)8)), EINVAL, EFAULT);
}

static enum verdict n4_foreign_type(void)
{
	struct dma_heap_allocation_data data = { .len = 1, .fd_flags = O_RDWR | O_CLOEXEC };

	return judge(outcome(ioctl(node(), _IOWR('Z', 0, struct dma_heap_allocation_data), &data)), 0, ENOMEM);
}

static enum verdict n5_private_mapping(void)
{
	return judge(map_outcome(mmap(NULL, page, PROT_READ, MAP_PRIVATE, node(), 0)), ENODEV, 0);
}

static enum verdict n6_empty_read_write(void)
{
	char byte;

	return both(judge(outcome(read(node(), &byte, 0)), EINVAL, 0), judge(outcome(write(node(), &byte, 0)), EINVAL, 0));
}

static enum verdict n7_epoll(void)
{
	struct epoll_event e = { .events = EPOLLIN };

	return judge(outcome(epoll_ctl(epoll_create1(0), EPOLL_CTL_ADD, node(), &e)), EPERM, 0);
}

static void on_tick(int signal)
{
	(void)signal;
}

static enum verdict n8_signal(void)
{
	struct sigaction action = { .sa_handler = on_tick };
	struct itimerval on = { { 0, 50 }, { 0, 50 } }, off = { 0 };
	int heap = node(), interrupted = 0;

	CHECK(sigaction(SIGALRM, &action, NULL) == 0);
	CHECK(setitimer(ITIMER_REAL, &on, NULL) == 0);
	for (int i = 0; i < 20000 && !interrupted; i++) {
		int fd = alloc(heap, 1);

		if (fd >= 0)
			close(fd);
		else
			interrupted = errno == EINTR;
	}
	CHECK(setitimer(ITIMER_REAL, &off, NULL) == 0);
	return interrupted ? AS_LISTED : AS_KERNEL;
}

static enum verdict b1_lseek(void)
{
	int fd = buffer(3 * page);

	return both(judge(outcome(lseek(fd, 8, SEEK_SET)), EINVAL, 0), judge(outcome(lseek(fd, 0, SEEK_CUR)), EINVAL, 0));
}

static enum verdict b2_read_write(void)
{
	char byte = 0;
	int fd = buffer(1);

	return both(judge(outcome(read(fd, &byte, 1)), EINVAL, 0), judge(outcome(write(fd, &byte, 1)), EINVAL, 0));
}

static enum verdict b3_size(void)
{
	return judge(outcome(ftruncate(buffer(1), 0)), EINVAL, EPERM);
}

static enum verdict b4_fallocate(void)
{
	int fd = buffer(page);
	int hole = outcome(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)page));

	/* ENODEV where the file has no type, EOPNOTSUPP where it is a regular one. */
	return hole == ENODEV || hole == EOPNOTSUPP ? AS_KERNEL : judge(hole, ENODEV, 0);
}

static enum verdict b5_fsync(void)
{
	return judge(outcome(fsync(buffer(1))), EINVAL, 0);
}

static enum verdict b6_map_past_end(void)
{
	return judge(map_outcome(mmap(NULL, 2 * page, PROT_READ, MAP_SHARED, buffer(page), 0)), EINVAL, 0);
}

static enum verdict b7_private(void)
{
	return judge(map_outcome(mmap(NULL, 1025 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE, buffer(1025 * page), 0)), EINVAL, 0);
}

static enum verdict b8_grow_mapping(void)
{
	void *p = map_buffer(buffer(page), page);

	CHECK(p);
	return judge(map_outcome(mremap(p, page, 2 * page, MREMAP_MAYMOVE)), EFAULT, 0);
}

static enum verdict b9_pages(void)
{
	unsigned char *p = map_buffer(buffer(page), page);
	char copy[8];
	struct iovec local = { copy, sizeof(copy) }, remote = { p, sizeof(copy) };

	CHECK(p);
	return both(judge(outcome(process_vm_readv(getpid(), &local, 1, &remote, 1, 0)), EFAULT, 0),
		    judge(outcome(madvise(p, page, MADV_DONTNEED)), EINVAL, 0));
}

static enum verdict link_starts(int fd, const char *kernel, const char *listed)
{
	char path[64], text[128] = "";

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CHECK(readlink(path, text, sizeof(text) - 1) > 0);
	if (!strncmp(text, kernel, strlen(kernel)))
		return AS_KERNEL;
	if (!strncmp(text, listed, strlen(listed)))
		return AS_LISTED;
	printf("  link %s\n", text);
	return NEITHER;
}

static enum verdict b10_link(void)
{
	return link_starts(buffer(1), "/dmabuf:", "/memfd:dmabuf (deleted)");
}

static enum verdict b11_fdinfo(void)
{
	char path[64], text[1024] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", buffer(1));
	fd = open(path, O_RDONLY);
	CHECK(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	return strstr(text, "exp_name:\t") && strstr(text, "size:\t") && strstr(text, "count:\t") ? AS_KERNEL : AS_LISTED;
}

static enum verdict b12_file_system(void)
{
	struct statfs fs;
	struct stat st;
	int fd = buffer(1);

	CHECK(fstatfs(fd, &fs) == 0 && fstat(fd, &st) == 0);
	return both(judge((int)fs.f_type, 0x444d4142, 0x01021994), judge((int)st.st_nlink, 1, 0));
}

static enum verdict b13_large_file(void)
{
	return judge(fcntl(buffer(1), F_GETFL), O_RDWR, O_RDWR | 0100000);
}

static enum verdict b14_open_again(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", buffer(1));
	return judge(outcome(open(path, O_RDWR | O_CLOEXEC)), ENXIO, 0);
}

static enum verdict b15_seals(void)
{
	int fd = buffer(1);

	return both(judge(outcome(fcntl(fd, F_GET_SEALS)), EINVAL, 0), judge(outcome(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE)), EINVAL, EPERM));
}

static enum verdict b16_epoll(void)
{
	struct epoll_event e = { .events = EPOLLIN };

	return judge(outcome(epoll_ctl(epoll_create1(0), EPOLL_CTL_ADD, buffer(1), &e)), 0, EPERM);
}

static enum verdict b17_attributes(void)
{
	int flags, fd = buffer(1);

	return both(judge(outcome(ioctl(fd, FS_IOC_GETFLAGS, &flags)), ENOTTY, 0),
		    both(judge(outcome(ioctl(fd, FIONREAD, &flags)), ENOTTY, 0),
			 judge(outcome(fcntl(fd, F_SETFL, O_DIRECT)), EINVAL, 0)));
}

static enum verdict b20_protected(void)
{
	char path[PATH_MAX];
	int heap, fd;

	snprintf(path, sizeof(path), "%s/protected,secure-video", heap_dir());
	heap = open(path, O_RDWR | O_CLOEXEC);
	if (heap < 0)
		return NOT_HERE;
	fd = alloc(heap, page);
	CHECK(fd >= 0);
	return judge(map_outcome(mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)), EINVAL, EACCES);
}

static int sync_file(void)
{
	struct dma_buf_sync_file data = { .flags = 3, .fd = -1 };

	CHECK(ioctl(buffer(1), DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &data) == 0);
	return data.fd;
}

static enum verdict s1_link(void)
{
	return link_starts(sync_file(), "anon_inode:sync_file", "anon_inode:[eventpoll]");
}

static enum verdict s2_unknown_ioctl(void)
{
	/* Before 6.9 an epoll set has no ioctl of its own: there is nothing to try. */
	if (ioctl(epoll_create1(EPOLL_CLOEXEC), _IO(0x8a, 99), NULL) == -1 && errno == ENOTTY)
		return NOT_HERE;
	return judge(outcome(ioctl(sync_file(), _IO('>', 99), NULL)), ENOTTY, EINVAL);
}

static int pipe_end(void)
{
	int ends[2];

	CHECK(pipe2(ends, O_CLOEXEC) == 0);
	return ends[0];
}

static enum verdict s3_epoll_set(void)
{
	struct epoll_event e = { .events = EPOLLIN };
	int fd = sync_file();

	return both(judge(outcome(epoll_wait(fd, &e, 1, 0)), EINVAL, 0),
		    judge(outcome(epoll_ctl(fd, EPOLL_CTL_ADD, pipe_end(), &e)), EINVAL, 0));
}

static enum verdict s4_access_mode(void)
{
	return judge(fcntl(sync_file(), F_GETFL), O_RDONLY, O_RDWR);
}

static enum verdict s5_lseek(void)
{
	return judge(outcome(lseek(sync_file(), 0, SEEK_CUR)), ESPIPE, 0);
}

static const struct {
	const char *id, *what;
	enum verdict (*try)(void);
} rows[] = {
	{ "N1", "file type of a node", n1_file_type },
	{ "N2", "FIONREAD on a node", n2_generic_file_ioctl },
	{ "N3", "number from 1 with a bad pointer", n3_bad_pointer },
	{ "N4", "number 0 of a foreign type", n4_foreign_type },
	{ "N5", "private mapping of a node", n5_private_mapping },
	{ "N6", "read and write of 0 bytes", n6_empty_read_write },
	{ "N7", "a node in an epoll set", n7_epoll },
	{ "N8", "signal handler without SA_RESTART", n8_signal },
	{ "B1", "lseek", b1_lseek },
	{ "B2", "read, write", b2_read_write },
	{ "B3", "ftruncate", b3_size },
	{ "B4", "fallocate", b4_fallocate },
	{ "B5", "fsync", b5_fsync },
	{ "B6", "mapping past the end", b6_map_past_end },
	{ "B7", "private mapping", b7_private },
	{ "B8", "mapping that grows", b8_grow_mapping },
	{ "B9", "pages of a mapping", b9_pages },
	{ "B10", "link text", b10_link },
	{ "B11", "fdinfo", b11_fdinfo },
	{ "B12", "file system", b12_file_system },
	{ "B13", "F_GETFL", b13_large_file },
	{ "B14", "open by /proc", b14_open_again },
	{ "B15", "seals", b15_seals },
	{ "B16", "a buffer in an epoll set", b16_epoll },
	{ "B17", "what a tmpfs file takes", b17_attributes },
	{ "B20", "mapping of a protected buffer", b20_protected },
	{ "S1", "link text of a sync file", s1_link },
	{ "S2", "unknown ioctl on a sync file", s2_unknown_ioctl },
	{ "S3", "epoll calls on a sync file", s3_epoll_set },
	{ "S4", "access mode of a sync file", s4_access_mode },
	{ "S5", "lseek on a sync file", s5_lseek },
};

int main(int argc, char **argv)
{
	enum verdict wanted = AS_LISTED, wanted_of_sync_files = AS_LISTED;
	int wrong = 0, skipped = 0, n = sizeof(rows) / sizeof(rows[0]);

	page = page_size();
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], "--kernel"))
			wanted = wanted_of_sync_files = AS_KERNEL;
		else if (!strcmp(argv[i], "--kernel-sync-files"))
			wanted_of_sync_files = AS_KERNEL;
		else
			heap_name = argv[i];
	for (int i = 0; i < n; i++) {
		static const char *const words[] = { "as on a kernel", "as listed", "NEITHER", "not to be tried here" };
		enum verdict got;

		context("%s", rows[i].id);
		errno = 0;
		got = rows[i].try();
		printf("%-4s %-36s %s\n", rows[i].id, rows[i].what, words[got]);
		if (got == NOT_HERE)
			skipped++;
		else
			wrong += got != (rows[i].id[0] == 'S' ? wanted_of_sync_files : wanted);
	}
	printf("deviations: %d rows, %d not to be tried here, %d other than wanted%s\n", n, skipped, wrong, wrong ? "" : ": ok");
	return wrong != 0;
}
