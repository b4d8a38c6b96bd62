package sys

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// For the conformance suite, whose subject is the call itself: wrong addresses, odd commands, registers with garbage in them.

// RawCall makes one system call with up to six registers as they are. It does not retry. Addresses among them must be of memory
// that the Go runtime does not own (RawMap), as nothing keeps an object alive or in place for it.
func RawCall(number uintptr, registers ...uintptr) (uintptr, syscall.Errno) {
	var r [6]uintptr
	copy(r[:], registers)
	value, _, errno := unix.Syscall6(number, r[0], r[1], r[2], r[3], r[4], r[5])
	return value, errno
}

// RawMap is mmap(2) with address 0; length and offset are in bytes. The mapping is the caller's.
func RawMap(length uintptr, prot, flags, fd int, offset uintptr) (uintptr, syscall.Errno) {
	return RawCall(unix.SYS_MMAP, 0, length, uintptr(prot), uintptr(flags), uintptr(fd), offset)
}

// RawBytes is the mapped memory of n bytes at addr. Bytes that can't be reached fault when they are touched.
//
// Not inlined: Go 1.26 fails to compile callers that copy to an address it sees as a plain number.
//
//go:noinline
func RawBytes(addr uintptr, n int) []byte {
	// Through a pointer to the number: the address is no Go object's, so nothing can move or be collected under it.
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&addr)), n)
}

// WithoutRestart takes SA_RESTART from the handler that the Go runtime has for a signal, so that calls which the signal
// interrupts end with EINTR. The signal must be one that the program is notified of (os/signal).
func WithoutRestart(signal syscall.Signal) error {
	const setBytes = 8
	// struct sigaction of the kernel: handler, flags, restorer (where the machine has one), mask. flags is the second word on all.
	var action [8]uint64
	if _, _, errno := unix.Syscall6(unix.SYS_RT_SIGACTION, uintptr(signal), 0, uintptr(unsafe.Pointer(&action[0])), setBytes, 0, 0); errno != 0 {
		return errno
	}
	action[1] &^= 0x10000000 // SA_RESTART
	if _, _, errno := unix.Syscall6(unix.SYS_RT_SIGACTION, uintptr(signal), uintptr(unsafe.Pointer(&action[0])), 0, setBytes, 0, 0); errno != 0 {
		return errno
	}
	return nil
}
