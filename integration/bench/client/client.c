/*
 * What is timed, in C so that no runtime of a language is timed along. It knows nothing of heapfs.
 *
 *   client serve           answers commands on stdin until it is closed
 *   client notify          the same, with a seccomp filter of its own that traps ALLOC and a second process that answers 0
 *   client launch N CMD…   N times `true` and CMD in turn
 *
 * HEAP_DIR is where the heaps are, HEAP_TYPE the type of the ALLOC command, else those of a kernel.
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
#include <sched.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
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

static unsigned long alloc_command = DMA_HEAP_IOCTL_ALLOC;

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

	must(ioctl(heap, alloc_command, &data) == 0, "DMA_HEAP_IOCTL_ALLOC");
	return (int)data.fd;
}

static void open_heap(void)
{
	const char *dir = getenv("HEAP_DIR"), *type = getenv("HEAP_TYPE");
	char node[4096];

	snprintf(node, sizeof(node), "%s/system", dir ? dir : "/dev/dma_heap");
	if (type)
		alloc_command = _IOWR(type[0], 0, struct dma_heap_allocation_data);
	if (heap < 0)
		heap = open(node, O_RDWR | O_CLOEXEC);
	must(heap >= 0, node);
}

/* Buffers of a page that live on. */
static void keep(int n)
{
	open_heap();
	while (n-- > 0)
		alloc(4096);
	printf("{");
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

#ifdef __x86_64__
/* What takes part in the calls that a traced child is made to do. */
static struct {
	int pair[2];
	struct msghdr message;
	struct iovec vector;
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
} shared;

static pid_t traced = -1;
static int to_child[2], from_child[2];

static void move_shared(long nr, void *part, size_t size)
{
	struct iovec area = { part, size };

	must(syscall(nr, traced, &area, 1, &area, 1, 0) == (long)size, "the child's memory");
}

/* The child sleeps in a read, says so before, and has the same memory at the same places. */
static void have_child(void)
{
	char byte = 0;
	int own;

	if (traced >= 0)
		return;
	must(pipe2(to_child, O_CLOEXEC) == 0 && pipe2(from_child, O_CLOEXEC) == 0, "pipe");
	traced = fork();
	must(traced >= 0, "fork");
	if (traced > 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	own = dup(0);
	do
		syscall(SYS_close_range, own, ~0U, 0); /* what it was given */
	while (write(from_child[1], &byte, 1) == 1 && read(to_child[0], &byte, 1) == 1);
	_exit(0);
}

static void stop_at(int want)
{
	int status;

	must(waitpid(traced, &status, __WALL) == traced && WIFSTOPPED(status) && (status >> 8) == want, "a stop of the child");
}

/* One system call of the stopped child: a stop on its way in and one on its way out. */
static long injected(const struct user_regs_struct *at, long nr, long a, long b, long c, long d)
{
	struct user_regs_struct regs = *at;
	struct __ptrace_syscall_info info;

	regs.rip -= 2;
	regs.rax = (unsigned long)nr;
	regs.orig_rax = -1UL;
	regs.rdi = (unsigned long)a;
	regs.rsi = (unsigned long)b;
	regs.rdx = (unsigned long)c;
	regs.r10 = (unsigned long)d;
	must(ptrace(PTRACE_SETREGS, traced, NULL, &regs) == 0, "PTRACE_SETREGS");
	must(ptrace(PTRACE_SYSCALL, traced, NULL, NULL) == 0, "PTRACE_SYSCALL");
	stop_at(SIGTRAP | 0x80);
	must(ptrace(PTRACE_SYSCALL, traced, NULL, NULL) == 0, "PTRACE_SYSCALL");
	stop_at(SIGTRAP | 0x80);
	must(ptrace(PTRACE_GET_SYSCALL_INFO, traced, sizeof(info), &info) > 0, "PTRACE_GET_SYSCALL_INFO");
	errno = info.exit.is_error ? (int)-info.exit.rval : 0;
	must(errno == 0, "a call of the child");
	return info.exit.rval;
}

/* The stops and calls that put a descriptor into a process, and nothing else of what heapfs does. */
static void install(int file, struct user_regs_struct *regs)
{
	int pidfd, own, got;
	struct msghdr out;

	injected(regs, SYS_socketpair, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, (long)shared.pair);
	move_shared(SYS_process_vm_readv, shared.pair, sizeof(shared.pair));
	pidfd = (int)syscall(SYS_pidfd_open, traced, 0);
	own = (int)syscall(SYS_pidfd_getfd, pidfd, shared.pair[1], 0);
	must(own >= 0, "pidfd_getfd");
	close(pidfd);
	shared.vector = (struct iovec){ &shared.byte, 1 };
	shared.message = (struct msghdr){ .msg_iov = &shared.vector, .msg_iovlen = 1, .msg_control = &shared.control,
					  .msg_controllen = sizeof(shared.control) };
	move_shared(SYS_process_vm_writev, &shared.message, sizeof(shared.message) + sizeof(shared.vector));
	out = shared.message;
	shared.control.header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(&shared.control.header), &file, sizeof(int));
	must(sendmsg(own, &out, 0) == 1, "sendmsg");
	close(own);
	injected(regs, SYS_recvmsg, shared.pair[0], (long)&shared.message, MSG_CMSG_CLOEXEC, 0);
	move_shared(SYS_process_vm_readv, &shared.control, sizeof(shared.control));
	memcpy(&got, CMSG_DATA(&shared.control.header), sizeof(int));
	injected(regs, SYS_dup3, got, shared.pair[0], O_CLOEXEC, 0);
	injected(regs, SYS_close_range, shared.pair[1], got, 0, 0);
}

static void measure_stops(int n)
{
	struct user_regs_struct regs;
	int file = memfd_create("floor", MFD_CLOEXEC), i, status;
	char byte = 0;

	have_child();
	for (i = 0; i < n;) {
		double start;

		must(read(from_child[0], &byte, 1) == 1, "the child");
		sched_yield(); /* it sleeps soon */
		start = now();
		must(ptrace(PTRACE_SEIZE, traced, NULL, PTRACE_O_TRACESYSGOOD) == 0, "PTRACE_SEIZE");
		must(ptrace(PTRACE_INTERRUPT, traced, NULL, NULL) == 0, "PTRACE_INTERRUPT");
		must(waitpid(traced, &status, __WALL) == traced, "waitpid");
		must(ptrace(PTRACE_GETREGS, traced, NULL, &regs) == 0, "PTRACE_GETREGS");
		if (regs.orig_rax == SYS_read) {
			install(file, &regs);
			regs.rax = SYS_read;
			regs.rip -= 2;
			regs.orig_rax = -1UL;
			must(ptrace(PTRACE_SETREGS, traced, NULL, &regs) == 0, "PTRACE_SETREGS");
			must(ptrace(PTRACE_DETACH, traced, NULL, NULL) == 0, "PTRACE_DETACH");
			series[0][i++] = now() - start;
		} else {
			must(ptrace(PTRACE_DETACH, traced, NULL, NULL) == 0, "PTRACE_DETACH");
		}
		must(write(to_child[1], &byte, 1) == 1, "the child");
	}
	report("stops", 0, n);
	close(file);
}
#else
static void measure_stops(int n)
{
	(void)n;
	errno = ENOSYS;
	must(0, "calls of a traced child on this machine");
}
#endif

static void serve(void)
{
	static const struct {
		const char *name;
		void (*measure)(int);
	} commands[] = {
		{ "alloc", measure_alloc }, { "notify", measure_notify }, { "memfd", measure_memfd },
		{ "other", measure_other }, { "map", measure_map }, { "cycle", measure_cycle },
		{ "stops", measure_stops }, { "keep", keep },
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
