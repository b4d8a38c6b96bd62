package sys

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Commands of /dev/fuse (include/uapi/linux/fuse.h) and /dev/udmabuf
// (include/uapi/linux/udmabuf.h), the same on amd64 and arm64.
const (
	probeFuseBackingOpen  = 0x4010e501 // _IOW(229, 1, struct fuse_backing_map)
	probeFuseBackingClose = 0x4004e502 // _IOW(229, 2, uint32_t)
)

// probeBackingMap is struct fuse_backing_map, 16 bytes.
type probeBackingMap struct {
	fd      int32
	flags   uint32
	padding uint64
}

// probeIoctl issues one ioctl and returns its value. It does not retry: the
// probes want the first answer.
func probeIoctl(name string, fd int, cmd uintptr, arg unsafe.Pointer) (int, error) {
	v, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), cmd, uintptr(arg))
	if errno != 0 {
		return -1, os.NewSyscallError(name, errno)
	}
	return int(v), nil
}

// ProbeFuseBackingOpen registers file as a passthrough backing file of the
// FUSE connection behind dev and returns its id; the file stays the caller's.
// EPERM: passthrough was not negotiated, or no CAP_SYS_ADMIN in the first user
// namespace. EINVAL or ENOTTY: a kernel before 6.9.
func ProbeFuseBackingOpen(dev, file int) (int32, error) {
	req := probeBackingMap{fd: int32(file)}
	id, err := probeIoctl("ioctl FUSE_DEV_IOC_BACKING_OPEN", dev,
		probeFuseBackingOpen, unsafe.Pointer(&req))
	return int32(id), err
}

// ProbeFuseBackingClose drops the registration.
func ProbeFuseBackingClose(dev int, id int32) error {
	_, err := probeIoctl("ioctl FUSE_DEV_IOC_BACKING_CLOSE", dev,
		probeFuseBackingClose, unsafe.Pointer(&id))
	return err
}

// ProbePtraceSeize attaches to thread tid without stopping it, with options
// PTRACE_O_*. Only the calling OS thread is the tracer.
func ProbePtraceSeize(tid int, options uint) error {
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE,
		uintptr(tid), 0, uintptr(options), 0, 0)
	if errno != 0 {
		return os.NewSyscallError("ptrace PTRACE_SEIZE", errno)
	}
	return nil
}

// ProbeAddress is the address of a non-empty b in this process. b must be
// memory that does not move: a package variable, not a goroutine's stack.
func ProbeAddress(b []byte) uint64 {
	return uint64(uintptr(unsafe.Pointer(&b[0])))
}
