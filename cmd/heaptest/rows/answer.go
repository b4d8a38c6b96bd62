package rows

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// orNil makes an error of an errno: nil of 0.
func orNil(errno unix.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

// errName is the name of an errno, "0" where there is none, and the text of any other error.
func errName(err error) string {
	var errno unix.Errno
	switch {
	case err == nil:
		return "0"
	case !errors.As(err, &errno):
		return err.Error()
	case errno == 0:
		return "0"
	}
	if name := unix.ErrnoName(errno); name != "" {
		return name
	}
	return fmt.Sprintf("errno %d", int(errno))
}

// each puts named answers behind each other.
func each(parts ...string) string { return strings.Join(parts, ", ") }

// named is one of them.
func named(name string, answer any) string { return fmt.Sprintf("%s %v", name, answer) }

// value is an errno's name, or, of a call that worked, what it gave.
func value(v any, err error) string {
	if err != nil {
		return errName(err)
	}
	return fmt.Sprint(v)
}

// accessName names the access mode of F_GETFL.
func accessName(flags int) string {
	return []string{"rdonly", "wronly", "rdwr", "accmode"}[flags&unix.O_ACCMODE]
}

// flagNames names what F_GETFL gave; O_LARGEFILE is told as its own.
func flagNames(flags int) string {
	text := accessName(flags)
	rest := flags &^ unix.O_ACCMODE
	for _, f := range []struct {
		bit  int
		name string
	}{{0o100000, "largefile"}, {unix.O_NONBLOCK, "nonblock"}, {unix.O_APPEND, "append"}, {unix.O_DIRECT, "direct"}, {unix.O_NOATIME, "noatime"}} {
		if rest&f.bit != 0 {
			text += "+" + f.name
			rest &^= f.bit
		}
	}
	if rest != 0 {
		text += fmt.Sprintf("+%#x", rest)
	}
	return text
}
