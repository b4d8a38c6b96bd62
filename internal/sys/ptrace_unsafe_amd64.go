package sys

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Registers are a stopped thread's.
type Registers = unix.PtraceRegs

// PtraceRegisters reads the registers of a stopped thread.
func PtraceRegisters(tid int) (*Registers, syscall.Errno) {
	var r Registers
	errno := ptrace(unix.PTRACE_GETREGS, tid, 0, uintptr(unsafe.Pointer(&r)), unix.RawSyscall6)
	return &r, errno
}

// PtraceSetRegisters writes them.
func PtraceSetRegisters(tid int, r *Registers) syscall.Errno {
	return ptrace(unix.PTRACE_SETREGS, tid, 0, uintptr(unsafe.Pointer(r)), unix.RawSyscall6)
}
