/*
 * forks: the caller of each ioctl counts, never the opener of the node.
 *   forks                    children on an inherited and on a dup'ed descriptor, vfork + exec, fork beside an ALLOC
 *   forks --alloc-on FD      allocates on a descriptor that exec left open
 */
#include "check.h"

#include <pthread.h>

static void allocate_and_use(int heap, unsigned char pattern)
{
	for (int i = 0; i < 5; i++) {
		int expected = lowest_free(), fd = alloc(heap, 20000);

		CHECK(fd == expected);
		use_buffer(fd, 20000, pattern);
		CHECK(close(fd) == 0);
	}
}

/* Children, and children of children, that end before and after their parent. */
static void children(int heap, const char *what)
{
	pid_t pids[8];

	for (int i = 0; i < 8; i++) {
		CHECK((pids[i] = fork()) >= 0);
		if (pids[i] == 0) {
			pid_t grandchild;

			context("child %d on %s", i, what);
			allocate_and_use(heap, (unsigned char)(i + 1));
			CHECK((grandchild = fork()) >= 0);
			if (grandchild == 0) {
				context("grandchild %d on %s", i, what);
				allocate_and_use(heap, (unsigned char)(i + 101));
				_exit(0);
			}
			wait_child(grandchild);
			_exit(0);
		}
	}
	allocate_and_use(heap, 99);
	for (int i = 0; i < 8; i++)
		wait_child(pids[i]);
}

/* A buffer made before fork is one memory in both. */
static void shared_buffer(int heap)
{
	int fd = alloc(heap, 8192);
	unsigned char *p;
	pid_t pid;

	context("buffer made before fork");
	CHECK(fd >= 0);
	CHECK((p = map_buffer(fd, 8192)) != NULL);
	CHECK((pid = fork()) >= 0);
	if (pid == 0) {
		p[0] = 1;
		CHECK(sync_buffer(fd, DMA_BUF_SYNC_END | DMA_BUF_SYNC_WRITE) == 0);
		CHECK(map_buffer(fd, 8192)[0] == 1);
		p[8191] = 2;
		_exit(0);
	}
	wait_child(pid);
	CHECK(p[0] == 1 && p[8191] == 2);
	CHECK(munmap(p, 8192) == 0 && close(fd) == 0);
}

static void vfork_and_exec(int heap)
{
	char number[16];
	int inherited = dup(heap); /* without CLOEXEC */
	pid_t pid;

	context("vfork and exec");
	CHECK(inherited >= 0);
	snprintf(number, sizeof(number), "%d", inherited);
	for (int i = 0; i < 5; i++) {
		CHECK((pid = vfork()) >= 0);
		if (pid == 0) {
			execl("/proc/self/exe", "forks", "--alloc-on", number, (char *)NULL);
			_exit(3);
		}
		wait_child(pid);
	}
	CHECK(close(inherited) == 0);
}

static volatile int stop;

static void *allocate_until_stopped(void *heap)
{
	while (!stop) {
		int fd = alloc(*(int *)heap, 4096);

		CHECK(fd >= 0);
		CHECK(close(fd) == 0);
	}
	return NULL;
}

/* fork may come at any moment of another thread's ALLOC. */
static void fork_beside_alloc(int heap)
{
	pthread_t other;

	context("fork beside an ALLOC");
	CHECK(pthread_create(&other, NULL, allocate_until_stopped, &heap) == 0);
	for (int i = 0; i < 100; i++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid == 0) {
			int fd = alloc(heap, 9000);

			CHECK(fd >= 0);
			use_buffer(fd, 9000, 0x3c);
			_exit(0);
		}
		wait_child(pid);
	}
	stop = 1;
	CHECK(pthread_join(other, NULL) == 0);
}

int main(int argc, char **argv)
{
	int heap, copy;

	if (argc == 3 && strcmp(argv[1], "--alloc-on") == 0) {
		context("after exec");
		allocate_and_use(atoi(argv[2]), 0x66);
		return 0;
	}
	heap = open_system();
	children(heap, "the inherited descriptor");
	copy = fcntl(heap, F_DUPFD_CLOEXEC, 100);
	CHECK(copy >= 100);
	CHECK(close(heap) == 0);
	children(copy, "a dup'ed descriptor");
	shared_buffer(copy);
	vfork_and_exec(copy);
	fork_beside_alloc(copy);
	printf("forks: ok\n");
	return 0;
}
