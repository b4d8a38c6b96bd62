package sys

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Processor is the number of the one that runs the calling thread, which may be on another by now (getcpu(2)). -1: the kernel does not say.
func Processor() int {
	var cpu uint32
	if _, _, errno := unix.RawSyscall(unix.SYS_GETCPU, uintptr(unsafe.Pointer(&cpu)), 0, 0); errno != 0 {
		return -1
	}
	return int(cpu)
}

// SetProcessors says which ones may run a thread, 0 for the calling one (sched_setaffinity(2)). A thread that runs on another one is moved
// at once, which is waited for.
func SetProcessors(tid int, set *unix.CPUSet) syscall.Errno {
	_, _, errno := unix.Syscall(unix.SYS_SCHED_SETAFFINITY, uintptr(tid), unsafe.Sizeof(*set), uintptr(unsafe.Pointer(set)))
	return errno
}
