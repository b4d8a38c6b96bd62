package sys

import (
	"syscall"
	"time"
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

// ProcessTime is how long the threads of this process have run, all together (CLOCK_PROCESS_CPUTIME_ID).
func ProcessTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
