package fs

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/heapnodes"
	"github.com/heapfs/heapfs/internal/sys"
	"github.com/heapfs/heapfs/uapi"
)

// deviceCaller is an ioctl on a device file. FUSE says which thread made it, and /proc which files that has.
type deviceCaller struct {
	caller
	cmd         uapi.Cmd
	interrupted <-chan struct{}
}

var _ heapnodes.Filer = (*deviceCaller)(nil)

// File identifies the caller's descriptor fd. The thread must be seen to be in this very call before and after: one that was killed
// meanwhile may have lent its number to another, whose descriptors are nobody's business. Nothing here waits for the file.
func (c *deviceCaller) File(fd int32) (sys.FileID, error) {
	if c.id.TID == 0 {
		return sys.FileID{}, fmt.Errorf("%w: it is in a pid namespace that heapfs does not see", heapnodes.ErrDenied)
	}
	dir, err := sys.OpenDir("/proc/" + strconv.Itoa(c.id.TID))
	if err != nil {
		return sys.FileID{}, heapnodes.ErrGone
	}
	defer sys.Close(dir)
	if err := c.calls(dir); err != nil {
		return sys.FileID{}, err
	}
	id, err := fileOf(dir, fd)
	if err != nil {
		return sys.FileID{}, err
	}
	return id, c.calls(dir)
}

// fileOf identifies descriptor fd of the thread whose /proc directory dir is. An O_PATH one is none to an ioctl.
func fileOf(dir int, fd int32) (sys.FileID, error) {
	n := strconv.Itoa(int(fd))
	id, err := sys.StatAt(dir, "fd/"+n)
	switch {
	case errors.Is(err, unix.ENOENT):
		return id, fmt.Errorf("%w %d", heapnodes.ErrBadFD, fd)
	case errors.Is(err, unix.ESRCH):
		return id, heapnodes.ErrGone
	case err != nil:
		return id, fmt.Errorf("%w: descriptor %d: %v", heapnodes.ErrDenied, fd, err)
	}
	var buf [512]byte
	k, err := sys.ReadAt(dir, "fdinfo/"+n, buf[:])
	if err != nil {
		return id, fmt.Errorf("%w %d", heapnodes.ErrBadFD, fd)
	}
	if flags, ok := openFlags(buf[:k]); ok && flags&unix.O_PATH != 0 {
		return id, fmt.Errorf("%w %d: it is an O_PATH one", heapnodes.ErrBadFD, fd)
	}
	return id, nil
}

// openFlags finds the flags in the text of a /proc/PID/fdinfo/N.
func openFlags(fdinfo []byte) (uint64, bool) {
	_, after, _ := bytes.Cut(fdinfo, []byte("flags:\t"))
	line, _, _ := bytes.Cut(after, []byte("\n"))
	flags, err := strconv.ParseUint(string(line), 8, 64)
	return flags, err == nil
}

// A caller may be on its way to sleep, or awake for a moment because of a signal: then it is asked again.
const (
	asleepTries = 10000 // two seconds and more: a busy machine may keep it from its processor that long
	asleepPause = 200 * time.Microsecond
)

// calls is nil if the thread whose /proc directory dir is waits for the answer to this call.
func (c *deviceCaller) calls(dir int) error {
	var buf [256]byte
	for range asleepTries {
		n, err := sys.ReadAt(dir, "syscall", buf[:])
		switch {
		case errors.Is(err, unix.ESRCH):
			return heapnodes.ErrGone
		case err != nil:
			// This system does not show system calls, or not to us. What else tells of a dead caller is the end of its request.
			select {
			case <-c.interrupted:
				return heapnodes.ErrGone
			default:
				return nil
			}
		}
		cmd, arg, asleep := sleepingCall(buf[:n])
		if asleep {
			if cmd != c.cmd || arg != c.arg {
				return heapnodes.ErrGone
			}
			return nil
		}
		select {
		case <-c.interrupted: // by a signal, which may be its last
			if _, err := sys.ReadAt(dir, "syscall", buf[:]); errors.Is(err, unix.ESRCH) {
				return heapnodes.ErrGone
			}
		default:
		}
		time.Sleep(asleepPause)
	}
	return fmt.Errorf("%w: it is not seen to wait", heapnodes.ErrDenied)
}

// sleepingCall reads the second and third argument of the system call in the text of a /proc/PID/syscall (proc_pid_syscall in
// fs/proc/base.c): the command and argument of an ioctl. Of a thread that runs, or sleeps for another reason, it says so.
func sleepingCall(text []byte) (cmd uapi.Cmd, arg uint64, asleep bool) {
	words := bytes.Fields(text)
	if len(words) == 0 || string(words[0]) == "running" {
		return 0, 0, false
	}
	if len(words) < 4 {
		return 0, 0, true // in no system call: whoever it is, it is not our caller
	}
	number := func(w []byte) uint64 {
		n, _ := strconv.ParseUint(string(bytes.TrimPrefix(w, []byte("0x"))), 16, 64) // 0 is as wrong as any other number
		return n
	}
	return uapi.Cmd(uint32(number(words[2]))), number(words[3]), true
}

// processOf is the thread's process, or the thread itself where that can't be told.
func processOf(tid int) int {
	dir, err := sys.OpenDir("/proc/" + strconv.Itoa(tid))
	if err != nil {
		return tid
	}
	defer sys.Close(dir)
	var buf [4096]byte
	n, err := sys.ReadAt(dir, "status", buf[:])
	if err != nil {
		return tid
	}
	_, after, _ := bytes.Cut(buf[:n], []byte("\nTgid:\t"))
	line, _, _ := bytes.Cut(after, []byte("\n"))
	if pid, err := strconv.Atoi(string(line)); err == nil {
		return pid
	}
	return tid
}
