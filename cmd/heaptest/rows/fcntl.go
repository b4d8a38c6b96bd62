package rows

import (
	"golang.org/x/sys/unix"
)

// fcntlTable makes the rows of one kind of file: flags, locks, leases, seals.
func fcntlTable(id, what string, open func(c *Case) int) []Row {
	with := func(cmd, arg int) func(fd int) string {
		return func(fd int) string {
			_, err := unix.FcntlInt(uintptr(fd), cmd, arg)
			return errName(err)
		}
	}
	setFlags := func(bits int) func(fd int) string {
		return func(fd int) string {
			before, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
			must("F_GETFL", err)
			if _, err = unix.FcntlInt(uintptr(fd), unix.F_SETFL, before|bits); err != nil {
				return errName(err)
			}
			after, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
			must("F_GETFL", err)
			return each("0", "then "+flagNames(after&^0o100000))
		}
	}
	// Whether a lease is had or refused for now depends on who else has the file open.
	lease := func(kind int) func(fd int) string {
		return func(fd int) string {
			_, err := unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, kind)
			if err == nil || err == unix.EAGAIN {
				return "0 or EAGAIN"
			}
			return errName(err)
		}
	}
	// Locks wait for each other: rows that lock the same node are tried side by side.
	lock := func(cmd int, kind int16) func(fd int) string {
		return func(fd int) string { return errName(unix.FcntlFlock(uintptr(fd), cmd, &unix.Flock_t{Type: kind})) }
	}
	var rows []Row
	for _, x := range []struct {
		id, what string
		call     func(fd int) string
	}{
		{"setfl-nonblock", "F_SETFL O_NONBLOCK", setFlags(unix.O_NONBLOCK)},
		{"setfl-append", "F_SETFL O_APPEND", setFlags(unix.O_APPEND)},
		{"setfl-async", "F_SETFL O_ASYNC", setFlags(unix.O_ASYNC)},
		{"setfl-direct", "F_SETFL O_DIRECT", setFlags(unix.O_DIRECT)},
		{"setfl-noatime", "F_SETFL O_NOATIME", setFlags(unix.O_NOATIME)},
		{"lease-read", "F_SETLEASE F_RDLCK", lease(unix.F_RDLCK)},
		{"lease-write", "F_SETLEASE F_WRLCK", lease(unix.F_WRLCK)},
		{"lease-get", "F_GETLEASE", with(unix.F_GETLEASE, 0)},
		{"notify", "F_NOTIFY", with(unix.F_NOTIFY, 1)},
		{"pipe-size", "F_GETPIPE_SZ", with(unix.F_GETPIPE_SZ, 0)},
		{"get-owner", "F_GETOWN", with(unix.F_GETOWN, 0)},
		{"unknown", "an unknown fcntl", with(4711, 0)},
		{"flock-shared", "flock LOCK_SH", func(fd int) string { return errName(unix.Flock(fd, unix.LOCK_SH)) }},
		{"flock", "flock LOCK_EX", func(fd int) string { return errName(unix.Flock(fd, unix.LOCK_EX)) }},
		{"lock-read", "F_SETLKW F_RDLCK", lock(unix.F_SETLKW, unix.F_RDLCK)},
		{"lock-write", "F_SETLKW F_WRLCK", lock(unix.F_SETLKW, unix.F_WRLCK)},
		{"lock-ofd", "F_OFD_SETLKW F_WRLCK", lock(unix.F_OFD_SETLKW, unix.F_WRLCK)},
		{"lock-get", "F_GETLK", lock(unix.F_GETLK, unix.F_WRLCK)},
	} {
		rows = append(rows, Row{ID: id + "-" + x.id, What: x.what + " on " + what, Try: func(c *Case) string { return x.call(open(c)) }})
	}
	return rows
}
