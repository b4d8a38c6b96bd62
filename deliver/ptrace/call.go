package ptrace

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/heapnodes"
	"github.com/heapfs/heapfs/internal/sys"
	"github.com/heapfs/heapfs/uapi"
)

// Request is an ioctl that came by FUSE and waits for its reply.
type Request struct {
	TID  int // the caller's thread, 0 if this process can't see it
	UID  int // the caller's effective user
	Cmd  uapi.Cmd
	Arg  uint64
	Node sys.FileID // the file that the ioctl is on
	// In is what the kernel has copied in, Out what it will copy out with the reply. Neither is touched after Reply.
	In, Out []byte
	// Reply sends Out and the result -ReplyErrno. It does not wait.
	Reply func()
	// Interrupted is closed when a signal came to the caller. That is no reason to give up an ALLOC; a fatal one is.
	Interrupted <-chan struct{}
}

// Call is a request on its way; it is the heapnodes.Caller. One goroutine uses it, and Ends it.
type Call struct {
	door *Door
	req  Request

	id     heapnodes.Identity
	known  bool // id is filled in
	cgroup string

	tenant *tenant
	slow   bool // a look into the caller's memory was given up, and has the tenant's place now
	wrote  bool
	talk   *conversation // once the caller is traced
	held   bool          // it has the descriptor, and its thread is stopped
	writes []write       // for the end
	size   int           // of those, in bytes
}

var _ heapnodes.Caller = (*Call)(nil)

// doorName is what events call this way in.
const doorName = "ptrace"

// Call makes the Caller of a request.
func (d *Door) Call(r Request) *Call { return &Call{door: d, req: r} }

// Door names the way in.
func (c *Call) Door() string { return doorName }

// Identity asks /proc, which has an answer as long as the request waits for its reply.
func (c *Call) Identity() heapnodes.Identity {
	if c.known {
		return c.id
	}
	c.known = true
	c.id = heapnodes.Identity{PID: c.req.TID, TID: c.req.TID, UID: c.req.UID}
	dir, err := sys.OpenDir("/proc/" + strconv.Itoa(c.req.TID))
	if err != nil {
		return c.id
	}
	defer sys.Close(dir)
	var buf [4096]byte
	if n, err := sys.ReadAt(dir, "status", buf[:]); err == nil {
		c.id.PID = statusNumber(buf[:n], "Tgid")
	}
	if n, err := sys.ReadAt(dir, "comm", buf[:]); err == nil {
		c.id.Comm = string(bytes.TrimSuffix(buf[:n], []byte("\n")))
	}
	if n, err := sys.ReadAt(dir, "cgroup", buf[:]); err == nil {
		c.cgroup = string(buf[:n])
	}
	return c.id
}

// Read of the argument is a copy of what the kernel brought along; other addresses are read from the caller.
func (c *Call) Read(p []byte, addr uint64) error {
	if len(p) == 0 {
		return nil
	}
	if addr == c.req.Arg && len(p) <= len(c.req.In) && c.talk == nil {
		copy(p, c.req.In)
		return nil
	}
	if err := c.enter(); err != nil {
		return err
	}
	own := make([]byte, len(p)) // p is not ours any more if the look is given up
	err := c.look(func() (int, error) { return sys.ReadVM(c.req.TID, own, addr) }, len(p))
	copy(p, own)
	return err
}

// Write before the reply is what the kernel will copy out with it. A page that can't take that is found out before the caller is given
// anything, because the copy is made on the way to its stop. What is written after Install reaches the caller with the end of the call.
func (c *Call) Write(p []byte, addr uint64) error {
	off := addr - c.req.Arg
	if off > uint64(c.req.Cmd.Out()) || uint64(len(p)) > uint64(c.req.Cmd.Out())-off {
		// Another place than the argument (the fences of SYNC_IOC_FILE_INFO): the kernel copies nothing there.
		if err := c.enter(); err != nil {
			return err
		}
		own := bytes.Clone(p)
		return c.look(func() (int, error) { return sys.WriteVM(c.req.TID, own, addr) }, len(p))
	}
	switch {
	case len(p) == 0:
	case c.talk == nil:
		copy(c.req.Out[off:], p)
		c.wrote = true
	case c.held:
		if c.size += len(p); c.size > maxWrites {
			return fmt.Errorf("%w: more than %d bytes after the descriptor", heapnodes.ErrNoInstaller, maxWrites)
		}
		c.writes = append(c.writes, write{addr, bytes.Clone(p)})
	}
	return nil // after a failure: it went out with the reply, and the caller is on its way
}

// Wrote is whether Out is to be copied out, also beside an error.
func (c *Call) Wrote() bool { return c.wrote }

