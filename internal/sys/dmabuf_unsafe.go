package sys

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/uapi"
)

// UdmabufCreate makes a dma-buf of the first size bytes of memfd, which must be sealed against shrinking and not against writing
// (drivers/dma-buf/udmabuf.c). dev is an open /dev/udmabuf; memfd stays the caller's, and so becomes the new descriptor.
func UdmabufCreate(dev, memfd int, size uint64) (int, error) {
	const (
		create  = 0x40187542 // _IOW('u', 0x42, struct udmabuf_create)
		cloexec = 1          // UDMABUF_FLAGS_CLOEXEC
	)
	req := struct {
		memfd, flags uint32
		offset, size uint64
	}{memfd: uint32(memfd), flags: cloexec, size: size}
	fd, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(dev), create, uintptr(unsafe.Pointer(&req)))
	if errno != 0 {
		return -1, os.NewSyscallError("ioctl UDMABUF_CREATE", errno)
	}
	return int(fd), nil
}

// ExportSyncFile gives a sync file of all that works on a dma-buf: one that has signalled where nothing does. The descriptor is
// the caller's.
func ExportSyncFile(dmabuf int) (int, error) {
	const readWrite = 3 // DMA_BUF_SYNC_RW
	req := struct {
		flags uint32
		fd    int32
	}{flags: readWrite, fd: -1}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(dmabuf), uintptr(uapi.BufIoctlExportSyncFile), uintptr(unsafe.Pointer(&req))); errno != 0 {
		return -1, os.NewSyscallError("ioctl DMA_BUF_IOCTL_EXPORT_SYNC_FILE", errno)
	}
	return int(req.fd), nil
}
