package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// ReadVM reads len(p) bytes at addr of thread tid's memory (process_vm_readv(2)). n is what could be read before the first bad
// page; EFAULT when that is nothing. ESRCH: no such thread. EPERM: not allowed to look. The call waits as long as the page takes
// to arrive, which the other side may delay for ever.
func ReadVM(tid int, p []byte, addr uint64) (n int, err error) {
	return vm(unix.SYS_PROCESS_VM_READV, tid, p, addr)
}

// WriteVM is the same in the other direction (process_vm_writev(2)).
func WriteVM(tid int, p []byte, addr uint64) (n int, err error) {
	return vm(unix.SYS_PROCESS_VM_WRITEV, tid, p, addr)
}

func vm(trap uintptr, tid int, p []byte, addr uint64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	local := unix.Iovec{Base: &p[0], Len: uint64(len(p))}
	remote := unix.RemoteIovec{Base: uintptr(addr), Len: len(p)}
	for {
		n, _, errno := unix.Syscall6(trap, uintptr(tid), uintptr(unsafe.Pointer(&local)), 1, uintptr(unsafe.Pointer(&remote)), 1, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
			continue
		default:
			return 0, errno
		}
	}
}
