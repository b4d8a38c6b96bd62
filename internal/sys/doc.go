// Package sys is the product's one door to the raw kernel interface: every system call that golang.org/x/sys/unix does not wrap
// as needed, and every use of unsafe (in files that end in _unsafe.go).
//
// The wrappers retry EINTR where the kernel promises that nothing has happened, and return the bare errno wrapped by
// os.NewSyscallError with the call's name. Descriptors that are returned belong to the caller and carry O_CLOEXEC. Policy
// (what an error means to a client) lives with the callers.
package sys
