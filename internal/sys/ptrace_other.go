//go:build !amd64

package sys

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Registers of a machine that the product does not inject into.
type Registers struct{}

// PtraceRegisters is ENOSYS here.
func PtraceRegisters(int) (*Registers, syscall.Errno) { return nil, unix.ENOSYS }

// PtraceSetRegisters is ENOSYS here.
func PtraceSetRegisters(int, *Registers) syscall.Errno { return unix.ENOSYS }
