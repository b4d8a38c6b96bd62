/*
 * timer: allocations under a signal every 300 µs, as a program with a profiler or a media clock makes them; with and
 * without SA_RESTART, from setitimer and from timer_create. Every one must succeed, after a few EINTR at the most.
 */
#include "check.h"

#include <signal.h>
#include <sys/time.h>
#include <time.h>

#define ALLOCATIONS 400
#define MAX_RETRIES 50
#define PERIOD_US 300
#define HANDLER_US 200

static volatile sig_atomic_t ticks;

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void on_tick(int signal)
{
	uint64_t end = now_us() + HANDLER_US;

	(void)signal;
	ticks++;
	while (now_us() < end)
		;
}

static int retries, worst;

static void allocate_under_ticks(int heap, const char *what)
{
	retries = worst = 0;

	context("%s", what);
	ticks = 0;
	for (int i = 0; i < ALLOCATIONS; i++) {
		int fd, tries = 0;

		while ((fd = alloc(heap, 100000)) < 0 && errno == EINTR) {
			retries++;
			if (++tries > worst)
				worst = tries;
			CHECK(tries <= MAX_RETRIES);
		}
		CHECK(fd >= 0);
		while (close(fd) != 0)
			CHECK(errno == EINTR);
	}
	CHECK(ticks > 0);
}

/* Called with the timer off: without SA_RESTART a tick would cut the output short. */
static void report(const char *what)
{
	printf("%s: %d allocations, %d ticks, %d retries (most for one: %d)\n", what, ALLOCATIONS, (int)ticks, retries,
	       worst);
}

static void handle(int flags)
{
	struct sigaction action = { .sa_handler = on_tick, .sa_flags = flags };

	sigemptyset(&action.sa_mask);
	CHECK(sigaction(SIGALRM, &action, NULL) == 0);
}

static void with_setitimer(int heap, int flags, const char *what)
{
	struct itimerval on = { { 0, PERIOD_US }, { 0, PERIOD_US } }, off = { 0 };

	handle(flags);
	CHECK(setitimer(ITIMER_REAL, &on, NULL) == 0);
	allocate_under_ticks(heap, what);
	CHECK(setitimer(ITIMER_REAL, &off, NULL) == 0);
	report(what);
}

static void with_timer_create(int heap, int flags, const char *what)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
	struct itimerspec on = { { 0, PERIOD_US * 1000 }, { 0, PERIOD_US * 1000 } };
	timer_t timer;

	handle(flags);
	CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
	CHECK(timer_settime(timer, 0, &on, NULL) == 0);
	allocate_under_ticks(heap, what);
	CHECK(timer_delete(timer) == 0);
	report(what);
}

int main(void)
{
	int heap = open_system();

	with_setitimer(heap, 0, "setitimer");
	with_setitimer(heap, SA_RESTART, "setitimer, SA_RESTART");
	with_timer_create(heap, 0, "timer_create");
	with_timer_create(heap, SA_RESTART, "timer_create, SA_RESTART");
	printf("timer: ok\n");
	return 0;
}
