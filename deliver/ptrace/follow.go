package ptrace

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
)

// follower keeps a worker on the processor that its caller is on. An injection is two dozen switches between the two, which wait for each
// other: where these wake another processor each time, an ALLOC takes two to three times as long (measured with two).
type follower struct {
	on    int  // the processor, -1 for any
	off   bool // it was refused: a container may have other processors than its callers
	last  int  // thread that was followed
	until time.Time
	home  unix.CPUSet // where the worker may be, once it was moved
}

// staysFor is how long a thread that calls again and again is taken to be where it was: to ask each time is not for nothing.
const staysFor = 2 * time.Millisecond

// follow brings the calling thread to where thread tid was last.
func (f *follower) follow(tid int) {
	if f.off {
		return
	}
	now := time.Now()
	if tid == f.last && now.Before(f.until) {
		return
	}
	f.last, f.until = tid, now.Add(staysFor)
	cpu, err := processorOf(tid)
	if err != nil || cpu == f.on {
		return // a caller that is gone is found out by who works on it
	}
	if f.on < 0 {
		err = unix.SchedGetaffinity(0, &f.home)
	}
	var set unix.CPUSet
	set.Set(cpu)
	if err == nil {
		err = unix.SchedSetaffinity(0, &set)
	}
	if err != nil {
		slog.Debug("callers are not followed to their processors", "error", os.NewSyscallError("sched_setaffinity", err))
		f.off = true
		return
	}
	f.on = cpu
}

// leave lets the calling thread be anywhere again: others will use it.
func (f *follower) leave() {
	if f.on >= 0 {
		_ = unix.SchedSetaffinity(0, &f.home) // the processors that it had; nothing is lost but time
	}
}

// processorOf is the processor that a thread runs on, or ran on last.
func processorOf(tid int) (int, error) {
	var buf [1024]byte // 52 fields, most of them short
	n, err := sys.ReadAt(unix.AT_FDCWD, "/proc/"+strconv.Itoa(tid)+"/stat", buf[:])
	if err != nil {
		return -1, err
	}
	return processorIn(buf[:n])
}

// processorIn finds the 39th field of a /proc/TID/stat; the second is a name in parentheses that may hold anything.
func processorIn(stat []byte) (int, error) {
	const behindName = 39 - 3
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) <= behindName {
		return -1, fmt.Errorf("/proc/TID/stat: %d fields", len(fields))
	}
	return strconv.Atoi(string(fields[behindName]))
}
