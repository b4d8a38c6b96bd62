package sys

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/uapi"
)

// MergeSyncFile makes a new sync file of the fences of one, of which those that have signalled become one that the kernel keeps for
// that (drivers/dma-buf/sync_file.c). A name is at most uapi.SyncNameLen-1 bytes, with "" the kernel names it by its fence. file stays
// the caller's, and so becomes the new descriptor, which is close-on-exec. EMFILE, ENFILE, ENOMEM.
func MergeSyncFile(file int, name string) (int, error) {
	req := struct {
		name       [uapi.SyncNameLen]byte
		fd2, fence int32
		flags, pad uint32
	}{fd2: int32(file), fence: -1}
	copy(req.name[:len(req.name)-1], name)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(file), uintptr(uapi.SyncIoctlMerge), uintptr(unsafe.Pointer(&req))); errno != 0 {
		return -1, os.NewSyscallError("ioctl SYNC_IOC_MERGE", errno)
	}
	return int(req.fence), nil
}
