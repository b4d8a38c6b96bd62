/* The parts of `basic`; each checks one side of a heap and ends the program at the first check that fails. */
#ifndef BASIC_H
#define BASIC_H

#include "check.h"

void check_node(int heap, int read_only_heap);
void check_alloc(int heap);
void check_alloc_errors(int heap);
void check_alloc_sizes(int heap);
void check_buffer(int heap);
void check_sync_ioctl(int heap);
void check_names(int heap);
void check_sync_files(int heap);
void check_foreign(void);
void check_raw(int heap);

#endif
