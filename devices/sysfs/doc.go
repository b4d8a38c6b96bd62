// Package sysfs owns what /sys shows of a board: its heaps as a kernel describes devices of class dma_heap, its devices where the
// machine has none of that name, and beside each device the proposals of how a program could learn which heaps suit it: the link dma_heap,
// the directory dma_heaps and the attributes of dma_constraints.
//
// It gives files, links and directories as data and performs no I/O: whoever shows them (launch) decides what they are laid over. The board
// itself lives in devices/board. docs/discovery.md describes the files for programs.
package sysfs
