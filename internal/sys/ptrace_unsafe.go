package sys

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// All requests on a traced thread must come from the OS thread that seized it (ptrace(2)); else they are ESRCH.

// SyscallStop says where a traced thread has stopped (struct ptrace_syscall_info, include/uapi/linux/ptrace.h).
type SyscallStop struct {
	Op    uint8  // unix.PTRACE_SYSCALL_INFO_NONE, _ENTRY, _EXIT
	Arch  uint32 // AUDIT_ARCH_*
	IP    uint64
	SP    uint64
	Value int64 // at _EXIT: what the call returns, -errno for a failure
}

// the kernel's struct is longer for entries; it copies as much as there is room for.
type syscallInfo struct {
	op   uint8
	_    [3]uint8
	arch uint32
	ip   uint64
	sp   uint64
	rval int64
	_    [7]uint64
}

// PtraceSeize makes the calling OS thread the tracer of thread tid, which goes on running. options are PTRACE_O_*. EPERM: not
// allowed, already traced, or an option is refused. EINVAL: the kernel does not know an option. ESRCH: no such thread.
func PtraceSeize(tid int, options uintptr) syscall.Errno {
	for {
		errno := ptrace(unix.PTRACE_SEIZE, tid, 0, options, unix.Syscall6)
		// The wait for an execve of the thread's process is interrupted by any signal of ours.
		if errno != unix.EINTR {
			return errno
		}
	}
}

// PtraceInterrupt makes a seized thread stop before it returns to user space.
func PtraceInterrupt(tid int) syscall.Errno {
	return ptrace(unix.PTRACE_INTERRUPT, tid, 0, 0, unix.RawSyscall6)
}

// PtraceSyscall lets a stopped thread go on to the next entry to or exit from a system call, with signal sig, 0 for none.
func PtraceSyscall(tid int, sig syscall.Signal) syscall.Errno {
	return ptrace(unix.PTRACE_SYSCALL, tid, 0, uintptr(sig), unix.RawSyscall6)
}

// PtraceDetach lets a stopped thread go for good.
func PtraceDetach(tid int) syscall.Errno {
	return ptrace(unix.PTRACE_DETACH, tid, 0, 0, unix.RawSyscall6)
}

// PtraceSigMask reads the signals that a stopped thread blocks.
func PtraceSigMask(tid int) (mask uint64, errno syscall.Errno) {
	errno = ptrace(unix.PTRACE_GETSIGMASK, tid, unsafe.Sizeof(mask), uintptr(unsafe.Pointer(&mask)), unix.RawSyscall6)
	return mask, errno
}

// PtraceSetSigMask sets them. SIGKILL and SIGSTOP can't be blocked.
func PtraceSetSigMask(tid int, mask uint64) syscall.Errno {
	return ptrace(unix.PTRACE_SETSIGMASK, tid, unsafe.Sizeof(mask), uintptr(unsafe.Pointer(&mask)), unix.RawSyscall6)
}

// PtraceSyscallInfo says where a stopped thread is (Linux 5.3).
func PtraceSyscallInfo(tid int) (SyscallStop, syscall.Errno) {
	var info syscallInfo
	errno := ptrace(unix.PTRACE_GET_SYSCALL_INFO, tid, unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), unix.RawSyscall6)
	return SyscallStop{Op: info.op, Arch: info.arch, IP: info.ip, SP: info.sp, Value: info.rval}, errno
}

type rawCall = func(trap, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2 uintptr, err syscall.Errno)

//go:uintptrescapes
func ptrace(request uintptr, tid int, addr, data uintptr, call rawCall) syscall.Errno {
	_, _, errno := call(unix.SYS_PTRACE, request, uintptr(tid), addr, data, 0, 0)
	return errno
}

// WaitTraced waits for a traced thread to stop or end. EINTR: a signal that InterruptsCalls. ECHILD: it is no longer traced.
func WaitTraced(tid int) (unix.WaitStatus, syscall.Errno) {
	var status int32
	_, _, errno := unix.Syscall6(unix.SYS_WAIT4, uintptr(tid), uintptr(unsafe.Pointer(&status)), unix.WALL|unix.WNOTHREAD, 0, 0, 0)
	return unix.WaitStatus(uint32(status)), errno
}

// the kernel's struct sigaction.
type sigaction struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

const (
	sigsetSize  = 8
	saRestart   = 0x10000000
	saNoCldStop = 1
)

// InterruptsCalls has a signal that the Go runtime handles end a wait with EINTR, instead of having the kernel begin it anew.
func InterruptsCalls(sig syscall.Signal) syscall.Errno {
	return changeAction(sig, func(sa *sigaction) { sa.flags &^= saRestart })
}

// NoStopSignals has the stops of children and of traced threads raise no SIGCHLD. Whoever waits for them is woken all the same.
func NoStopSignals() syscall.Errno {
	return changeAction(unix.SIGCHLD, func(sa *sigaction) { sa.flags |= saNoCldStop })
}

func changeAction(sig syscall.Signal, change func(*sigaction)) syscall.Errno {
	var sa sigaction
	if _, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), 0, uintptr(unsafe.Pointer(&sa)), sigsetSize, 0, 0); errno != 0 {
		return errno
	}
	change(&sa)
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&sa)), 0, sigsetSize, 0, 0)
	return errno
}
