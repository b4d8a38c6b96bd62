package fuzz

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// rowOf names the refusal that an answer of the kernel's is, or "" for a success. The names are those of required.
func rowOf(op *Op, l *Result) string {
	if l.Code >= 0 || l.Code == codeSkipped {
		return ""
	}
	target := l.Target &^ targetTrial
	errno := unix.ErrnoName(unix.Errno(-l.Code))
	switch op.Kind {
	case KindAlloc:
		return "ALLOC " + errno + allocReason(op, target, errno)
	case KindSync, KindName, KindSyncFile, KindForeign:
		return ioctlName(op) + " " + errno + " on " + targetNames[target]
	case KindMap:
		return mapReason(op, l, target, errno)
	case KindTouch:
		return "touch " + errno
	case KindOpen, KindLimit:
		return fmt.Sprintf("%s %s", op.Kind, errno)
	default:
		return fmt.Sprintf("%s %s on %s", op.Kind, errno, targetNames[target])
	}
}

func ioctlName(op *Op) string {
	switch op.Kind {
	case KindSync:
		return "SYNC"
	case KindName:
		return "SET_NAME"
	case KindForeign:
		return "foreign ioctl"
	}
	return [...]string{"EXPORT", "IMPORT", "FILE_INFO", "MERGE", "DEADLINE"}[op.Sub]
}

// allocReason is the check that an ALLOC failed, in the kernel's order.
func allocReason(op *Op, target uint8, errno string) string {
	cmd := op.A[allocCmd]
	in := cmdIn(cmd)
	if target != targetNode {
		return " on " + targetNames[target]
	}
	switch errno {
	case "EFAULT":
		if in > 0 && unreadable(op.Ptr) {
			return " reading"
		}
		return " writing"
	case "EINVAL":
		switch {
		case cmdNR(cmd) > 0:
			return " number"
		case in >= 12 && uint32(op.A[allocFD]) != 0:
			return " fd"
		case in >= 16 && op.A[allocFD]>>32&^(unix.O_CLOEXEC|unix.O_ACCMODE) != 0:
			return " fd_flags"
		case in >= 24 && op.A[allocHeapFlags] != 0:
			return " heap_flags"
		case in < 8 || op.A[allocLen] == 0:
			return " length 0"
		default:
			return " length wraps"
		}
	}
	return ""
}

func mapReason(op *Op, l *Result, target uint8, errno string) string {
	switch {
	case op.Sub == mapProtect:
		return "mprotect " + errno
	case op.Sub == mapRemap:
		return "mremap " + errno
	case target != targetBuffer || errno != "EINVAL":
		return "mmap " + errno + " on " + targetNames[target]
	case op.A[0] == 0:
		return "mmap EINVAL length 0"
	case op.A[1]%pageSize != 0:
		return "mmap EINVAL offset"
	case op.A[1]+op.A[0] > l.V[0]:
		return "mmap EINVAL beyond the end"
	case op.A[3]&unix.MAP_TYPE == unix.MAP_PRIVATE:
		return "mmap EINVAL private"
	}
	return "mmap EINVAL flags"
}

// required are the refusals that every run must meet often enough for its agreement to mean something.
var required = []string{
	"ALLOC EINVAL number", "ALLOC EINVAL fd", "ALLOC EINVAL fd_flags", "ALLOC EINVAL heap_flags", "ALLOC EINVAL length 0",
	"ALLOC EINVAL length wraps", "ALLOC EFAULT reading", "ALLOC EFAULT writing", "ALLOC EMFILE", "ALLOC EBADF on nothing",
	"ALLOC ENOTTY on buffer",
	"SYNC EINVAL on buffer", "SYNC EFAULT on buffer", "SYNC ENOTTY on buffer", "SYNC EBADF on nothing",
	"SET_NAME EINVAL on buffer", "SET_NAME EFAULT on buffer", "SET_NAME EINVAL on node", "SET_NAME EBADF on nothing",
	"EXPORT EINVAL on buffer", "EXPORT EFAULT on buffer", "EXPORT EMFILE on buffer", "EXPORT EINVAL on node",
	"IMPORT EINVAL on buffer", "IMPORT EFAULT on buffer",
	"FILE_INFO EINVAL on sync file", "FILE_INFO EFAULT on sync file", "MERGE EINVAL on sync file", "MERGE ENOENT on sync file",
	"DEADLINE EINVAL on sync file",
	"foreign ioctl ENOTTY on buffer", "foreign ioctl EINVAL on node", "foreign ioctl EBADF on nothing",
	"mmap EACCES on buffer", "mmap EINVAL beyond the end", "mmap EINVAL length 0", "mmap EINVAL offset", "mmap EINVAL private",
	"mmap ENODEV on node", "mmap EBADF on nothing", "mprotect EACCES", "mremap EFAULT", "touch EFAULT",
	"seek EINVAL on buffer", "seek ESPIPE on node", "seek EBADF on nothing",
	"file EINVAL on buffer", "file ESPIPE on buffer", "file EBADF on buffer", "file ENXIO on buffer", "file EINVAL on node",
	"poll EPERM on node", "dup EINVAL on buffer", "dup EBADF on nothing", "close EBADF on nothing", "stat EBADF on nothing",
	"fcntl EBADF on nothing", "open EMFILE", "open ENOENT", "open ENOTDIR",
}
