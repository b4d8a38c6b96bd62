package vm

import "errors"

// What can go wrong with a virtual machine, as opposed to the steps in it.
var (
	// ErrPackage: the kernel's package, or a tool to fetch or unpack it, can't be had.
	ErrPackage = errors.New("no kernel package")
	// ErrTools: qemu, busybox or the go command is missing or does not do its work.
	ErrTools = errors.New("tool missing")
	// ErrNotUp: the machine did not get as far as the first step.
	ErrNotUp = errors.New("the virtual machine did not come up")
	// ErrDied: the machine ended before its steps did.
	ErrDied = errors.New("the virtual machine died")
	// ErrTimeout: the machine was still at work when its time was over.
	ErrTimeout = errors.New("the virtual machine hangs")
	// ErrGuest: process 1 could not do its job (a module that can't be loaded, a file that can't be read).
	ErrGuest = errors.New("the guest failed")
	// ErrKernel: the kernel complained on its console: panic, oops, BUG, WARNING, out of memory.
	ErrKernel = errors.New("the kernel complained")
	// ErrTooMuch: the steps print more, or files are larger, than a result can hold.
	ErrTooMuch = errors.New("the guest says too much")
)

// failure is an error of several kinds with one text: a machine may hang because its kernel has complained.
type failure struct {
	text  string
	kinds []error
}

func (f *failure) Error() string { return f.text }

// Unwrap gives errors.Is all of the kinds.
func (f *failure) Unwrap() []error { return f.kinds }

func (f *failure) add(kind error, text string) {
	if f.text != "" {
		f.text += "; "
	}
	f.text += text
	f.kinds = append(f.kinds, kind)
}
