package fuzz

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

var targetNames = [...]string{"nothing", "node", "buffer", "sync file", "other file"}

var accessNames = [...]string{"O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE"}

func flagText(v uint64) string {
	s := []string{accessNames[v&3]}
	for _, f := range []struct {
		bits uint64
		name string
	}{
		{unix.O_CLOEXEC, "O_CLOEXEC"}, {unix.O_PATH, "O_PATH"}, {unix.O_DIRECTORY, "O_DIRECTORY"}, {unix.O_CREAT, "O_CREAT"},
		{unix.O_EXCL, "O_EXCL"}, {unix.O_TRUNC, "O_TRUNC"}, {unix.O_NONBLOCK, "O_NONBLOCK"}, {unix.O_APPEND, "O_APPEND"},
		{unix.O_NOFOLLOW, "O_NOFOLLOW"}, {unix.O_NOCTTY, "O_NOCTTY"}, {unix.O_SYNC, "O_SYNC"},
	} {
		if v&f.bits == f.bits {
			s = append(s, f.name)
			v &^= f.bits
		}
	}
	if v &^= 3; v != 0 {
		s = append(s, fmt.Sprintf("%#x", v))
	}
	return strings.Join(s, "|")
}

func protText(v uint64) string {
	if v == 0 {
		return "PROT_NONE"
	}
	var s []string
	for i, name := range []string{"PROT_READ", "PROT_WRITE", "PROT_EXEC"} {
		if v>>i&1 != 0 {
			s = append(s, name)
		}
	}
	return strings.Join(s, "|")
}

func ref(r int16) string {
	if r < 0 {
		return "-1"
	}
	return fmt.Sprintf("r%d", r)
}

// String is the operation as a line that can be read.
func (o *Op) String() string {
	s := fmt.Sprintf("r%d = %s", o.ID, o.text())
	if o.Ptr != ptrGood {
		s += ", argument " + ptrNames[o.Ptr]
	}
	switch o.Who {
	case whoHelper:
		s = "helper: " + s
	case whoChild:
		s = "child: " + s
	}
	return s
}