// look reads from the caller, whose memory may take for ever to arrive: a page of a file system or a
// userfaultfd of its own. Such a look goes on alone, with the tenant's place.
func (c *Call) look(move func() (int, error), want int) error {
	type moved struct {
		n   int
		err error
	}
	done := make(chan moved, 1)
	go func() {
		n, err := move()
		done <- moved{n, err}
	}()
	late := time.NewTimer(c.door.patience)
	defer late.Stop()
	var m moved
	select {
	case m = <-done:
	case <-late.C:
		c.slow = true
		t := c.tenant
		c.tenant = nil
		c.door.tenants.giveUp(t)
		go func() {
			<-done
			c.door.tenants.leaveStuck(t)
		}()
		return fmt.Errorf("%w (%v)", heapnodes.ErrSlow, c.door.patience)
	}
	switch {
	case m.err == nil && m.n == want:
		return nil
	case m.err == nil, errors.Is(m.err, unix.EFAULT):
		return heapnodes.ErrFault
	case errors.Is(m.err, unix.ESRCH):
		return heapnodes.ErrGone
	default:
		return fmt.Errorf("%w: %v", heapnodes.ErrDenied, m.err)
	}
}

// enter takes a place for all that concerns the caller's memory and registers.
func (c *Call) enter() error {
	switch {
	case c.slow:
		return fmt.Errorf("%w (%v)", heapnodes.ErrSlow, c.door.patience)
	case c.tenant != nil:
		return nil
	case c.req.TID == 0:
		return fmt.Errorf("%w: its process can't be seen from here (another pid namespace)", heapnodes.ErrNoInstaller)
	}
	id := c.Identity()
	t, err := c.door.tenants.enter(strconv.Itoa(id.UID)+" "+c.cgroup, c.door.patience)
	if err != nil {
		return err
	}
	c.tenant = t
	return nil
}

// Install replies to the request, as the caller can be given nothing before it is on its way out of the ioctl. From here to End its
// thread is stopped, and sees of the reply only what End makes of it.
func (c *Call) Install(fd int, cloexec bool) (int, error) {
	if err := c.enter(); err != nil {
		return -1, err
	}
	if err := c.door.admit(); err != nil {
		return -1, err
	}
	talk, err := c.door.begin(order{
		TID: c.req.TID, Filters: c.door.cfg.Filters, Cmd: uint32(c.req.Cmd), Arg: c.req.Arg, Node: c.req.Node, Cloexec: cloexec, file: fd,
	})
	if err != nil {
		if talk == nil {
			<-c.door.sessions
			return -1, err
		}
		t := c.tenant
		c.tenant = nil
		go func() {
			talk.abandon(ReplyErrno)
			<-c.door.sessions
			c.door.tenants.leave(t)
		}()
		return -1, err
	}
	c.talk = talk
	c.req.Reply()
	n, err := talk.installed()
	if err != nil {
		return -1, err
	}
	c.held = true
	return n, nil
}

// End ends the call with what the transaction gave, and reports whether the caller has its answer by that: else Reply was not called,
// and the reply is still to be sent. After Reply it may last for ever.
func (c *Call) End(err error) (answered bool) {
	if c.talk != nil {
		if err == nil {
			c.talk.end(finish{writes: c.writes})
		} else {
			c.talk.abandon(heapnodes.Errno(err))
		}
		c.held, answered = false, true
		<-c.door.sessions
	}
	if c.tenant != nil {
		c.door.tenants.leave(c.tenant)
		c.tenant = nil
	}
	return answered
}

// Check fails if the caller was killed.
func (c *Call) Check() error {
	if c.talk != nil {
		return nil
	}
	select {
	case <-c.req.Interrupted:
	default:
		return nil
	}
	status, err := os.ReadFile("/proc/" + strconv.Itoa(c.req.TID) + "/status")
	if err != nil {
		return heapnodes.ErrGone
	}
	_, after, _ := bytes.Cut(status, []byte("\nSigPnd:\t"))
	line, _, _ := bytes.Cut(after, []byte("\n"))
	pending, err := strconv.ParseUint(string(line), 16, 64)
	if err == nil && pending&(1<<(unix.SIGKILL-1)) != 0 {
		return heapnodes.ErrGone
	}
	return nil
}

// Describe tells what the caller's descriptor fd is.
func (c *Call) Describe(fd int32) (link string, fdinfo []byte, err error) {
	dir := "/proc/" + strconv.Itoa(c.req.TID)
	n := strconv.Itoa(int(fd))
	if link, err = os.Readlink(dir + "/fd/" + n); err == nil {
		fdinfo, err = os.ReadFile(dir + "/fdinfo/" + n)
	}
	if err != nil {
		return "", nil, fmt.Errorf("%w %d: %v", heapnodes.ErrBadFD, fd, err)
	}
	return link, fdinfo, nil
}
