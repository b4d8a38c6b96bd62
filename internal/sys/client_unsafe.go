package sys

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/uapi"
)

// The client's side of the interface, for programs of ours that use heaps as any other does.

// HeapAlloc is DMA_HEAP_IOCTL_ALLOC on an open heap node: length in bytes, flags of O_CLOEXEC and an access mode. The new
// descriptor is the caller's.
func HeapAlloc(heap int, length uint64, flags uint32) (int, error) {
	req := struct {
		length    uint64
		fd, flags uint32
		heapFlags uint64
	}{length: length, flags: flags}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(heap), uintptr(uapi.HeapIoctlAlloc), uintptr(unsafe.Pointer(&req))); errno != 0 {
		return -1, os.NewSyscallError("ioctl DMA_HEAP_IOCTL_ALLOC", errno)
	}
	return int(req.fd), nil
}

// BufSync is DMA_BUF_IOCTL_SYNC for reading and writing: the start of an access by the CPU, or its end.
func BufSync(fd int, end bool) error {
	flags := uint64(3)
	if end {
		flags |= 4
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(uapi.BufIoctlSync), uintptr(unsafe.Pointer(&flags))); errno != 0 {
		return os.NewSyscallError("ioctl DMA_BUF_IOCTL_SYNC", errno)
	}
	return nil
}
