package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

// statxMask asks for what identifies a file; DONT_SYNC keeps the question inside this kernel, so that a file on somebody's FUSE
// or network file system (our own heap nodes too) answers from its cached inode and nobody can delay us.
const (
	statxFlags = unix.AT_STATX_DONT_SYNC
	statxMask  = unix.STATX_INO
)

// StatAt identifies the file at name relative to dirfd, symbolic links (the magic ones of /proc/PID/fd too) followed.
func StatAt(dirfd int, name string) (FileID, error) {
	var st unix.Statx_t
	if err := unix.Statx(dirfd, name, statxFlags, statxMask, &st); err != nil {
		return FileID{}, err
	}
	return FileID{Dev: unix.Mkdev(st.Dev_major, st.Dev_minor), Ino: st.Ino}, nil
}

// DeviceAt gives the device number of the file at name relative to dirfd, links followed as by StatAt, and whether it is a character
// device. Device numbers are of this kernel, so that nobody has to be asked.
func DeviceAt(dirfd int, name string) (rdev uint64, char bool, err error) {
	var st unix.Statx_t
	if err := unix.Statx(dirfd, name, statxFlags, unix.STATX_TYPE, &st); err != nil {
		return 0, false, err
	}
	return unix.Mkdev(st.Rdev_major, st.Rdev_minor), st.Mode&unix.S_IFMT == unix.S_IFCHR, nil
}

// Stat identifies the file of descriptor fd, and says whether that is an O_PATH one.
func Stat(fd int) (id FileID, path bool, err error) {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return FileID{}, false, os.NewSyscallError("fcntl F_GETFL", err)
	}
	id, err = ID(fd)
	return id, flags&unix.O_PATH != 0, err
}

// ID identifies the file that a descriptor of this process is open on.
func ID(fd int) (FileID, error) {
	var st unix.Statx_t
	if err := unix.Statx(fd, "", statxFlags|unix.AT_EMPTY_PATH, statxMask, &st); err != nil {
		return FileID{}, os.NewSyscallError("statx", err)
	}
	return FileID{Dev: unix.Mkdev(st.Dev_major, st.Dev_minor), Ino: st.Ino}, nil
}

// Comm reads the open comm file of a thread, at most len(p) bytes. ESRCH: the thread is gone.
func Comm(fd int, p []byte) (int, error) { return preadNow(fd, p) }

// LinkMode is the permission bits of the link at name itself. Those of /proc/PID/fd/N show how the descriptor was opened:
// 0400 for reading, 0200 for writing, neither for O_PATH.
func LinkMode(dirfd int, name string) (uint32, error) {
	var st unix.Statx_t
	if err := unix.Statx(dirfd, name, statxFlags|unix.AT_SYMLINK_NOFOLLOW, unix.STATX_MODE, &st); err != nil {
		return 0, err
	}
	return uint32(st.Mode) & 0o777, nil
}

// OpenDir opens a directory for use as dirfd only.
func OpenDir(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// ReadAt reads the file at name relative to dirfd, at most len(p) bytes.
func ReadAt(dirfd int, name string, p []byte) (int, error) {
	fd, err := unix.Openat(dirfd, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer func() { _ = unix.Close(fd) }() // read only: nothing can be lost
	return unix.Read(fd, p)
}

// Owner is the effective user of the thread whose /proc directory dirfd is, as this process's user namespace numbers it.
func Owner(dirfd int) (uint32, error) {
	var st unix.Stat_t
	if err := fstatNow(dirfd, &st); err != nil {
		return 0, err
	}
	return st.Uid, nil
}
