// Command uapi tries a proposal for the interface of DMA-BUF heaps, before a kernel has it: it runs a program under heapfs whose heap
// nodes take a flag, a longer struct and a further ioctl. The board file says which flags and which size; what they mean is said here.
//
// The proposal is made up. ALLOC's struct gets two fields: a limit on the number of physically contiguous pieces, and the number that
// the buffer has. A command with number 1 tells how long the longest buffer of one piece could be.
package main
