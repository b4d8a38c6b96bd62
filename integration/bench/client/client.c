/*
 * What is timed, in C so that no runtime of a language is timed along. It knows nothing of heapfs.
 *
 *   client serve           answers commands on stdin until it is closed
 *   client notify          the same, with a seccomp filter of its own that traps ALLOC and a second process that answers 0
 *   client launch N CMD…   N times `true` and CMD in turn
 *
 * A command is "NAME SAMPLES". The answer is one line of JSON: for each series [median, mean, minimum] in nanoseconds.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* include/uapi/linux/dma-heap.h */
struct dma_heap_allocation_data {
	uint64_t len;
	uint32_t fd;
	uint32_t fd_flags;
	uint64_t heap_flags;
} __attribute__((aligned(8)));

#define DMA_HEAP_IOCTL_ALLOC _IOWR('H', 0, struct dma_heap_allocation_data)

/* include/uapi/linux/seccomp.h; older headers lack them. */
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS _IOW('!', 4, uint64_t)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP 1UL
#endif

#define ALLOC_SIZE (1u << 20)
#define MAP_SIZE (8u << 20)
#define IOCTLS_PER_SAMPLE 1000
#define MAX_SAMPLES 1000000
#define SERIES 4

extern char **environ;

static double *series[SERIES];
static int heap = -1;

static void must(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "client: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Prints series k as a member of a JSON object. */
static void report(const char *name, int k, int n)
{
	double *v = series[k], sum = 0;
	int i;

	for (i = 0; i < n; i++)
		sum += v[i];
	qsort(v, (size_t)n, sizeof(*v), by_size);
	printf("%s\"%s\":[%.3f,%.3f,%.3f]", k ? "," : "{", name, v[n / 2], sum / n, v[0]);
}

static void end_report(void)
{
	puts("}");
	fflush(stdout);
}

static int alloc(size_t size)
{
	struct dma_heap_allocation_data data = { .len = size, .fd_flags = O_RDWR | O_CLOEXEC };

	must(ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &data) == 0, "DMA_HEAP_IOCTL_ALLOC");
	return (int)data.fd;
}

static void open_heap(void)
{
	if (heap < 0)
		heap = open("/dev/dma_heap/system", O_RDWR | O_CLOEXEC);
	must(heap >= 0, "/dev/dma_heap/system");
}

static void measure_alloc(int n)
{
	int i;

	open_heap();
	for (i = 0; i < n; i++) {
		double start = now();

		must(close(alloc(ALLOC_SIZE)) == 0, "close");
		series[0][i] = now() - start;
	}
	report("alloc", 0, n);
}

/* Whatever the descriptor is: the answer is 0 and nothing has happened. */
static void measure_notify(int n)
{
	struct dma_heap_allocation_data data = { 0 };
	int i;

	for (i = 0; i < n; i++) {
		double start = now();

		must(ioctl(0, DMA_HEAP_IOCTL_ALLOC, &data) == 0, "trapped ioctl");
		series[0][i] = now() - start;
	}
	report("notify", 0, n);
}

static void measure_memfd(int n)
{
	int i;

	for (i = 0; i < n; i++) {
		double start = now();
		int fd = memfd_create("floor", MFD_CLOEXEC);

		must(fd >= 0, "memfd_create");
		must(ftruncate(fd, ALLOC_SIZE) == 0, "ftruncate");
		must(close(fd) == 0, "close");
		series[0][i] = now() - start;
	}
	report("memfd", 0, n);
}

static void measure_other(int n)
{
	int ends[2], i, k, waiting;

	must(pipe(ends) == 0, "pipe");
	for (i = 0; i < n; i++) {
		double start = now();

		for (k = 0; k < IOCTLS_PER_SAMPLE; k++)
			must(ioctl(ends[0], FIONREAD, &waiting) == 0, "FIONREAD");
		series[0][i] = (now() - start) / IOCTLS_PER_SAMPLE;
	}
	close(ends[0]);
	close(ends[1]);
	report("other", 0, n);
}

static uint64_t *map(int fd)
{
	void *p = mmap(NULL, MAP_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	must(p != MAP_FAILED, "mmap");
	close(fd);
	memset(p, 1, MAP_SIZE); /* the first touch */
	return p;
}

static double write_pass(uint64_t *p, int value)
{
	double start = now();

	memset(p, value, MAP_SIZE);
	__asm__ volatile("" : : "r"(p) : "memory");
	return now() - start;
}

static double read_pass(const uint64_t *p)
{
	double start = now();
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < MAP_SIZE / sizeof(*p); i++)
		sum += p[i];
	__asm__ volatile("" : : "r"(sum));
	return now() - start;
}

/* A buffer and a plain memfd, side by side. */
static void measure_map(int n)
{
	uint64_t *p[2];
	int i, k, fd;

	open_heap();
	p[0] = map(alloc(MAP_SIZE));
	fd = memfd_create("floor", MFD_CLOEXEC);
	must(fd >= 0 && ftruncate(fd, MAP_SIZE) == 0, "memfd of the size of the buffer");
	p[1] = map(fd);
	for (i = 0; i < n; i++) {
		for (k = 0; k < 2; k++) {
			int which = (i + k) % 2; /* each is first as often as the other */

			series[2 * which][i] = write_pass(p[which], i);
			series[2 * which + 1][i] = read_pass(p[which]);
		}
	}
	munmap(p[0], MAP_SIZE);
	munmap(p[1], MAP_SIZE);
	report("buffer_write", 0, n);
	report("buffer_read", 1, n);
	report("memfd_write", 2, n);
	report("memfd_read", 3, n);
}

