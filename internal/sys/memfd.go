package sys

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Memfd makes an anonymous file that may be sealed (memfd_create(2)).
func Memfd(name string) (int, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL { // MFD_NOEXEC_SEAL is of 6.3
		fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return -1, os.NewSyscallError("memfd_create", err)
	}
	return fd, nil
}

// FDPath is a path by which this process can open the file of its descriptor fd once more.
func FDPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// Reopen gives an open file of its own for what fd refers to. flags as of open(2); O_CLOEXEC is added.
func Reopen(fd int, flags int) (int, error) {
	for {
		n, err := unix.Open(FDPath(fd), flags|unix.O_CLOEXEC, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return -1, os.NewSyscallError("open "+FDPath(fd), err)
		}
		return n, nil
	}
}

// Truncate sets the size in bytes.
func Truncate(fd int, size int64) error {
	for {
		err := unix.Ftruncate(fd, size)
		if err == unix.EINTR {
			continue
		}
		return os.NewSyscallError("ftruncate", err)
	}
}

// AddSeals adds F_SEAL_* to a memfd. fd must be open for writing.
func AddSeals(fd int, seals int) error {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
	return os.NewSyscallError("fcntl F_ADD_SEALS", err)
}

// Unheld reports whether fd's is the only open file of its inode and nothing maps it. fd must be an open of its own for reading
// only, and not the descriptor that memfd_create returned: the kernel does not count that one. The answer comes from taking a
// write lease (fcntl(2), F_SETLEASE), which stays until fd is closed: no later open can come from outside, because nobody else
// has the file.
func Unheld(fd int) (bool, error) {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_WRLCK)
	switch err {
	case nil:
		return true, nil
	case unix.EAGAIN:
		return false, nil
	default:
		return false, os.NewSyscallError("fcntl F_SETLEASE", err)
	}
}

// FileID names a file by device and inode number.
type FileID struct{ Dev, Ino uint64 }

// StatFD identifies an open file of this process.
func StatFD(fd int) (FileID, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return FileID{}, os.NewSyscallError("fstat", err)
	}
	return FileID{Dev: st.Dev, Ino: st.Ino}, nil
}

// Close closes a descriptor that nothing can be lost with: it was written through no buffer of the kernel's that could still fail.
func Close(fd int) {
	if fd >= 0 {
		_ = unix.Close(fd)
	}
}

// FileLimit is how many descriptors this process may have open (RLIMIT_NOFILE, the soft limit, which the Go runtime has raised to
// the hard one).
func FileLimit() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 1024 // what most systems begin with
	}
	return int(min(limit.Cur, 1<<30))
}
