// A caller of heap nodes that looks closely at what an ioctl leaves behind. With a mode and a node as arguments it waits for a line of
// input, does one ALLOC, and prints a JSON object: errno, the descriptor, and what was wrong.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct alloc {
	uint64_t len;
	uint32_t fd, fd_flags;
	uint64_t heap_flags;
};

#define COMMAND _IOWR('X', 0, struct alloc)

static void tell(long result, const struct alloc *a, const char *fault)
{
	printf("{\"Errno\": %ld, \"FD\": %u, \"Fault\": \"%s\"}\n", result < 0 ? -result : 0, a->fd, fault);
	fflush(stdout);
}

static const uint64_t marks[] = {
	0x1111111111111111, 0x2222222222222222, 0x3333333333333333, 0x4444444444444444, 0x5555555555555555, 0x6666666666666666,
	0x7777777777777777, 0x8888888888888888,
};

// registers does the ioctl with a mark in each register that a system call leaves alone, and in the memory around the stack pointer.
static long registers(int heap, struct alloc *a, const char **fault)
{
	static uint64_t in[16], out[16];
	static volatile unsigned char *low, *high;
	static uint64_t sp, result, flags[2], vector[4] = { 1, 2, 3, 4 }, vector_after[2];
	unsigned char *stack = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memset(stack, 0xA5, 65536);
	sp = (uint64_t)stack + 32768;
	in[0] = (uint64_t)heap;
	in[1] = COMMAND;
	in[2] = (uint64_t)a;
	memcpy(in + 3, marks, sizeof(marks));
	__asm__ volatile(
		"push %%rbx\n push %%rbp\n push %%r12\n push %%r13\n push %%r14\n push %%r15\n"
		"mov %%rsp, %%rcx\n"
		"mov %[sp], %%rsp\n"
		"push %%rcx\n"
		"lea %[in], %%rcx\n"
		"mov 0(%%rcx), %%rdi\n mov 8(%%rcx), %%rsi\n mov 16(%%rcx), %%rdx\n"
		"mov 24(%%rcx), %%rbx\n mov 32(%%rcx), %%rbp\n mov 40(%%rcx), %%r8\n mov 48(%%rcx), %%r9\n"
		"mov 56(%%rcx), %%r10\n mov 64(%%rcx), %%r12\n mov 72(%%rcx), %%r13\n mov 80(%%rcx), %%r14\n"
		"mov $0x9999, %%r15\n"
		"movups %[vec], %%xmm7\n"
		"std\n stc\n pushfq\n pop %%rax\n mov %%rax, %[f0]\n"
		"mov $16, %%eax\n"
		"syscall\n"
		"lea %[out], %%rcx\n"
		"mov %%rdi, 0(%%rcx)\n mov %%rsi, 8(%%rcx)\n mov %%rdx, 16(%%rcx)\n"
		"mov %%rbx, 24(%%rcx)\n mov %%rbp, 32(%%rcx)\n mov %%r8, 40(%%rcx)\n mov %%r9, 48(%%rcx)\n"
		"mov %%r10, 56(%%rcx)\n mov %%r12, 64(%%rcx)\n mov %%r13, 72(%%rcx)\n mov %%r14, 80(%%rcx)\n"
		"mov %%r15, 88(%%rcx)\n"
		"mov %%rax, %[res]\n"
		"pushfq\n pop %%rax\n mov %%rax, %[f1]\n cld\n"
		"movups %%xmm7, %[vafter]\n"
		"pop %%rsp\n"
		"pop %%r15\n pop %%r14\n pop %%r13\n pop %%r12\n pop %%rbp\n pop %%rbx\n"
		: [out] "=m"(out), [res] "=m"(result), [f0] "=m"(flags[0]), [f1] "=m"(flags[1]), [vafter] "=m"(vector_after)
		: [in] "m"(in), [sp] "m"(sp), [vec] "m"(vector)
		: "rax", "rcx", "rdx", "rdi", "rsi", "r8", "r9", "r10", "r11", "xmm7", "memory", "cc");
	in[11] = 0x9999;
	for (int i = 0; i < 12; i++)
		if (in[i] != out[i])
			*fault = "a register has changed";
	if (flags[0] != flags[1])
		*fault = "the flags have changed";
	if (memcmp(vector, vector_after, 16))
		*fault = "a vector register has changed";
	// Two pushes of eight bytes went below the pointer.
	low = stack;
	high = stack + 32768;
	for (volatile unsigned char *p = low; p < high - 16; p++)
		if (*p != 0xA5)
			*fault = "memory below the stack pointer has changed";
	return (long)result;
}

// shallow does it with a stack that ends right below its pointer.
static long shallow(int heap, struct alloc *a, const char **fault)
{
	static uint64_t sp, result;
	unsigned char *stack = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char before[8192], after[8192];
	FILE *f;

	(void)fault;
	munmap(stack, 4096);
	sp = (uint64_t)stack + 4096 + 64;
	memset(stack + 4096, 0xA5, 4096);
	f = fopen("/proc/self/maps", "r");
	before[fread(before, 1, sizeof(before) - 1, f)] = 0;
	fclose(f);
	__asm__ volatile(
		"mov %%rsp, %%r12\n mov %[sp], %%rsp\n mov $16, %%eax\n syscall\n mov %%r12, %%rsp\n mov %%rax, %[res]\n"
		: [res] "=m"(result)
		: [sp] "m"(sp), "D"((uint64_t)heap), "S"((uint64_t)COMMAND), "d"(a)
		: "rax", "rcx", "r11", "r12", "memory");
	f = fopen("/proc/self/maps", "r");
	after[fread(after, 1, sizeof(after) - 1, f)] = 0;
	fclose(f);
	if (strcmp(before, after))
		*fault = "a mapping is left";
	for (int i = 0; i < 4096; i++)
		if (stack[4096 + i] != 0xA5)
			*fault = "the stack has changed";
	return (long)result;
}

static sigjmp_buf none;

static void no_such_call(int sig)
{
	(void)sig;
	siglongjmp(none, 1);
}

// old does it by the system call of 32-bit programs.
static long old(int heap, struct alloc *a, const char **fault)
{
	long result;
	struct alloc *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	*low = *a;
	if (sigsetjmp(none, 1)) { // without these calls in the kernel the instruction is a fault
		*fault = "no such calls";
		return -EIO;
	}
	signal(SIGSEGV, no_such_call);
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(54), "b"(heap), "c"(COMMAND), "d"(low) : "memory", "r8", "r9", "r10", "r11");
	if (low->fd != 0)
		*fault = "a descriptor was written";
	*a = *low;
	return (int)result;
}

int main(int argc, char **argv)
{
	struct alloc a = { .len = 8192, .fd_flags = O_RDWR | O_CLOEXEC };
	const char *fault = "";
	char line[16];
	long result;
	int heap;

	if (argc != 3 || (heap = open(argv[2], O_RDWR | O_CLOEXEC)) < 0 || !fgets(line, sizeof(line), stdin))
		return 3;
	if (!strcmp(argv[1], "registers"))
		result = registers(heap, &a, &fault);
	else if (!strcmp(argv[1], "shallow"))
		result = shallow(heap, &a, &fault);
	else if (!strcmp(argv[1], "old"))
		result = old(heap, &a, &fault);
	else
		return 3;
	if (result == 0 && fcntl((int)a.fd, F_GETFD) != FD_CLOEXEC)
		fault = "no descriptor";
	tell(result, &a, fault);
	return 0;
}
