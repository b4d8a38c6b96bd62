package sys

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/psx"
)

// Processor is the number of the one that runs the calling thread, which may be on another by now (getcpu(2)). -1: the kernel does not say.
func Processor() int {
	var cpu uint32
	if _, _, errno := unix.RawSyscall(unix.SYS_GETCPU, uintptr(unsafe.Pointer(&cpu)), 0, 0); errno != 0 {
		return -1
	}
	return int(cpu)
}

// Confine says which processors may run the threads that this process has, and with them those that they start (sched_setaffinity(2)).
func Confine(to *unix.CPUSet) syscall.Errno {
	var pin runtime.Pinner // all that psx gets is a number: nothing else keeps the set where it is
	defer pin.Unpin()
	pin.Pin(to)
	_, _, errno := psx.Syscall3(unix.SYS_SCHED_SETAFFINITY, 0, unsafe.Sizeof(*to), uintptr(unsafe.Pointer(to)))
	return errno
}
