/*
 * threads: the thread that calls ioctl gets the buffer, whichever thread it is.
 *   1. 100 threads allocate at once.
 *   2. A thread with a descriptor table of its own gets the buffer in that table.
 *   3. The first thread ends, the others go on allocating.
 */
#include "check.h"

#include <pthread.h>
#include <sched.h>

#define THREADS 100
#define ROUNDS 10

static int heap;
static pthread_barrier_t start;

static void *allocate_many(void *argument)
{
	unsigned id = (unsigned)(uintptr_t)argument;

	context("thread %u", id);
	pthread_barrier_wait(&start);
	for (unsigned round = 0; round < ROUNDS; round++) {
		size_t len = 1 + (id * 977 + round * 4096) % 40000;
		struct stat st;
		int fd = alloc(heap, len);

		CHECK(fd >= 0);
		CHECK(fstat(fd, &st) == 0 && (size_t)st.st_size == page_align(len));
		use_buffer(fd, len, (unsigned char)(id + 1));
		CHECK(close(fd) == 0);
	}
	return NULL;
}

/* Here the process's table and the thread's differ: the heap is open in the thread's only. */
static void *allocate_in_own_table(void *done)
{
	int own, fd;

	context("thread with its own descriptors");
	CHECK(unshare(CLONE_FILES) == 0);
	own = fcntl(heap, F_DUPFD_CLOEXEC, 400);
	CHECK(own >= 400);
	CHECK(close(heap) == 0);
	fd = alloc(own, 5000);
	CHECK(fd >= 0 && fd == heap); /* the lowest free number of this table */
	use_buffer(fd, 5000, 0x77);
	*(int *)done = fd;
	return NULL;
}

static void *allocate_without_leader(void *argument)
{
	char path[64], line[256];
	int dead = 0;

	(void)argument;
	context("thread without its leader");
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)getpid());
	while (!dead) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t n;

		CHECK(fd >= 0);
		n = read(fd, line, sizeof(line) - 1);
		CHECK(n > 0);
		line[n] = '\0';
		dead = strstr(line, ") Z ") != NULL;
		CHECK(close(fd) == 0);
		usleep(1000);
	}
	for (int i = 0; i < 20; i++) {
		int fd = alloc(heap, 70000);

		CHECK(fd >= 0);
		use_buffer(fd, 70000, 0x42);
		CHECK(close(fd) == 0);
	}
	printf("threads: ok\n");
	fflush(stdout);
	_exit(0);
}

int main(void)
{
	pthread_t threads[THREADS], last;
	int done = -1;

	heap = open_system();
	CHECK(pthread_barrier_init(&start, NULL, THREADS) == 0);
	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, allocate_many, (void *)i) == 0);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);

	CHECK(pthread_create(&last, NULL, allocate_in_own_table, &done) == 0);
	CHECK(pthread_join(last, NULL) == 0);
	CHECK(done == heap);
	done = alloc(heap, 1); /* the process's heap is still what it was */
	CHECK(done > heap);
	CHECK(close(done) == 0);

	CHECK(pthread_create(&last, NULL, allocate_without_leader, NULL) == 0);
	pthread_exit(NULL);
}
