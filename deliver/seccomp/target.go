package seccomp

import (
	"bytes"
	"context"
	"fmt"
	"strconv"

	"github.com/heapfs/heapfs/heapnodes"
	"github.com/heapfs/heapfs/internal/sys"
	"github.com/heapfs/heapfs/uapi"
)

// target is what a call is made on.
type target interface {
	Ioctl(ctx context.Context, c heapnodes.Caller, cmd uapi.Cmd, arg uint64) error
}

// resolve fills in the thread of a call and finds what its descriptor is: nil if it is none of ours, or if the caller is out of
// sight. Nothing here touches the caller's memory or waits for anybody.
func (c *call) resolve() target {
	d := c.door
	// Thread 0 is one that this pid namespace can't see.
	if c.notif.TID == 0 {
		return nil
	}
	for {
		t, kept, err := d.threads.Take(int(c.notif.TID))
		if err != nil {
			return nil
		}
		tgt, err := c.look(t)
		if err == nil {
			// What a kept view shows of the thread now, it shows of the thread that called.
			c.thread, c.certain = t, kept
			return tgt
		}
		c.thread = nil
		t.Close()
		if !kept {
			return nil // no such descriptor: the kernel says EBADF
		}
	}
}

// look finds what the descriptor of a call is, and who calls. An error says that the view is of a thread that has ended, or that
// there is no such descriptor.
func (c *call) look(t *thread) (target, error) {
	d, n := c.door, uint32(c.notif.Args[0])
	if d.cfg.Bound != nil && heapnodes.Imports(c.cmd()) {
		return c.lookBound(t, n)
	}
	t.habit.uses(n)
	if node := t.recall(n); node != nil {
		comm, err := t.Name()
		if err != nil {
			return nil, err
		}
		c.id = heapnodes.Identity{PID: t.TGID, TID: t.TID, UID: t.UID(), Comm: comm}
		return node, nil
	}
	fd := "fd/" + strconv.FormatUint(uint64(n), 10)
	id, err := sys.StatAt(t.Dir, fd)
	if err != nil {
		return nil, err
	}
	c.thread = t // find and isPath look through it
	tgt := d.find(c, id)
	if tgt == nil || c.isPath(fd) {
		return nil, nil //nolint:nilnil // It is a descriptor, but none of ours.
	}
	comm, err := t.Name()
	if err != nil {
		return nil, err
	}
	if _, ok := tgt.(*heapnodes.Node); ok && t.habit.calls == learnAt {
		t.forget(nil)
		d.learner.learn(t, n, d.cfg.Node)
	}
	c.id = heapnodes.Identity{PID: t.TGID, TID: t.TID, UID: t.UID(), Comm: comm}
	return tgt, nil
}

// lookBound finds what the real device behind a call's descriptor stands for. No node and no buffer of ours has such a command.
func (c *call) lookBound(t *thread, n uint32) (target, error) {
	rdev, char, err := sys.DeviceAt(t.Dir, "fd/"+strconv.FormatUint(uint64(n), 10))
	if err != nil {
		return nil, err
	}
	if !char {
		return nil, nil //nolint:nilnil // It is a descriptor, but no driver's.
	}
	b := c.door.cfg.Bound(rdev)
	if b == nil {
		return nil, nil //nolint:nilnil // It is a driver's, but not bound.
	}
	comm, err := t.Name()
	if err != nil {
		return nil, err
	}
	c.id = heapnodes.Identity{PID: t.TGID, TID: t.TID, UID: t.UID(), Comm: comm}
	return b, nil
}

// File identifies a descriptor of the caller's. What it says is sure to be the caller's only after a Check.
func (c *call) File(fd int32) (sys.FileID, error) {
	name := "fd/" + strconv.Itoa(int(fd))
	id, err := sys.StatAt(c.thread.Dir, name)
	if err != nil || c.isPath(name) {
		return id, fmt.Errorf("%w %d", heapnodes.ErrBadFD, fd)
	}
	return id, nil
}

func (d *Door) find(c *call, id sys.FileID) target {
	if n := d.cfg.Node(id); n != nil {
		return n
	}
	if b := d.cfg.Heaps.Buffer(id); b != nil {
		return b
	}
	// A stand-in has to answer for all of our commands: what it really is knows commands of its own.
	link, fdinfo, err := c.Describe(int32(uint32(c.notif.Args[0])))
	if err != nil {
		return nil
	}
	if s := d.cfg.Heaps.SyncFile(link, fdinfo); s != nil {
		return s
	}
	return nil
}

// isPath is whether the descriptor is an O_PATH one, on which no ioctl works. Its link shows no access; an open with access mode 3
// shows none either, so then the flags tell.
func (c *call) isPath(fd string) bool {
	mode, err := sys.LinkMode(c.thread.Dir, fd)
	if err != nil || mode&0o600 != 0 {
		return false
	}
	var buf [512]byte
	n, err := sys.ReadAt(c.thread.Dir, "fdinfo"+fd[len("fd"):], buf[:])
	if err != nil {
		return false
	}
	_, after, _ := bytes.Cut(buf[:n], []byte("flags:\t"))
	line, _, _ := bytes.Cut(after, []byte("\n"))
	flags, err := strconv.ParseUint(string(line), 8, 64)
	return err == nil && flags&oPath != 0
}

func (c *call) cmd() uapi.Cmd { return uapi.Cmd(uint32(c.notif.Args[1])) }
func (c *call) arg() uint64   { return c.notif.Args[2] }
