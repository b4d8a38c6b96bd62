package sys

import (
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Notif is struct seccomp_notif: one system call of a caller that waits for an answer (include/uapi/linux/seccomp.h).
type Notif struct {
	ID    uint64
	TID   uint32 // thread id in the listener's pid namespace, 0 if not visible there
	Flags uint32
	NR    int32
	Arch  uint32
	IP    uint64
	Args  [6]uint64
}

type notifResp struct {
	id    uint64
	val   int64
	error int32
	flags uint32
}

type notifAddFD struct {
	id         uint64
	flags      uint32
	srcFD      uint32
	newFD      uint32
	newFDFlags uint32
}

// InstallListener installs prog on the calling thread and returns its notification descriptor (O_CLOEXEC). The thread must be
// locked to its goroutine: the filter holds for it and for what it executes or clones, not for the process's other threads.
//
// It needs no_new_privs or CAP_SYS_ADMIN (else EACCES). EBUSY: a filter with a listener is on this thread already. EINVAL:
// the kernel lacks WAIT_KILLABLE_RECV (before 5.19).
func InstallListener(prog []bpf.RawInstruction) (int, error) {
	filter := make([]unix.SockFilter, len(prog))
	for i, ins := range prog {
		filter[i] = unix.SockFilter{Code: ins.Op, Jt: ins.Jt, Jf: ins.Jf, K: ins.K}
	}
	fprog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	const flags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	fd, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&fprog)))
	runtime.KeepAlive(filter)
	if errno != 0 {
		return -1, os.NewSyscallError("seccomp SET_MODE_FILTER", errno)
	}
	return int(fd), nil
}

// NotifRecv waits for the next notification. Besides real failures it returns EINTR (a signal to this thread) and ENOENT (the
// caller was signalled or died before it could be received, or, from Linux 6.11, nobody uses the filter any more) as bare errno.
func NotifRecv(listener int, n *Notif) syscall.Errno {
	*n = Notif{}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(n)))
	return errno
}

// NotifSend ends the caller's system call: with errno, or with the value 0 when errno is 0. ENOENT: the caller is gone.
func NotifSend(listener int, id uint64, errno syscall.Errno) syscall.Errno {
	return notifSend(listener, notifResp{id: id, error: -int32(errno)})
}

// NotifContinue lets the kernel execute the caller's system call as if there were no filter.
func NotifContinue(listener int, id uint64) syscall.Errno {
	return notifSend(listener, notifResp{id: id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE})
}

func notifSend(listener int, resp notifResp) syscall.Errno {
	return notifIoctl(listener, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&resp))
}

// notifIoctl retries EINTR: the kernel takes the listener's lock interruptibly, so that any signal of ours (the Go runtime's
// preemption) can end the call before it has done anything. An answer that is lost this way would leave its caller waiting.
func notifIoctl(listener int, request uintptr, arg unsafe.Pointer) syscall.Errno {
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), request, uintptr(arg))
		if errno != unix.EINTR {
			return errno
		}
	}
}

// NotifValid reports whether the caller still waits: 0, or ENOENT.
func NotifValid(listener int, id uint64) syscall.Errno {
	return notifIoctl(listener, unix.SECCOMP_IOCTL_NOTIF_ID_VALID, unsafe.Pointer(&id))
}

// NotifAddFD installs a duplicate of fd in the caller at the lowest free number, which it returns. fd stays the caller's of this
// function. EMFILE is the caller's limit; ENOENT, EINPROGRESS: the notification is no longer open.
//
// SECCOMP_ADDFD_FLAG_SEND is not used: it makes the trapped call return the descriptor's number instead of 0.
func NotifAddFD(listener int, id uint64, fd int, cloexec bool) (int, syscall.Errno) {
	req := notifAddFD{id: id, srcFD: uint32(fd)}
	if cloexec {
		req.newFDFlags = unix.O_CLOEXEC
	}
	for {
		n, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), unix.SECCOMP_IOCTL_NOTIF_ADDFD, uintptr(unsafe.Pointer(&req)))
		// The wait for the caller's thread is interrupted by any signal of ours, the Go runtime's preemption included.
		if errno == unix.EINTR {
			continue
		}
		return int(n), errno
	}
}

// NotifSyncWakeUp makes the listener and its callers hand over the processor directly (Linux 6.6). Without it a round trip costs
// several times as much. EINVAL, ENOTTY on older kernels.
func NotifSyncWakeUp(listener int) error {
	_, _, errno := unix.RawSyscall(unix.SYS_IOCTL, uintptr(listener), unix.SECCOMP_IOCTL_NOTIF_SET_FLAGS, unix.SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP)
	if errno != 0 {
		return os.NewSyscallError("ioctl SECCOMP_IOCTL_NOTIF_SET_FLAGS", errno)
	}
	return nil
}
