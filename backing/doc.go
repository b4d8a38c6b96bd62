// Package backing owns what is behind a heap: pools and extents, which model physical memory, and the files that hold a buffer's
// bytes, with the moment when nobody holds one any more.
//
// The two are separate: an extent is a range of a pool's address space and touches no memory; a file is a memfd of the buffer's
// size and knows no address. heapnodes joins them in an ALLOC. What a device sees of a buffer (IOVA) lives elsewhere.
package backing
