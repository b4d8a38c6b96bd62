package ptrace

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/deliver/callers"
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
	// In is what the kernel has copied in, Out what it will copy out with the reply.
	In, Out []byte
	// Reply makes the message that replies with Out as it is now, and with the result -ReplyErrno. Written to the device it answers the request,
	// and what the server says at the end of the call is not heard any more.
	Reply func() (device int, message []byte)
	// Interrupted is closed when a signal came to the caller. That is no reason to give up an ALLOC; a fatal one is.
	Interrupted <-chan struct{}
}

// Call is a request on its way; it is the heapnodes.Caller. One goroutine uses it, and Ends it.
type Call struct {
	door *Door
	req  Request

	id     heapnodes.Identity
	known  bool            // id is filled in
	thread *callers.Thread // nil until then, and if it can't be seen
	unseen error           // why it can't

	tenant  *callers.Tenant[turn]
	slow    bool // a look into the caller's memory was given up, and has the tenant's place and the view now
	wrote   bool
	talk    *conversation // once the agent has the order
	replied bool          // the agent may have replied
	held    bool          // the caller has the descriptor, and its thread is stopped
	writes  []write       // for the end
	size    int           // of those, in bytes
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
	for {
		t, kept, err := c.door.threads.Take(c.req.TID)
		if err != nil {
			c.unseen = err
			return c.id
		}
		comm, err := t.Name()
		if err != nil && kept { // of a thread that had the number before
			t.Close()
			continue
		}
		c.id.PID, c.id.Comm, c.thread = t.TGID, comm, t
		return c.id
	}
}

// Read of the argument is a copy of what the kernel brought along; other addresses are read from the caller.
func (c *Call) Read(p []byte, addr uint64) error {
	if len(p) == 0 {
		return nil
	}
	if addr == c.req.Arg && len(p) <= len(c.req.In) && !c.replied {
		copy(p, c.req.In)
		return nil
	}
	if err := c.enter(); err != nil {
		return err
	}
	own := make([]byte, len(p)) // p is not ours any more if the look is given up
	err := c.look(func() (int, error) { return c.thread.ReadMemory(own, addr) }, len(p))
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
		return c.look(func() (int, error) { return c.thread.WriteMemory(own, addr) }, len(p))
	}
	switch {
	case len(p) == 0:
	case !c.replied:
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
		t, view := c.tenant, c.thread
		c.tenant, c.thread = nil, nil
		c.door.giveUp(t)
		go func() {
			<-done
			c.door.threads.Put(view)
			c.door.leave(t, true)
		}()
		return fmt.Errorf("%w (%v)", heapnodes.ErrSlow, c.door.patience)
	}
	return callers.Moved(m.n, want, m.err)
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
	if c.thread == nil {
		if c.unseen != nil && !errors.Is(c.unseen, unix.ENOENT) && !errors.Is(c.unseen, unix.ESRCH) {
			return fmt.Errorf("%w: %v", heapnodes.ErrDenied, c.unseen)
		}
		return heapnodes.ErrGone
	}
	t, err := c.door.enter(callers.TenantKey(id.UID, c.thread.Cgroup))
	c.tenant = t
	return err
}

// Install has the agent reply to the request, as the caller can be given nothing before it is on its way out of the ioctl. From here to End
// its thread is stopped, and sees of the reply only what End makes of it.
func (c *Call) Install(fd int, cloexec bool) (int, error) {
	if err := c.enter(); err != nil {
		return -1, err
	}
	serial := c.door.serial.Add(1)
	n, err := c.inject(serial, fd, cloexec)
	if errors.Is(err, errNoAgent) && c.talk != nil && c.door.lost(c.talk.agent, serial) {
		// Nothing has happened to the caller: a thread is let go when its tracer dies.
		c.talk.end(finish{errno: ReplyErrno}, nil)
		c.talk, c.replied = nil, false
		n, err = c.inject(serial, fd, cloexec)
	}
	if err != nil {
		return -1, err
	}
	c.held = true
	return n, nil
}

func (c *Call) inject(serial uint64, fd int, cloexec bool) (int, error) {
	device, reply := c.req.Reply()
	talk, err := c.door.begin(order{
		TID: c.req.TID, Serial: serial, Filters: c.door.cfg.Filters, Cmd: uint32(c.req.Cmd), Arg: c.req.Arg, Node: c.req.Node, Cloexec: cloexec,
		Reply: reply,
	}, fd, device)
	if err != nil {
		return -1, err
	}
	c.talk, c.replied = talk, true
	return talk.installed()
}

// End ends the call with what the transaction gave. If the agent has not replied, the reply is still to be sent, with the same.
func (c *Call) End(err error) {
	switch {
	case c.talk != nil:
		f := finish{errno: heapnodes.Errno(err)}
		if err == nil {
			f.writes = c.writes
		}
		c.talk.end(f, c.tenant)
	case c.tenant != nil:
		c.door.leave(c.tenant, false)
	}
	c.talk, c.tenant, c.held = nil, nil, false
	if c.thread != nil {
		c.door.threads.Put(c.thread)
		c.thread = nil
	}
}

// Check fails if the caller was killed.
func (c *Call) Check() error {
	if c.replied {
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
	c.Identity()
	if c.thread == nil {
		return "", nil, fmt.Errorf("%w %d: its process can't be seen", heapnodes.ErrBadFD, fd)
	}
	return c.thread.Describe(fd)
}
