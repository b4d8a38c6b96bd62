/* passfd: buffers and heaps that come from another process by SCM_RIGHTS, used after their sender has died. */
#include "check.h"

#include <sys/socket.h>

#define SIZE 300000

union control {
	char bytes[CMSG_SPACE(2 * sizeof(int))];
	struct cmsghdr align;
};

static void send_two(int socket, const int fds[2])
{
	union control control = { 0 };
	char byte = 'x';
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = control.bytes,
				  .msg_controllen = sizeof(control.bytes) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(2 * sizeof(int));
	memcpy(CMSG_DATA(header), fds, 2 * sizeof(int));
	CHECK(sendmsg(socket, &message, 0) == 1);
}

static void receive_two(int socket, int fds[2])
{
	union control control = { 0 };
	char byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = control.bytes,
				  .msg_controllen = sizeof(control.bytes) };
	struct cmsghdr *header;

	CHECK(recvmsg(socket, &message, MSG_CMSG_CLOEXEC) == 1);
	header = CMSG_FIRSTHDR(&message);
	CHECK(header && header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(2 * sizeof(int)));
	memcpy(fds, CMSG_DATA(header), 2 * sizeof(int));
}

static void sender(int socket)
{
	int fds[2];
	unsigned char *p;

	context("sender");
	fds[0] = open_system();
	fds[1] = alloc(fds[0], SIZE);
	CHECK(fds[1] >= 0);
	CHECK((p = map_buffer(fds[1], SIZE)) != NULL);
	memset(p, 0xc3, SIZE);
	CHECK(ioctl(fds[1], DMA_BUF_SET_NAME_A, "passed on") == 0);
	send_two(socket, fds);
	_exit(0);
}

int main(void)
{
	int sockets[2], fds[2], fd;
	unsigned char *p;
	struct stat st;
	pid_t pid;
	size_t i;

	close(open_system()); /* no heap: end here, with status 2 */
	for (int round = 0; round < 10; round++) {
		context("round %d", round);
		CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) == 0);
		CHECK((pid = fork()) >= 0);
		if (pid == 0)
			sender(sockets[1]);
		wait_child(pid); /* the descriptors are in flight now, in no process */
		usleep(round * 2000);
		receive_two(sockets[0], fds);

		CHECK(fstat(fds[1], &st) == 0 && st.st_size == (off_t)page_align(SIZE));
		CHECK((p = map_buffer(fds[1], SIZE)) != NULL);
		for (i = 0; i < SIZE && p[i] == 0xc3; i++)
			;
		CHECK(i == SIZE);
		CHECK(sync_buffer(fds[1], DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW) == 0);
		CHECK(ioctl(fds[1], DMA_BUF_SET_NAME_B, "received") == 0);
		CHECK(munmap(p, SIZE) == 0);

		/* The heap that the dead process had opened serves the receiver. */
		fd = alloc(fds[0], SIZE);
		CHECK(fd >= 0);
		use_buffer(fd, SIZE, 0x18);
		CHECK(close(fd) == 0);
		CHECK(close(fds[0]) == 0 && close(fds[1]) == 0);
		CHECK(close(sockets[0]) == 0 && close(sockets[1]) == 0);
	}
	printf("passfd: ok\n");
	return 0;
}
