/* maps: a mapping keeps its buffer, without a descriptor, in part, made smaller, in a child. */
#include "check.h"

#define PAGES 16

static void holds(const unsigned char *p, size_t from, size_t to)
{
	size_t page = page_size();

	for (size_t i = from; i < to; i++)
		CHECK(p[i * page] == (unsigned char)(i + 1) && p[i * page + page - 1] == (unsigned char)(i + 1));
}

static unsigned char *mapped_and_closed(int heap)
{
	size_t page = page_size();
	int fd = alloc(heap, PAGES * page);
	unsigned char *p;

	CHECK(fd >= 0);
	CHECK((p = map_buffer(fd, PAGES * page)) != NULL);
	CHECK(close(fd) == 0);
	for (size_t i = 0; i < PAGES; i++)
		memset(p + i * page, (int)i + 1, page);
	return p;
}

/* Other buffers come and go, and would be written over what is still mapped if it counted as free. */
static void disturb(int heap)
{
	for (int i = 0; i < 50; i++) {
		int fd = alloc(heap, PAGES * page_size());

		CHECK(fd >= 0);
		use_buffer(fd, PAGES * page_size(), 0xee);
		CHECK(close(fd) == 0);
	}
}

int main(void)
{
	size_t page = page_size();
	int heap = open_system(), fd;
	unsigned char *p, *q;
	pid_t pid;

	context("used after close");
	p = mapped_and_closed(heap);
	disturb(heap);
	holds(p, 0, PAGES);
	CHECK(munmap(p, PAGES * page) == 0);

	context("half unmapped");
	p = mapped_and_closed(heap);
	CHECK(munmap(p, PAGES / 2 * page) == 0);
	disturb(heap);
	holds(p, PAGES / 2, PAGES);
	CHECK(munmap(p + (PAGES - 1) * page, page) == 0);
	disturb(heap);
	holds(p, PAGES / 2, PAGES - 1);
	CHECK(munmap(p + PAGES / 2 * page, (PAGES / 2 - 1) * page) == 0);

	context("mremap to fewer pages");
	p = mapped_and_closed(heap);
	q = mremap(p, PAGES * page, 3 * page, 0);
	CHECK(q == p);
	disturb(heap);
	holds(q, 0, 3);
	q = mremap(q, 3 * page, 3 * page, MREMAP_MAYMOVE);
	CHECK(q != MAP_FAILED);
	holds(q, 0, 3);
	CHECK(munmap(q, 3 * page) == 0);

	context("read-only mapping");
	fd = alloc(heap, page);
	CHECK(fd >= 0);
	CHECK((p = map_buffer(fd, page)) != NULL);
	q = mmap(NULL, page, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(q != MAP_FAILED && close(fd) == 0);
	p[7] = 0x77;
	CHECK(munmap(p, page) == 0);
	disturb(heap);
	CHECK(q[7] == 0x77);
	CHECK(munmap(q, page) == 0);

	context("the child's mapping");
	p = mapped_and_closed(heap);
	CHECK((pid = fork()) >= 0);
	if (pid == 0) {
		disturb(heap);
		holds(p, 0, PAGES);
		p[0] = 0x99;
		_exit(0);
	}
	wait_child(pid);
	CHECK(p[0] == 0x99);
	CHECK(munmap(p, PAGES * page) == 0);

	printf("maps: ok\n");
	return 0;
}