/* Answers every notification with 0 until nobody can call any more. */
static void answer(int listener)
{
	struct seccomp_notif call;
	struct seccomp_notif_resp resp;

	for (;;) {
		memset(&call, 0, sizeof(call));
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) != 0) {
			if (errno == EINTR)
				continue;
			_exit(0);
		}
		memset(&resp, 0, sizeof(resp));
		resp.id = call.id;
		ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &resp);
	}
}

/* The listener's number is the same in the second process, for that shares this one's descriptors until it has it. */
static void trap_alloc(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)DMA_HEAP_IOCTL_ALLOC, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = sizeof(code) / sizeof(code[0]), .filter = code };
	int ready[2], listener;
	pid_t pid;
	long child;

	must(pipe2(ready, O_CLOEXEC) == 0, "pipe");
	/* CLONE_FILES without CLONE_VM: the child sees what this process opens later. */
	child = syscall(SYS_clone, 0x400 /* CLONE_FILES */ | SIGCHLD, NULL, NULL, NULL, NULL);
	must(child >= 0, "clone");
	pid = (pid_t)child;
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (read(ready[0], &listener, sizeof(listener)) != sizeof(listener))
			_exit(1);
		answer(listener);
	}
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
	listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
				SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &prog);
	must(listener >= 0, "seccomp listener");
	/* As heapfs does; a kernel that lacks it (before 6.6) lacks it for heapfs too. */
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
	must(write(ready[1], &listener, sizeof(listener)) == sizeof(listener), "pipe");
}

/* A buffer's whole life, for three sizes: ALLOC, mmap, the first touch of every page, munmap, close. */
static void measure_cycle(int n)
{
	static const struct {
		const char *name;
		size_t size;
	} sizes[] = { { "4 KiB", 4096 }, { "1 MiB", 1 << 20 }, { "8 MiB", 8 << 20 } };
	int i, k;

	open_heap();
	for (i = -1; i < n; i++) { /* the first time is not counted */
		for (k = 0; k < 3; k++) {
			double start = now();
			int fd = alloc(sizes[k].size);
			void *p = mmap(NULL, sizes[k].size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

			must(p != MAP_FAILED, "mmap");
			memset(p, i, sizes[k].size);
			munmap(p, sizes[k].size);
			must(close(fd) == 0, "close");
			if (i >= 0)
				series[k][i] = now() - start;
		}
	}
	for (k = 0; k < 3; k++)
		report(sizes[k].name, k, n);
}

static void serve(void)
{
	static const struct {
		const char *name;
		void (*measure)(int);
	} commands[] = {
		{ "alloc", measure_alloc }, { "notify", measure_notify }, { "memfd", measure_memfd },
		{ "other", measure_other }, { "map", measure_map }, { "cycle", measure_cycle },
	};
	char name[16];
	size_t k;
	int n;

	while (scanf("%15s %d", name, &n) == 2) {
		must(n > 0 && n <= MAX_SAMPLES, "number of samples");
		for (k = 0; k < sizeof(commands) / sizeof(commands[0]); k++)
			if (strcmp(name, commands[k].name) == 0)
				commands[k].measure(n);
		end_report();
	}
}

static double spawn(char **argv)
{
	double start = now();
	int status;
	pid_t pid;

	errno = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);
	must(errno == 0, argv[0]);
	must(waitpid(pid, &status, 0) == pid, "waitpid");
	if (status != 0) {
		fprintf(stderr, "client: %s: wait status %#x\n", argv[0], status);
		exit(1);
	}
	return now() - start;
}

static void launch(int n, char **argv)
{
	char name[] = "true", *plain[] = { name, NULL };
	int i;

	must(n > 0 && n <= MAX_SAMPLES, "number of samples");
	for (i = 0; i < n; i++) {
		series[0][i] = spawn(plain);
		series[1][i] = spawn(argv);
	}
	report("true", 0, n);
	report("run", 1, n);
	end_report();
}

int main(int argc, char **argv)
{
	int k;

	for (k = 0; k < SERIES; k++) {
		/* Never written memory costs nothing; the first pass over it should not be timed by accident. */
		series[k] = calloc(MAX_SAMPLES, sizeof(double));
		must(series[k] != NULL, "memory");
	}
	if (argc == 2 && strcmp(argv[1], "notify") == 0) {
		trap_alloc();
		serve();
	} else if (argc == 2 && strcmp(argv[1], "serve") == 0) {
		serve();
	} else if (argc > 3 && strcmp(argv[1], "launch") == 0) {
		launch(atoi(argv[2]), argv + 3);
	} else {
		fprintf(stderr, "usage: client serve | notify | launch N CMD...\n");
		return 2;
	}
	return 0;
}
