package sys

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

const kcmpFile = 0 // KCMP_FILE, include/uapi/linux/kcmp.h

// self is asked for once: it is needed in every ALLOC.
var self = uintptr(os.Getpid())

// SameFile reports whether descriptor theirs of thread tid is the same open file as ours of this process: not merely the same
// inode, but what dup(2) or SCM_RIGHTS made of one open (kcmp(2)). It never waits for the file system. False also where it can't be
// told: no such thread or descriptor, no permission to look, a kernel without kcmp.
func SameFile(tid int, theirs uint32, ours int) bool {
	order, _, errno := unix.RawSyscall6(unix.SYS_KCMP, uintptr(tid), self, kcmpFile, uintptr(theirs), uintptr(ours), 0)
	return errno == 0 && order == 0
}

// CopyFD gives this process a descriptor (O_CLOEXEC) for the open file behind fd of process pid (pidfd_getfd(2), Linux 5.6). It belongs
// to the caller of this function.
func CopyFD(pid int, fd uint32) (int, error) {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return -1, os.NewSyscallError("pidfd_open", err)
	}
	defer Close(pidfd)
	own, err := unix.PidfdGetfd(pidfd, int(fd), 0)
	if err != nil {
		return -1, os.NewSyscallError("pidfd_getfd", err)
	}
	return own, nil
}

// preadNow is pread(2) of a file that has its answer at once, such as those of /proc. The Go scheduler is not told of the call.
func preadNow(fd int, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_PREAD64, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// fstatNow is fstat(2) of such a file.
func fstatNow(fd int, st *unix.Stat_t) error {
	if _, _, errno := unix.RawSyscall(unix.SYS_FSTAT, uintptr(fd), uintptr(unsafe.Pointer(st)), 0); errno != 0 {
		return errno
	}
	return nil
}
