// names PROGRAM [DEVICE]: which heap does a program end up with that looks for heaps by name, and does it suit the device?
//
// It tries the names that the program tries, in the program's order and with its open flags, and allocates a 1080p NV12 frame of the first
// heap that opens, as the program would. With a DEVICE it then looks, as the program does not, whether the device's own list of heaps
// (/sys/bus/platform/devices/DEVICE/dma_heaps) has that one.
//
// It prints one line and ends with 0 if the heap suits (or no device was given), 1 if it does not, 2 if no heap opens.
#include <errno.h>
#include <fcntl.h>
#include <linux/types.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAPS "/dev/dma_heap"
#define FRAME (1920 * 1080 * 3 / 2) // no multiple of a page, as programs ask

struct alloc {
	uint64_t len;
	uint32_t fd;
	uint32_t fd_flags;
	uint64_t heap_flags;
};

struct sync {
	uint64_t flags;
};

#define ALLOC _IOWR('H', 0, struct alloc)
#define SYNC _IOW('b', 0, struct sync)
#define SET_NAME _IOW('b', 1, uint64_t)

#define MAX_NAMES 8

static const struct program {
	const char *name;
	int flags;    // of open
	int set_name; // to name the buffer must succeed
	const char *heaps[MAX_NAMES];
} programs[] = {
	// libcamera, dma_buf_allocator.cpp: CMA heaps before system; the fallback to udmabuf is no heap.
	{"libcamera", O_RDWR, 1, {"linux,cma", "reserved", "system"}},
	// Kodi, DMAHeapBufferObject.cpp.
	{"kodi", O_RDWR, 0, {"reserved", "linux,cma", "system"}},
	// rpicam-apps and picamera2, dma_heaps.cpp: never system by its own name.
	{"rpicam", O_RDWR, 1, {"vidbuf_cached", "linux,cma"}},
};

// Rockchip's mpp opens a heap for each combination of three properties, allocator_dma_heap.c.
enum { DMA32 = 1, CACHABLE = 2, CONTIGUOUS = 4 };

static const char *const mpp_heaps[MAX_NAMES] = {
	"system-uncached", "system-uncached-dma32", "system", "system-dma32", "cma-uncached", "cma-uncached-dma32", "cma", "cma-dma32",
};

static const struct {
	const char *name;
	int wants;
} mpp_programs[] = {{"mpp", 0}, {"mpp-dma32", DMA32}, {"mpp-cma", CONTIGUOUS}};

static int open_heap(const char *name, int flags)
{
	char path[512];

	snprintf(path, sizeof(path), HEAPS "/%s", name);
	return open(path, flags | O_CLOEXEC);
}

// open_mpp opens the heap that mpp takes for what is wanted: where that is missing, the one that differs in whether it is cached, else in
// the address limit, else in both. It never takes a contiguous heap for another one, or the reverse.
static int open_mpp(int wants, const char **name)
{
	static const int flips[] = {0, CACHABLE, DMA32, CACHABLE | DMA32};
	unsigned i;

	for (i = 0; i < sizeof(flips) / sizeof(*flips); i++) {
		int fd = open_heap(mpp_heaps[wants ^ flips[i]], O_RDONLY);

		if (fd >= 0) {
			*name = mpp_heaps[wants ^ flips[i]];
			return fd;
		}
	}
	return -1;
}

// open_first opens the first heap of a program's list that there is. *set_name says whether the program names its buffers.
static int open_first(const char *program, const char **name, int *set_name)
{
	unsigned i, j;

	for (i = 0; i < sizeof(mpp_programs) / sizeof(*mpp_programs); i++)
		if (!strcmp(program, mpp_programs[i].name))
			return open_mpp(mpp_programs[i].wants, name);
	for (i = 0; i < sizeof(programs) / sizeof(*programs); i++) {
		const struct program *p = &programs[i];

		if (strcmp(program, p->name))
			continue;
		*set_name = p->set_name;
		for (j = 0; j < MAX_NAMES && p->heaps[j]; j++) {
			int fd = open_heap(p->heaps[j], p->flags);

			if (fd >= 0) {
				*name = p->heaps[j];
				return fd;
			}
		}
		return -1;
	}
	errno = EINVAL;
	return -1;
}

// allocate gets a frame of a heap and uses it as programs do.
static int allocate(int heap, int set_name)
{
	struct alloc a = {.len = FRAME, .fd_flags = O_RDWR | O_CLOEXEC};
	struct sync s = {.flags = 3};
	struct stat st;

	if (ioctl(heap, ALLOC, &a) < 0)
		return -1;
	if (set_name && ioctl(a.fd, SET_NAME, "names-frame") < 0)
		return -1;
	if (ioctl(a.fd, SYNC, &s) < 0)
		return -1;
	s.flags |= 4;
	if (ioctl(a.fd, SYNC, &s) < 0)
		return -1;
	if (fstat(a.fd, &st) < 0)
		return -1;
	if (st.st_size < FRAME) {
		errno = EMSGSIZE;
		return -1;
	}
	return close(a.fd);
}

int main(int argc, char **argv)
{
	char path[512], link[256], list[512];
	const char *name = NULL, *heap;
	int fd, set_name = 0;
	ssize_t n;

	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: names libcamera|kodi|rpicam|mpp|mpp-dma32|mpp-cma [DEVICE]\n");
		return 3;
	}
	fd = open_first(argv[1], &name, &set_name);
	if (fd < 0 && errno == EINVAL) {
		fprintf(stderr, "names: no program %s\n", argv[1]);
		return 3;
	}
	if (fd < 0) {
		printf("%s: no heap\n", argv[1]);
		return 2;
	}
	if (allocate(fd, set_name) < 0) {
		fprintf(stderr, "names: %s: %s\n", name, strerror(errno));
		return 3;
	}
	heap = name;
	snprintf(path, sizeof(path), HEAPS "/%s", name);
	n = readlink(path, link, sizeof(link) - 1);
	if (n > 0) {
		link[n] = 0;
		heap = link;
	}
	printf("%s: %s%s%s", argv[1], name, heap == name ? "" : " -> ", heap == name ? "" : heap);
	if (argc == 2) {
		printf("\n");
		return 0;
	}
	snprintf(list, sizeof(list), "/sys/bus/platform/devices/%s/dma_heaps/%s", argv[2], heap);
	if (access(list, F_OK) < 0) {
		printf(", which does not suit %s\n", argv[2]);
		return 1;
	}
	printf(", which suits %s\n", argv[2]);
	return 0;
}
