/* The same commands on files that are no heap and no buffer, and ioctl called without a C library's care. */
#include "basic.h"

#include <sys/socket.h>
#include <termios.h>

static const struct {
	const char *name;
	unsigned long cmd;
} commands[] = {
	{ "ALLOC", DMA_HEAP_IOCTL_ALLOC },
	{ "SYNC", DMA_BUF_IOCTL_SYNC },
	{ "SET_NAME_A", DMA_BUF_SET_NAME_A },
	{ "SET_NAME_B", DMA_BUF_SET_NAME_B },
	{ "EXPORT_SYNC_FILE", DMA_BUF_IOCTL_EXPORT_SYNC_FILE },
	{ "IMPORT_SYNC_FILE", DMA_BUF_IOCTL_IMPORT_SYNC_FILE },
	{ "SYNC_IOC_MERGE", SYNC_IOC_MERGE },
	{ "SYNC_IOC_FILE_INFO", SYNC_IOC_FILE_INFO },
};

static void refused_with(const char *what, int fd, int wanted)
{
	CHECK(fd >= 0);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		unsigned char argument[256] = { 0 };

		context("%s on %s", commands[i].name, what);
		CHECK_ERRNO(ioctl(fd, commands[i].cmd, argument), wanted);
	}
}

void check_foreign(void)
{
	int pipes[2], sockets[2], pending = -1, fd;
	struct termios tty;

	CHECK(pipe2(pipes, O_CLOEXEC) == 0);
	refused_with("a pipe", pipes[0], ENOTTY);
	context("the pipe's own ioctl");
	CHECK(write(pipes[1], "12345", 5) == 5);
	CHECK(ioctl(pipes[0], FIONREAD, &pending) == 0 && pending == 5);
	CHECK(close(pipes[0]) == 0 && close(pipes[1]) == 0);

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) == 0);
	refused_with("a socket", sockets[0], ENOTTY);
	CHECK(close(sockets[0]) == 0 && close(sockets[1]) == 0);

	fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	refused_with("a regular file", fd, ENOTTY);
	CHECK(close(fd) == 0);

	fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	refused_with("a directory", fd, ENOTTY);
	CHECK(close(fd) == 0);

	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	refused_with("/dev/null", fd, ENOTTY);
	CHECK(close(fd) == 0);

	/* The caller's own memfd looks most like a buffer and is none. */
	fd = (int)syscall(SYS_memfd_create, "mine", 1u /* MFD_CLOEXEC */);
	CHECK(fd >= 0 && ftruncate(fd, 4096) == 0);
	refused_with("the client's own memfd", fd, ENOTTY);
	CHECK(close(fd) == 0);

	fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	refused_with("a terminal", fd, ENOTTY);
	context("the terminal's own ioctl");
	CHECK(tcgetattr(fd, &tty) == 0);
	CHECK(close(fd) == 0);
}

/* The kernel looks at 32 bits of the descriptor and of the command; the rest is whatever the caller left there. */
void check_raw(int heap)
{
#if __SIZEOF_LONG__ == 8
	static const struct {
		const char *name;
		unsigned long fd_bits, cmd_bits;
	} rows[] = {
		{ "zero-extended", 0, 0 },
		{ "sign-extended command", 0, 0xffffffff00000000ul },
		{ "garbage above the command", 0, 0xdeadbeef00000000ul },
		{ "garbage above the descriptor", 0x1234567800000000ul, 0 },
		{ "garbage above both", 0xffffffff00000000ul, 0x5a5a5a5a00000000ul },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dma_heap_allocation_data data = { .len = 4096, .fd_flags = O_RDWR | O_CLOEXEC };
		unsigned long cmd = (unsigned)DMA_HEAP_IOCTL_ALLOC, sync = (unsigned)DMA_BUF_IOCTL_SYNC;
		uint64_t flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW;

		context("raw ioctl, %s", rows[i].name);
		CHECK(syscall(SYS_ioctl, (unsigned long)heap | rows[i].fd_bits, cmd | rows[i].cmd_bits, &data) == 0);
		CHECK(lseek((int)data.fd, 0, SEEK_END) == (off_t)page_align(4096));
		CHECK(syscall(SYS_ioctl, data.fd | rows[i].fd_bits, sync | rows[i].cmd_bits, &flags) == 0);
		CHECK(close((int)data.fd) == 0);
	}
#else
	struct dma_heap_allocation_data data = { .len = 4096, .fd_flags = O_RDWR | O_CLOEXEC };

	context("raw ioctl");
	CHECK(syscall(SYS_ioctl, heap, DMA_HEAP_IOCTL_ALLOC, &data) == 0);
	CHECK(close((int)data.fd) == 0);
#endif
}
