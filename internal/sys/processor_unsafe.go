package sys

import (
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
