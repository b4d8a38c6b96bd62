package doctor

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// finding is what a probe saw, before the catalogue adds what is known about
// the thing. It crosses from the child to the parent as JSON.
type finding struct {
	Name    string     `json:"name"`
	OK      bool       `json:"ok"`
	Unknown bool       `json:"unknown,omitempty"`
	Detail  string     `json:"detail"`
	Errno   unix.Errno `json:"errno,omitempty"`
	// After names the earlier probe that stood in the way.
	After string `json:"after,omitempty"`
}

func works(name, format string, args ...any) finding {
	return finding{Name: name, OK: true, Detail: fmt.Sprintf(format, args...)}
}

// fails is a conclusive no, except where err is a shortage of the moment.
func fails(name, op string, err error) finding {
	f := finding{Name: name, Detail: op + ": " + reason(err), Errno: errnoOf(err)}
	if transient(f.Errno) {
		return unknown(name, f.Detail)
	}
	return f
}

// refused is a no even where the errno is one of a shortage: for probes of
// things that are counted, such as huge pages.
func refused(name, op string, err error) finding {
	return finding{Name: name, Detail: op + ": " + reason(err), Errno: errnoOf(err)}
}

func unknown(name, why string) finding {
	return finding{Name: name, Unknown: true, Detail: "could not be tried: " + why}
}

// notReached answers for probes that need what first failed to give.
func notReached(first finding, names ...string) []finding {
	var out []finding
	for _, n := range names {
		out = append(out, finding{
			Name: n, Unknown: first.Unknown, After: first.Name,
			Detail: "not reached without " + first.Name,
		})
	}
	return out
}

// transient reports an errno that speaks of this moment, not of the kernel.
func transient(e unix.Errno) bool {
	switch e {
	case unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EAGAIN, unix.EINTR, unix.ETIMEDOUT:
		return true
	}
	return false
}

func errnoOf(err error) unix.Errno {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return 0
}

// reason is the errno's text alone where there is one: the operation is named
// by the caller, and os.PathError or os.SyscallError would repeat it.
func reason(err error) string {
	if errno := errnoOf(err); errno != 0 {
		return errno.Error()
	}
	return err.Error()
}
