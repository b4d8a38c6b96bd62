/*
 * hang: an ALLOC whose argument lies on a page that never answers (registered with userfaultfd, served by nobody). On
 * a kernel the caller would wait for ever; a heap in user space must give up, and serve the others meanwhile.
 * Needs leave to handle faults of the kernel: root, or vm.unprivileged_userfaultfd=1; status 2 without it.
 */
#include "check.h"

#include <pthread.h>
#include <time.h>

#define PATIENCE_S 20 /* the heap's own limit is about 10 s */

/* include/uapi/linux/userfaultfd.h */
struct uffdio_api {
	uint64_t api, features, ioctls;
};

struct uffdio_register {
	uint64_t start, len, mode, ioctls;
};

#define UFFD_API 0xaaull
#define UFFDIO_API _IOWR(0xaa, 0x3f, struct uffdio_api)
#define UFFDIO_REGISTER _IOWR(0xaa, 0x00, struct uffdio_register)
#define UFFDIO_REGISTER_MODE_MISSING 1ull

static int heap;
static volatile int answered, answer;

static void *ask_on(void *argument)
{
	errno = 0;
	answer = ioctl(heap, DMA_HEAP_IOCTL_ALLOC, argument) == 0 ? 0 : errno;
	answered = 1;
	return NULL;
}

int main(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct timespec now, start;
	int uffd, allocations = 0, in_time;
	pthread_t thread;
	void *page;

	heap = open_system();
	uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (uffd < 0) {
		fprintf(stderr, "userfaultfd: %s\n", strerror(errno));
		return 2;
	}
	CHECK(ioctl(uffd, UFFDIO_API, &api) == 0);
	page = mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(page != MAP_FAILED);
	range.start = (uintptr_t)page;
	range.len = page_size();
	CHECK(ioctl(uffd, UFFDIO_REGISTER, &range) == 0);

	CHECK(pthread_create(&thread, NULL, ask_on, page) == 0);
	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		int fd = alloc(heap, 4096);

		context("ALLOC %d beside the one that hangs", allocations);
		CHECK(fd >= 0);
		CHECK(close(fd) == 0);
		allocations++;
		usleep(10000);
		clock_gettime(CLOCK_MONOTONIC, &now);
		in_time = now.tv_sec - start.tv_sec < PATIENCE_S;
	} while (!answered && in_time);
	context("ALLOC on a page that never answers");
	CHECK(in_time);
	errno = answer;
	CHECK(answer == ENOMEM);
	CHECK(allocations > 10);
	printf("hang: given up after %ld s, %d other allocations meanwhile: ok\n", (long)(now.tv_sec - start.tv_sec),
	       allocations);
	return 0;
}
