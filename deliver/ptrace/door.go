package ptrace

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/deliver/callers"
	"github.com/heapfs/heapfs/heapnodes"
	"github.com/heapfs/heapfs/internal/sys"
)

const (
	// patience is how long the agent, or a look into a caller's memory, may take. It is more than the agent gives a caller to stop.
	patience = stopIn + time.Second

	// maxPerTenant bounds the callers of one tenant that are worked on at once.
	maxPerTenant = 8
	// maxQueue bounds those of one tenant that wait for their turn.
	maxQueue = 4096
	// maxSessions bounds the callers that are traced at once; each takes a thread here and one of the agent's.
	maxSessions = 64
)

// Config is what a Door needs.
type Config struct {
	// Start starts an agent and gives the near end of the sequenced packet socket that it Serves. It is called when the first caller
	// needs one, and again should the agent have died. The socket belongs to the Door.
	Start func() (control int, err error)
	// Filters is how many seccomp filters each caller has that are known to let the injected calls through: those of heapfs itself,
	// and those that this process has too. They count only where the kernel refuses to suspend filters.
	Filters int
}

// Door makes Callers of ioctls that came by FUSE.
type Door struct {
	cfg      Config
	patience time.Duration
	threads  *callers.Threads[*callers.Thread]
	tenants  *callers.Tenants[turn]
	sessions chan struct{} // a place for each

	mu      sync.Mutex
	control int // -1: no agent runs
	ledger  ledger
	book    int          // the ledger's descriptor, -1: no agent has run yet
	left    map[int]left // what agents that were killed have left in threads
	idle    []int        // sockets to its workers
	closed  bool
}

// Open makes a Door.
func Open(cfg Config) *Door {
	d := &Door{
		cfg: cfg, patience: patience, sessions: make(chan struct{}, maxSessions), control: -1, book: -1, left: map[int]left{},
		threads: callers.NewThreads(callers.OpenThread), tenants: callers.NewTenants[turn](maxPerTenant, maxQueue),
	}
	return d
}

// Close lets the agent end, once the calls that have begun are over. Others fail from now on.
func (d *Door) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	d.forget()
	d.threads.Close()
	d.ledger.unmap()
	sys.Close(d.book)
	d.ledger, d.book = nil, -1
}

// turn is what a call waits at until one of its tenant's places is its own: nil, or why it gets none.
type turn chan error

// leave gives a place of a tenant to whoever waits for it.
func (d *Door) leave(t *callers.Tenant[turn], wasStuck bool) {
	if next, waits := d.tenants.Leave(t, wasStuck); waits {
		next <- nil
	}
}

// forget lets go of the agent. d.mu is held.
func (d *Door) forget() {
	for _, sock := range d.idle {
		sys.Close(sock)
	}
	d.idle = nil
	if d.control >= 0 {
		sys.Close(d.control)
		d.control = -1
	}
}

var errNoAgent = fmt.Errorf("%w: the process that injects is gone", heapnodes.ErrNoInstaller)

// hire gives a worker of the agent, which is given back by dismiss.
func (d *Door) hire() (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return -1, errNoAgent
	}
	if sock := d.ready(); sock >= 0 {
		return sock, nil
	}
	if d.control < 0 {
		if err := d.start(); err != nil {
			return -1, fmt.Errorf("%w: the process that injects: %v", heapnodes.ErrNoInstaller, err)
		}
	}
	near, far, err := pair(d.patience)
	if err != nil {
		return -1, fmt.Errorf("%w: %v", heapnodes.ErrNoInstaller, err)
	}
	err = send(d.control, []byte{msgWorker}, far)
	sys.Close(far)
	if err != nil {
		sys.Close(near)
		return -1, errNoAgent
	}
	return near, nil
}

// start starts an agent. The last one has ended, so what it has noted stays as it is. d.mu is held.
func (d *Door) start() (err error) {
	if d.book < 0 {
		if d.ledger, d.book, err = newLedger(); err != nil {
			return err
		}
	}
	d.ledger.collect(d.left)
	control, err := d.cfg.Start()
	if err != nil {
		return err
	}
	if err := send(control, []byte{msgLedger}, d.book); err != nil {
		sys.Close(control)
		return err
	}
	d.control = control
	return nil
}

// leftIn is what a killed agent has left in a thread, which is asked once.
func (d *Door) leftIn(tid int) left {
	d.mu.Lock()
	defer d.mu.Unlock()
	of := d.left[tid]
	delete(d.left, tid)
	return of
}

