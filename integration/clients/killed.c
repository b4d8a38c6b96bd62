/*
 * killed HEAP SIZE: kills allocating processes at arbitrary moments; afterwards the heap's whole memory, in buffers of
 * SIZE bytes, can still be allocated. Not for a heap of a real machine's memory.
 */
#include "check.h"

#include <signal.h>
#include <sys/resource.h>

#define MOST 65536
#define VICTIMS 100

static int buffers[MOST];

static int fill_and_empty(int heap, size_t size)
{
	int n = 0, full;

	while (n < MOST && (buffers[n] = alloc(heap, size)) >= 0)
		n++;
	CHECK(n < MOST && errno == ENOMEM);
	full = n;
	while (n > 0)
		CHECK(close(buffers[--n]) == 0);
	return full;
}

/* Allocates without end, keeping some buffers, some mappings. */
static void victim(int heap, size_t size)
{
	int ring[4] = { -1, -1, -1, -1 };

	for (unsigned i = 0;; i++) {
		int fd = alloc(heap, size);

		CHECK(fd >= 0);
		if (ring[i % 4] >= 0)
			CHECK(close(ring[i % 4]) == 0);
		ring[i % 4] = fd;
		if (i % 16 == 0) {
			unsigned char *p = map_buffer(fd, page_size());

			CHECK(p != NULL);
			p[0] = 1;
			CHECK(munmap(p, page_size()) == 0);
		}
	}
}

int main(int argc, char **argv)
{
	struct rlimit limit;
	size_t size;
	int heap, full;

	if (argc != 3) {
		fprintf(stderr, "usage: killed HEAP SIZE\n");
		return 2;
	}
	heap = open_heap(argv[1], O_RDWR | O_CLOEXEC);
	size = strtoull(argv[2], NULL, 0);
	CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = limit.rlim_max;
	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);

	context("before");
	full = fill_and_empty(heap, size);
	CHECK(full > 16);
	for (unsigned i = 0; i < VICTIMS; i++) {
		int status;
		pid_t pid = fork();

		context("victim %u", i);
		CHECK(pid >= 0);
		if (pid == 0)
			victim(heap, size);
		usleep(200 + i * 7919 % 4000);
		CHECK(kill(pid, SIGKILL) == 0);
		CHECK(waitpid(pid, &status, 0) == pid);
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
	context("after %d killed processes", VICTIMS);
	CHECK(fill_and_empty(heap, size) == full);
	printf("killed: %d buffers before and after: ok\n", full);
	return 0;
}
