package seccomp

import (
	"bytes"
	"strconv"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
)

const (
	// maxThreads is how many threads' directories are kept open between calls at the most: three descriptors each at the most.
	maxThreads = 128
	// threadsShare of the limit of open files is what they may be where that is small.
	threadsShare = 16
)

// thread is an open view of a caller's /proc directory. It belongs to one call at a time. When the thread is gone, every look
// through it fails, so a recycled number is never taken for the old thread.
type thread struct {
	tid    int
	dir    int
	comm   int
	tgid   int
	cgroup string // the text of its cgroup file when it was first seen

	lastName string
	habit    habit
	known    atomic.Pointer[known]
}

func openThread(tid int) (*thread, error) {
	dir, err := sys.OpenDir("/proc/" + strconv.Itoa(tid))
	if err != nil {
		return nil, err
	}
	t := &thread{tid: tid, dir: dir, comm: -1, tgid: tid}
	if t.comm, err = unix.Openat(dir, "comm", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		t.close()
		return nil, err
	}
	var buf [4096]byte
	if n, err := sys.ReadAt(dir, "status", buf[:]); err == nil {
		t.tgid = statusNumber(buf[:n], "\nTgid:\t", tid)
	}
	if n, err := sys.ReadAt(dir, "cgroup", buf[:]); err == nil {
		t.cgroup = string(buf[:n])
	}
	return t, nil
}

// statusNumber finds a number in a /proc/PID/status.
func statusNumber(status []byte, key string, otherwise int) int {
	_, after, found := bytes.Cut(status, []byte(key))
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

func (t *thread) close() {
	t.forget(ended)
	sys.Close(t.comm)
	sys.Close(t.dir)
}

// name is the thread's comm as it is now. An error says that the thread is gone.
func (t *thread) name() (string, error) {
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

// uid is the thread's effective user as it is now, -1 if it is gone.
func (t *thread) uid() int {
	uid, err := sys.Owner(t.dir)
	if err != nil {
		return -1
	}
	return int(uid)
}

// threads keeps the views of recent callers.
type threads struct {
	max  int
	mu   sync.Mutex
	idle map[int]*thread
}

func newThreads() *threads {
	return &threads{max: min(maxThreads, max(1, sys.FileLimit()/threadsShare)), idle: map[int]*thread{}}
}

// take gives the view of a thread, and whether it was kept from an earlier call and so may be of an ended thread.
func (ts *threads) take(tid int) (t *thread, kept bool, err error) {
	ts.mu.Lock()
	t = ts.idle[tid]
	delete(ts.idle, tid)
	ts.mu.Unlock()
	if t != nil {
		return t, true, nil
	}
	t, err = openThread(tid)
	return t, false, err
}

// put keeps a view for the next call.
func (ts *threads) put(t *thread) {
	var drop *thread
	ts.mu.Lock()
	switch {
	case ts.idle == nil: // closed
		drop = t
	case ts.idle[t.tid] != nil:
		drop = t
	default:
		if len(ts.idle) >= ts.max {
			for tid, other := range ts.idle {
				drop = other
				delete(ts.idle, tid)
				break
			}
		}
		ts.idle[t.tid] = t
	}
	ts.mu.Unlock()
	if drop != nil {
		drop.close()
	}
}

func (ts *threads) close() {
	ts.mu.Lock()
	idle := ts.idle
	ts.idle = nil
	ts.mu.Unlock()
	for _, t := range idle {
		t.close()
	}
}
