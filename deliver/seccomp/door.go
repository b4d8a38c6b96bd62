package seccomp

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/deliver/callers"
	"github.com/heapfs/heapfs/heapnodes"
	"github.com/heapfs/heapfs/internal/sys"
)

const (
	oPath = unix.O_PATH

	// patience is how long a look into a caller's memory may take before the call is answered without it.
	patience = 5 * time.Second
	// watchEvery is how often that is checked.
	watchEvery = 500 * time.Millisecond
)

// Config is what a door leads to.
type Config struct {
	Heaps *heapnodes.Heaps
	// Node finds the heap node of a file, or nil.
	Node func(sys.FileID) *heapnodes.Node
	// Bound finds what a character device of this number stands for, or nil. A door with an ImportFilter has it.
	Bound func(rdev uint64) *heapnodes.Binding
}

// Door answers one listener.
type Door struct {
	cfg      Config
	listener int
	opened   time.Time
	threads  *callers.Threads[*thread]
	learner  learner
	tenants  *callers.Tenants[*call]

	hungUp atomic.Bool
	done   chan struct{}

	received atomic.Uint64 // calls so far
	resting  atomic.Bool   // relieve waits for active
	active   chan struct{}
	turn     chan struct{} // a parked receiver's sign to wait for calls again
	ending   chan struct{} // closed when nobody can call any more

	mu        sync.Mutex // of what follows, and of every receiver's tid
	receivers map[*receiver]struct{}
	waiting   bool // a receiver waits for a call, or is about to
	parked    int  // relieved receivers that are kept
}

// Open starts to answer listener, which belongs to the Door from now on. It ends by itself when nobody uses the filter any more.
func Open(listener int, cfg Config) *Door {
	d := &Door{
		cfg: cfg, listener: listener, opened: time.Now(), done: make(chan struct{}),
		threads: callers.NewThreads(openThread), learner: newLearner(), tenants: callers.NewTenants[*call](maxPerTenant, maxQueue),
		receivers: map[*receiver]struct{}{}, active: make(chan struct{}, 1),
		turn: make(chan struct{}), ending: make(chan struct{}),
	}
	if err := sys.NotifSyncWakeUp(listener); err != nil {
		slog.Debug("calls take longer: the kernel has no synchronous wake-up", "since", "Linux 6.6", "error", err)
	}
	d.mu.Lock()
	d.hire()
	d.mu.Unlock()
	go d.watch()
	go d.relieve()
	go d.awaitHangUp()
	return d
}

// Done is closed when all users of the filter are gone and every call has been answered or given up.
func (d *Door) Done() <-chan struct{} { return d.done }

// serve answers a call, and then what waited for its turn meanwhile.
func (d *Door) serve(r *receiver, c *call) {
	tgt := c.resolve()
	if tgt == nil {
		c.pass()
		c.release()
		return
	}
	// What waits is resolved anew when its turn comes, and holds no descriptor until then.
	t, verdict := d.tenants.Enter(tenantKey(c), c, c.release)
	switch verdict {
	case callers.Queued:
		return
	case callers.Refused:
		c.refuse(tgt, heapnodes.ErrBusy)
		return
	}
	for {
		active := &activeCall{call: c, target: tgt, tenant: t}
		r.call.Store(active)
		c.answer(tgt.Ioctl(context.Background(), c, c.cmd(), c.arg()))
		// Whoever takes the call out of its place ends it: this receiver, or the watch that gave it up.
		wasStuck := !r.call.CompareAndSwap(active, nil)
		c.release()
		next, waits := d.tenants.Leave(t, wasStuck)
		if !waits {
			return
		}
		c = next
		// What waits was resolved in vain by now: the descriptor may be another's.
		for tgt = c.again(); tgt == nil; tgt = c.again() {
			c.pass()
			c.release()
			if next, waits = d.tenants.Leave(t, false); !waits {
				return
			}
			c = next
		}
	}
}

// again resolves a call once more.
func (c *call) again() target {
	c.release()
	return c.resolve()
}

// release gives the view of the thread back.
func (c *call) release() {
	if c.thread != nil {
		c.door.threads.Put(c.thread)
		c.thread = nil
	}
}

// refuse answers without touching the caller's memory.
func (c *call) refuse(tgt target, err error) {
	if _, ok := tgt.(*heapnodes.Binding); ok {
		err = heapnodes.ErrKernel // the real driver is not to suffer from it
	}
	if n, ok := tgt.(*heapnodes.Node); ok {
		n.Refused(c, err)
	}
	c.answer(err)
	c.release()
}

// watch answers calls whose caller's memory does not.
func (d *Door) watch() {
	t := time.NewTicker(watchEvery)
	defer t.Stop()
	for {
		select {
		case <-d.done:
			return
		case <-t.C:
		}
		for _, r := range d.crew() {
			active := r.call.Load()
			if active == nil {
				continue
			}
			since := active.call.waiting.Load()
			if since == 0 || time.Since(d.opened)-time.Duration(since) < patience || !r.call.CompareAndSwap(active, nil) {
				continue
			}
			d.giveUp(active)
		}
	}
}

func (d *Door) giveUp(a *activeCall) {
	err := fmt.Errorf("%w (%v)", heapnodes.ErrSlow, patience)
	if _, ok := a.target.(*heapnodes.Binding); ok {
		err = heapnodes.ErrKernel
	}
	if n, ok := a.target.(*heapnodes.Node); ok {
		n.Refused(a.call, err)
	}
	a.call.answer(err)
	for _, c := range d.tenants.GiveUp(a.tenant) {
		if tgt := c.again(); tgt != nil {
			c.refuse(tgt, heapnodes.ErrBusy)
		} else {
			c.pass()
			c.release()
		}
	}
}

// hangUp waits for the end of all users of the filter: timeout in milliseconds, -1 for ever.
func hangUp(listener, timeout int) bool {
	fds := []unix.PollFd{{Fd: int32(listener)}}
	n, err := unix.Poll(fds, timeout)
	return err == nil && n > 0 && fds[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
}

// awaitHangUp ends the door. Before Linux 6.11 a receiver does not notice by itself that nobody can call any more, so each is
// interrupted until it has seen hungUp. Receivers that are stuck in a caller's memory are left behind: those callers are dead or
// about to be, and the server's end takes them along.
func (d *Door) awaitHangUp() {
	for !hangUp(d.listener, -1) {
	}
	d.hungUp.Store(true)
	close(d.ending)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		crew := d.crew()
		if len(crew) == 0 {
			break
		}
		for _, r := range crew {
			d.interrupt(r)
		}
	}
	d.threads.Close()
	sys.Close(d.listener)
	close(d.done)
}
