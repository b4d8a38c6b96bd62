package uapi

import (
	"encoding/binary"
	"syscall"
)

// The heap's own interface (include/uapi/linux/dma-heap.h).
const (
	HeapMagic = 'H'

	// HeapIoctlAlloc is DMA_HEAP_IOCTL_ALLOC with today's struct of 24 bytes.
	HeapIoctlAlloc Cmd = 0xC0184800

	// ValidFDFlags is DMA_HEAP_VALID_FD_FLAGS: O_CLOEXEC | O_ACCMODE.
	ValidFDFlags = syscall.O_CLOEXEC | syscall.O_ACCMODE
	// ValidHeapFlags is DMA_HEAP_VALID_HEAP_FLAGS.
	ValidHeapFlags = 0

	// PageSize is the granule of a buffer's length in bytes. The product runs where the kernel's page is 4 KiB.
	PageSize = 4096

	// MaxHeaps is the number of char-device minors that the kernel reserves for heaps (NUM_HEAP_MINORS).
	MaxHeaps = 128
)

// Offsets of struct dma_heap_allocation_data; byte order is the machine's, and every supported one is little-endian.
const (
	allocLen       = 0
	allocFD        = 8
	allocFDFlags   = 12
	allocHeapFlags = 16
)

// AllocSize is the size of struct dma_heap_allocation_data in bytes.
const AllocSize = 24

// AllocRequest is struct dma_heap_allocation_data. A caller's struct may be shorter (the missing fields are zero) or longer (the
// tail is carried back unchanged): the command's size rules, not this struct's.
type AllocRequest struct {
	Len       uint64 // bytes, not rounded
	FD        uint32 // must be 0 on the way in
	FDFlags   uint32
	HeapFlags uint64
}

// DecodeAlloc reads the request from the bytes that were copied in. It accepts any length, 0 included.
func DecodeAlloc(in []byte) AllocRequest {
	var b [AllocSize]byte
	copy(b[:], in)
	return AllocRequest{
		Len:       binary.LittleEndian.Uint64(b[allocLen:]),
		FD:        binary.LittleEndian.Uint32(b[allocFD:]),
		FDFlags:   binary.LittleEndian.Uint32(b[allocFDFlags:]),
		HeapFlags: binary.LittleEndian.Uint64(b[allocHeapFlags:]),
	}
}

// Check applies the kernel's refusals in the kernel's order and returns the buffer's size in bytes, a multiple of PageSize and
// never 0. Its only error is EINVAL (drivers/dma-buf/dma-heap.c, dma_heap_ioctl_allocate and dma_heap_buffer_alloc).
func (r AllocRequest) Check() (uint64, error) { return r.CheckFlags(ValidHeapFlags) }

// CheckFlags is Check where these bits of HeapFlags are valid.
func (r AllocRequest) CheckFlags(valid uint64) (uint64, error) {
	switch {
	case r.FD != 0:
		return 0, syscall.EINVAL
	case r.FDFlags&^uint32(ValidFDFlags) != 0:
		return 0, syscall.EINVAL
	case r.HeapFlags&^valid != 0:
		return 0, syscall.EINVAL
	}
	// Rounding up may wrap to 0, which is refused like a 0 that was asked for.
	size := (r.Len + PageSize - 1) &^ (PageSize - 1)
	if size == 0 {
		return 0, syscall.EINVAL
	}
	return size, nil
}

// PutAllocFD writes the new descriptor into the bytes that go back to the caller, as far as they reach: a caller whose struct
// ends before the field never learns the number, on a kernel as here.
func PutAllocFD(out []byte, fd uint32) {
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], fd)
	if len(out) > allocFD {
		copy(out[allocFD:], b[:])
	}
}

// AllocFDRange is the part of an argument of size out bytes that PutAllocFD changes.
func AllocFDRange(out int) (from, to int) {
	if out <= allocFD {
		return 0, 0
	}
	return allocFD, min(out, allocFD+4)
}