func (o *Op) text() string {
	a, at := o.A, ref(o.Ref)
	pick := func(names ...string) string { return names[min(int(o.Sub), len(names)-1)] }
	switch o.Kind {
	case KindOpen:
		name := "system"
		if o.Sub == openOther {
			name = otherPaths[a[1]%uint64(len(otherPaths))]
		}
		return fmt.Sprintf("open %q %s", name, flagText(a[0]))
	case KindAlloc:
		return fmt.Sprintf("ALLOC %#x on %s: len %#x, fd %#x, fd_flags %s, heap_flags %#x",
			a[allocCmd], at, a[allocLen], uint32(a[allocFD]), flagText(a[allocFD]>>32), a[allocHeapFlags])
	case KindDup:
		onto := ""
		if o.Ref2 >= 0 {
			onto = " onto " + ref(o.Ref2)
		}
		return fmt.Sprintf("%s %s%s, %d, %#x", pick("dup", "dup2", "dup3", "F_DUPFD", "F_DUPFD_CLOEXEC"), at, onto, int64(a[0]), a[1])
	case KindClose:
		return "close " + at
	case KindMap:
		switch o.Sub {
		case mapProtect:
			return fmt.Sprintf("mprotect %s %s", at, protText(a[2]))
		case mapRemap:
			return fmt.Sprintf("mremap %s by %d pages", at, a[0])
		}
		return fmt.Sprintf("mmap %s: length %#x, offset %#x, %s, flags %#x", at, a[0], a[1], protText(a[2]), a[3])
	case KindUnmap:
		return fmt.Sprintf("munmap %s %s %d pages", at, pick("all,", "the first", "the last"), a[0])
	case KindTouch:
		return fmt.Sprintf("%s %s: offset %#x, %d bytes", pick("read memory", "write memory", "read all memory"), at, a[0], a[1])
	case KindSync:
		return fmt.Sprintf("SYNC %#x on %s: flags %#x", a[1], at, a[0])
	case KindName:
		return fmt.Sprintf("SET_NAME %#x on %s: %d letters", a[2], at, a[0])
	case KindSyncFile:
		switch o.Sub {
		case syncExport:
			return fmt.Sprintf("EXPORT_SYNC_FILE on %s: flags %#x", at, a[0])
		case syncImport:
			return fmt.Sprintf("IMPORT_SYNC_FILE on %s: flags %#x, fd %s", at, a[0], ref(o.Ref2))
		case syncInfo:
			return fmt.Sprintf("SYNC_IOC_FILE_INFO on %s: flags %#x, %d fences, pad %#x, bad pointer %d", at, a[0], a[1], a[2], a[3])
		case syncMerge:
			return fmt.Sprintf("SYNC_IOC_MERGE on %s: fd2 %s, flags %#x, pad %#x", at, ref(o.Ref2), a[0], a[1])
		}
		return fmt.Sprintf("SYNC_IOC_SET_DEADLINE on %s: %#x, pad %#x", at, a[0], a[1])
	case KindSeek:
		return fmt.Sprintf("lseek %s: %d, whence %d", at, int64(a[0]), a[1])
	case KindStat:
		return pick("fstat ", "readlink /proc/self/fd/", "read /proc/self/fdinfo/") + at
	case KindPoll:
		return fmt.Sprintf("%s %s: events %#x", pick("poll", "epoll_ctl ADD"), at, a[0])
	case KindForeign:
		return fmt.Sprintf("ioctl %#x on %s: argument %#x", a[0], at, a[1])
	case KindFile:
		return fmt.Sprintf("%s %s: %d", pick("read", "write", "pread", "pwrite", "ftruncate", "fallocate", "fsync", "F_GET_SEALS", "F_ADD_SEALS",
			"open /proc/self/fd of"), at, a[0])
	case KindFcntl:
		return fmt.Sprintf("%s %s: %#x", pick("F_GETFD", "F_SETFD", "F_GETFL", "F_SETFL"), at, a[0])
	case KindFork:
		return pick("fork", "fork and execve")
	case KindPass:
		return fmt.Sprintf("%s %s, cloexec %d", pick("give the helper", "take from the helper", "send to itself, close and receive"), at, a[0])
	case KindLimit:
		if a[0] >= fileLimit {
			return "lift the limit of open files"
		}
		return fmt.Sprintf("leave room for %d more open files", a[0])
	}
	return pick("close and unmap everything", fmt.Sprintf("ALLOC the whole pool: %#x", a[0]))
}

// String is the answer as it is printed behind the operation.
func (r *Result) String() string {
	var s string
	switch {
	case r.Code == codeSkipped:
		return "not done"
	case r.Code < 0:
		if s = unix.ErrnoName(unix.Errno(-r.Code)); s == "" {
			s = fmt.Sprint(r.Code)
		}
	default:
		s = fmt.Sprint(r.Code)
	}
	if r.FD >= 0 {
		s += fmt.Sprintf(" fd %d", r.FD)
	}
	if r.V != [4]uint64{} {
		s += fmt.Sprintf(" %x", r.V)
	}
	return s
}

// Listing is the operations with both sides' answers, the last one being the difference.
func Listing(ops []Op, left, right []Result, d *Difference) string {
	var b strings.Builder
	for i := range ops[:min(d.At+1, len(ops))] {
		l, r := left[i].String(), right[i].String()
		fmt.Fprintf(&b, "  %-100s ", ops[i].String())
		switch {
		case i == d.At:
			fmt.Fprintf(&b, "  <-- left %s; right %s (on %s)\n", l, r, targetNames[d.Left.Target&^targetTrial])
		case l == r:
			fmt.Fprintf(&b, "%s\n", l)
		default:
			fmt.Fprintf(&b, "left %s; right %s (excused)\n", l, r)
		}
	}
	return b.String()
}
