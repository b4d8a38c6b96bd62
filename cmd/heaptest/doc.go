// Command heaptest is the conformance suite of DMA-BUF heaps: it asks every behaviour of a directory of heap nodes and compares each
// answer with what real kernels answered. It is one static program and knows nothing of who answers.
//
//	heaptest [--dir /dev/dma_heap] [--heap system] [--as kernel|memfd|udmabuf|fuse] [--json] [--run REGEXP]
//	heaptest --list
//	heaptest --record > answers/NAME.jsonl
//	heaptest fuzz [flags] -- COMMAND [ARG...]
//	heaptest report [RUN.jsonl...] > docs/conformance.md
//
// Rows are in package rows, each tried in a process of its own by package runner; package judge has the records, the closed list of
// deviations and the verdict; package report writes the document; package fuzz compares two directories by random sequences.
//
// Exit status 0: no row FAILs; 1: some do; 2: nothing could be tried.
package main
