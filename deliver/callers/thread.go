package callers

import (
	"bytes"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/heapnodes"
	"github.com/heapfs/heapfs/internal/sys"
)

// Thread is an open view of a caller's /proc directory. It belongs to one call at a time. When the thread is gone, every look
// through it fails, so a recycled number is never taken for the old thread.
type Thread struct {
	TID    int
	TGID   int    // its process
	Dir    int    // /proc/TID, for use as dirfd; the view's
	Cgroup string // the text of its cgroup file when it was first seen

	comm     int
	lastName string
}

// OpenThread opens the view of thread tid: two descriptors until Close.
func OpenThread(tid int) (*Thread, error) {
	dir, err := sys.OpenDir("/proc/" + strconv.Itoa(tid))
	if err != nil {
		return nil, err
	}
	t := &Thread{TID: tid, Dir: dir, comm: -1, TGID: tid}
	if t.comm, err = unix.Openat(dir, "comm", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		t.Close()
		return nil, err
	}
	var buf [4096]byte
	if n, err := sys.ReadAt(dir, "status", buf[:]); err == nil {
		t.TGID = StatusNumber(buf[:n], "Tgid", tid)
	}
	if n, err := sys.ReadAt(dir, "cgroup", buf[:]); err == nil {
		t.Cgroup = string(buf[:n])
	}
	return t, nil
}

// StatusNumber finds a decimal number in a /proc/PID/status, by its key without the colon.
func StatusNumber(status []byte, key string, otherwise int) int {
	_, after, found := bytes.Cut(status, []byte("\n"+key+":\t"))
	if !found {
		return otherwise
	}
	line, _, _ := bytes.Cut(after, []byte("\n"))
	n, err := strconv.Atoi(string(line))
	if err != nil {
		return otherwise
	}
	return n
}

// Number is the thread's.
func (t *Thread) Number() int { return t.TID }

// Close gives the view up.
func (t *Thread) Close() {
	sys.Close(t.comm)
	sys.Close(t.Dir)
}

// Name is the thread's comm as it is now. An error says that the thread is gone.
func (t *Thread) Name() (string, error) {
	var buf [32]byte
	n, err := sys.Comm(t.comm, buf[:])
	if err != nil {
		return "", err
	}
	name := bytes.TrimSuffix(buf[:n], []byte("\n"))
	if string(name) != t.lastName {
		t.lastName = string(name)
	}
	return t.lastName, nil
}

// UID is the thread's effective user as it is now, -1 if it is gone.
func (t *Thread) UID() int {
	uid, err := sys.Owner(t.Dir)
	if err != nil {
		return -1
	}
	return int(uid)
}

// Describe tells what the thread's descriptor fd is: the text of its link and its fdinfo. heapnodes.ErrBadFD if it is closed.
func (t *Thread) Describe(fd int32) (link string, fdinfo []byte, err error) {
	n := strconv.Itoa(int(fd))
	var buf [4096]byte
	k, err := unix.Readlinkat(t.Dir, "fd/"+n, buf[:])
	if err != nil {
		return "", nil, fmt.Errorf("%w %d: %v", heapnodes.ErrBadFD, fd, err)
	}
	link = string(buf[:k])
	k, err = sys.ReadAt(t.Dir, "fdinfo/"+n, buf[:])
	if err != nil {
		return "", nil, fmt.Errorf("%w %d: %v", heapnodes.ErrBadFD, fd, err)
	}
	return link, buf[:k:k], nil
}
