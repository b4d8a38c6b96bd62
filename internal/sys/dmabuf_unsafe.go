package sys

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/uapi"
)

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
