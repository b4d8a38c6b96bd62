/*
 * basic: every heap of the directory, from opening the node to the last ioctl of the buffer, and the errno of what is
 * refused. Built once per C library, linkage and word size.
 *
 *   basic                           all checks on all heaps
 *   basic --descriptors OPEN SHUT   is descriptor OPEN open and SHUT not? (what exec left over)
 */
#include "basic.h"

#include <dirent.h>

static void check_heap(const char *name)
{
	int heap, read_only;

	heap = open_heap(name, O_RDWR | O_CLOEXEC);
	read_only = open_heap(name, O_RDONLY | O_CLOEXEC);
	check_node(heap, read_only);
	check_alloc(heap);
	check_alloc(read_only);
	check_alloc_errors(heap);
	check_alloc_sizes(heap);
	check_buffer(heap);
	check_sync_ioctl(heap);
	check_names(heap);
	check_sync_files(heap);
	check_raw(heap);
	CHECK(close(heap) == 0);
	CHECK(close(read_only) == 0);
}

int main(int argc, char **argv)
{
	struct dirent *entry;
	int heaps = 0, first_free;
	DIR *dir;

	if (argc == 4 && strcmp(argv[1], "--descriptors") == 0) {
		CHECK(is_open(atoi(argv[2])));
		CHECK(!is_open(atoi(argv[3])));
		return 0;
	}

	close(open_system());
	first_free = lowest_free();
	dir = opendir(heap_dir());
	CHECK(dir != NULL);
	while ((entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		check_heap(entry->d_name);
		printf("%s: ok\n", entry->d_name);
		heaps++;
	}
	CHECK(closedir(dir) == 0);
	CHECK(heaps > 0);
	check_foreign();
	check_context[0] = '\0';
	CHECK(lowest_free() == first_free); /* nothing was left open */
	printf("basic: %d heaps, %d-bit: ok\n", heaps, (int)sizeof(long) * 8);
	return 0;
}
