/*
 * hold HEAP SIZE COUNT: allocates COUNT buffers of SIZE bytes, prints "buffer FD" for each and "ready", then obeys lines
 * on stdin until it ends:
 *   name FD NAME    gives a buffer a name            close FD    gives a buffer back
 *   alloc           allocates one more               open        opens the node once more
 *   fill FD         maps the buffer, writes, reads   quit        ends
 * Each is answered by one line: "ok", "buffer FD", or "error ERRNO".
 */
#include "check.h"

static const char *errno_name(int err)
{
	switch (err) {
	case ENOMEM:
		return "ENOMEM";
	case ENOSYS:
		return "ENOSYS";
	case ENOTCONN:
		return "ENOTCONN";
	case EINTR:
		return "EINTR";
	case ECONNABORTED:
		return "ECONNABORTED";
	case EMFILE:
		return "EMFILE";
	case EINVAL:
		return "EINVAL";
	}
	return strerror(err);
}

static void answer(int failed)
{
	if (failed)
		printf("error %s\n", errno_name(errno));
	else
		printf("ok\n");
}

static void allocate(int heap, uint64_t size)
{
	int fd = alloc(heap, size);

	if (fd < 0)
		printf("error %s\n", errno_name(errno));
	else
		printf("buffer %d\n", fd);
}

static int fill(int fd)
{
	size_t size = (size_t)lseek(fd, 0, SEEK_END);
	unsigned char *p = map_buffer(fd, size);

	if (!p)
		return -1;
	memset(p, 0x3d, size);
	CHECK(p[0] == 0x3d && p[size - 1] == 0x3d);
	return munmap(p, size);
}

int main(int argc, char **argv)
{
	char line[256], name[128], node[PATH_MAX];
	uint64_t size;
	int heap, fd;

	if (argc != 4) {
		fprintf(stderr, "usage: hold HEAP SIZE COUNT\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	heap = open_heap(argv[1], O_RDWR | O_CLOEXEC);
	snprintf(node, sizeof(node), "%s/%s", heap_dir(), argv[1]);
	size = strtoull(argv[2], NULL, 0);
	for (int i = atoi(argv[3]); i > 0; i--)
		allocate(heap, size);
	printf("ready\n");
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "name %d %127s", &fd, name) == 2) {
			answer(ioctl(fd, DMA_BUF_SET_NAME_A, name) != 0);
		} else if (sscanf(line, "close %d", &fd) == 1) {
			answer(close(fd) != 0);
		} else if (sscanf(line, "fill %d", &fd) == 1) {
			answer(fill(fd) != 0);
		} else if (strcmp(line, "alloc\n") == 0) {
			allocate(heap, size);
		} else if (strcmp(line, "open\n") == 0) {
			answer((fd = open(node, O_RDWR | O_CLOEXEC)) < 0);
			close(fd);
		} else if (strcmp(line, "quit\n") == 0) {
			return 0;
		} else {
			printf("error: unknown line\n");
		}
	}
	return 0;
}
