// Package uapi is the kernel's DMA-BUF heap interface as Go values: ioctl command numbers and their decoding, the argument
// structs as bytes, flag masks, and the errno that a malformed argument deserves.
//
// It makes no system call and keeps no state, so every decoder can be fuzzed. Who reads the bytes from a caller, and what an
// ALLOC does with them, is heapnodes' affair.
package uapi