// ready takes a worker that has told of the end of its last session, or -1. Nobody waits for that when a call ends. d.mu is held.
func (d *Door) ready() int {
	var buf [maxMessage]byte
	for i := len(d.idle) - 1; i >= 0; i-- {
		sock := d.idle[i]
		n, _, err := unix.Recvfrom(sock, buf[:], unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
			continue // its caller is still on its way
		case err == nil && n > 0 && buf[0] == msgDone:
			d.idle = append(d.idle[:i], d.idle[i+1:]...)
			return sock
		default:
			d.idle = append(d.idle[:i], d.idle[i+1:]...)
			sys.Close(sock)
		}
	}
	return -1
}

// admit waits for a place among the sessions.
func (d *Door) admit() error {
	select {
	case d.sessions <- struct{}{}:
		return nil
	default: // a timer is not for nothing
	}
	late := time.NewTimer(d.patience)
	defer late.Stop()
	select {
	case d.sessions <- struct{}{}:
		return nil
	case <-late.C:
		return heapnodes.ErrBusy
	}
}

// lost notes that the agent has died.
func (d *Door) lost() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forget()
}

// dismiss takes a worker back, which has yet to say msgDone; one that broke off is of no use any more.
func (d *Door) dismiss(sock int, usable bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if usable && !d.closed {
		d.idle = append(d.idle, sock)
	} else {
		sys.Close(sock)
	}
}

// conversation is what the Door knows of the agent's work on one call.
type conversation struct {
	door *Door
	sock int
	buf  [maxMessage]byte
}

// next waits for a message of the agent.
func (v *conversation) next() ([]byte, error) {
	b, fd, err := receive(v.sock, v.buf[:])
	sys.Close(fd)
	switch {
	case errors.Is(err, errLate):
		return nil, fmt.Errorf("%w: the caller's thread did not go on in time (%v); it is frozen or very slow",
			heapnodes.ErrNoInstaller, v.door.patience)
	case errors.Is(err, io.EOF):
		return nil, errNoAgent
	case err != nil:
		return nil, fmt.Errorf("%w: %v", heapnodes.ErrNoInstaller, err)
	case len(b) > 0 && b[0] == msgFailed:
		return nil, decodeFailure(b)
	}
	return b, nil
}

// begin has the agent trace the caller. With an error that says that this is late it gives a conversation, too, which is to be
// abandoned.
func (d *Door) begin(o order) (*conversation, error) {
	v, err := d.ask(o)
	if errors.Is(err, errNoAgent) {
		// Nothing has happened to the caller yet: a thread is let go when its tracer dies.
		d.lost()
		v, err = d.ask(o)
	}
	return v, err
}

func (d *Door) ask(o order) (*conversation, error) {
	sock, err := d.hire()
	if err != nil {
		return nil, err
	}
	o.Left = d.leftIn(o.TID)
	v := &conversation{door: d, sock: sock}
	if err := send(sock, o.encode(), o.file); err != nil {
		d.dismiss(sock, false)
		return nil, errNoAgent
	}
	_, err = v.next()
	var refused *failed
	switch {
	case err == nil:
		return v, nil
	case errors.As(err, &refused):
		v.end(finish{errno: ReplyErrno})
		return nil, err
	case errors.Is(err, errNoAgent):
		d.dismiss(sock, false)
		return nil, err
	}
	return v, err
}

// installed waits for the number of the descriptor in the caller.
func (v *conversation) installed() (int, error) {
	b, err := v.next()
	if err != nil {
		return -1, err
	}
	return decodeNumber(b)
}

// end lets the caller go, which takes the agent no time.
func (v *conversation) end(f finish) { v.door.dismiss(v.sock, send(v.sock, f.encode(), -1) == nil) }

// abandon ends a conversation after a failure. The agent may have to take back what it has done, and for that to wait for a caller that
// is frozen, so this may last for ever.
func (v *conversation) abandon(errno unix.Errno) {
	if send(v.sock, finish{errno: errno}.encode(), -1) != nil {
		v.door.dismiss(v.sock, false)
		return
	}
	for {
		// A peek: whoever is given the worker next looks for the end of this session.
		n, _, err := unix.Recvfrom(v.sock, v.buf[:], unix.MSG_PEEK)
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		case err != nil, n == 0:
			v.door.dismiss(v.sock, false)
			return
		case v.buf[0] == msgDone:
			v.door.dismiss(v.sock, true)
			return
		default: // what was late
			_, _, _ = unix.Recvfrom(v.sock, v.buf[:], 0)
		}
	}
}
