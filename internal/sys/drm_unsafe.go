package sys

import (
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/uapi"
)

// DRMSyncFile makes a sync file whose fence has signalled, of a synchronisation object that lives until node is closed
// (drivers/gpu/drm/drm_syncobj.c). node is an open DRM node of either kind and stays the caller's, and so becomes the new
// descriptor, which is close-on-exec. EOPNOTSUPP: the driver has no such objects.
func DRMSyncFile(node int) (int, error) {
	object := struct{ handle, flags uint32 }{flags: uapi.DRMSyncobjCreateSignaled}
	if err := drm(node, uapi.DRMSyncobjCreate, unsafe.Pointer(&object)); err != nil {
		return -1, os.NewSyscallError("ioctl DRM_IOCTL_SYNCOBJ_CREATE", err)
	}
	export := struct {
		handle, flags uint32
		fd            int32
		pad           uint32
	}{handle: object.handle, flags: uapi.DRMSyncobjExportSyncFile, fd: -1}
	if err := drm(node, uapi.DRMSyncobjHandleToFD, unsafe.Pointer(&export)); err != nil {
		return -1, os.NewSyscallError("ioctl DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD", err)
	}
	return int(export.fd), nil
}

// DRMDumbBuffer makes a dma-buf of width times height pixels of 4 bytes, which outlives node (drivers/gpu/drm/drm_dumb_buffers.c). node
// is an open primary node (card) and stays the caller's, and so becomes the new descriptor, which is close-on-exec. EACCES: node is
// a render node; ENOSYS: the driver has no such buffers.
func DRMDumbBuffer(node, width, height int) (int, error) {
	dumb := struct {
		height, width, bpp, flags, handle, pitch uint32
		size                                     uint64
	}{height: uint32(height), width: uint32(width), bpp: 32}
	if err := drm(node, uapi.DRMModeCreateDumb, unsafe.Pointer(&dumb)); err != nil {
		return -1, os.NewSyscallError("ioctl DRM_IOCTL_MODE_CREATE_DUMB", err)
	}
	export := struct {
		handle, flags uint32
		fd            int32
	}{handle: dumb.handle, flags: unix.O_CLOEXEC, fd: -1}
	if err := drm(node, uapi.DRMPrimeHandleToFD, unsafe.Pointer(&export)); err != nil {
		return -1, os.NewSyscallError("ioctl DRM_IOCTL_PRIME_HANDLE_TO_FD", err)
	}
	return int(export.fd), nil
}

// drm goes on after a signal: drivers say EINTR where they could start again.
func drm(node int, cmd uapi.Cmd, arg unsafe.Pointer) error {
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(node), uintptr(cmd), uintptr(arg))
		switch {
		case errno == 0:
			return nil
		case !errors.Is(errno, unix.EINTR):
			return errno
		}
	}
}
