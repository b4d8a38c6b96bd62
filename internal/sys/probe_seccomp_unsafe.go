package sys

import (
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// ProbeInstallListener is InstallListener with the flags of the caller's
// choice beside SECCOMP_FILTER_FLAG_NEW_LISTENER: package doctor tells with it
// a kernel without listeners from one without WAIT_KILLABLE_RECV, which both
// answer EINVAL. The caller owns the descriptor, which is close-on-exec.
func ProbeInstallListener(prog []bpf.RawInstruction, flags uintptr) (int, error) {
	filter := make([]unix.SockFilter, len(prog))
	for i, ins := range prog {
		filter[i] = unix.SockFilter{Code: ins.Op, Jt: ins.Jt, Jf: ins.Jf, K: ins.K}
	}
	fprog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	fd, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		flags|unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&fprog)))
	runtime.KeepAlive(filter)
	if errno != 0 {
		return -1, os.NewSyscallError("seccomp SET_MODE_FILTER", errno)
	}
	return int(fd), nil
}

// ProbeCall issues ioctl(fd, cmd, 0), the call that a probe's filter traps.
func ProbeCall(fd int, cmd uint32) error {
	_, err := probeIoctl("ioctl", fd, uintptr(cmd), nil)
	return err
}
