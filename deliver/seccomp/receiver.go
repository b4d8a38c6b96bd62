package seccomp

import (
	"log/slog"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/deliver/callers"
	"github.com/heapfs/heapfs/internal/sys"
)

const (
	// stuckAfter is how long a receiver may be busy with one call, twice at most, before another one waits in its place.
	//
	// Only one waits at a time: the kernel wakes all that do, on the caller's processor, and those who come in vain delay the
	// one who works (Linux 6.18: half of an ALLOC's time for each).
	stuckAfter = 250 * time.Microsecond
	// quietAfter is how many such times without a call it takes until nobody looks any more, so that an idle door costs nothing.
	quietAfter = 40
	// maxParked receivers that were relieved are kept for the next time: to make a thread costs more than an ALLOC.
	maxParked = 2
	// maxReceivers bounds the threads of all tenants together.
	maxReceivers = 512
)

// receiver is a goroutine with a thread of its own, which receives and answers.
type receiver struct {
	tid  int
	call atomic.Pointer[activeCall]
}

type activeCall struct {
	call   *call
	target target
	tenant *callers.Tenant[*call]
}

// hire starts a receiver. d.mu is held.
func (d *Door) hire() {
	r := &receiver{}
	d.receivers[r] = struct{}{}
	d.waiting = true
	go d.receive(r)
}

// receive is one receiver's life. It receives again only while the door needs it, so the number of threads follows the load.
func (d *Door) receive(r *receiver) {
	// Never unlocked: the thread ends with the goroutine, and a signal sent to it reaches nobody else.
	runtime.LockOSThread()
	d.mu.Lock()
	r.tid = unix.Gettid()
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		delete(d.receivers, r)
		d.mu.Unlock()
	}()
	for {
		c := &call{door: d}
		for {
			errno := sys.NotifRecv(d.listener, &c.notif)
			if errno == 0 {
				break
			}
			if d.over(errno) {
				return
			}
		}
		d.mu.Lock()
		d.waiting = false
		d.mu.Unlock()
		d.received.Add(1)
		if d.resting.Load() && d.resting.CompareAndSwap(true, false) {
			d.active <- struct{}{}
		}

		d.serve(r, c)

		d.mu.Lock()
		relieved, room := d.waiting, d.parked < maxParked
		d.waiting = true
		if relieved && room {
			d.parked++
		}
		d.mu.Unlock()
		if relieved && (!room || !d.park()) {
			return
		}
	}
}

// park waits until it is this receiver's turn again: false at the door's end.
func (d *Door) park() bool {
	select {
	case <-d.turn:
		return true
	case <-d.ending:
		return false
	}
}

// replace has a receiver wait for calls: a parked one if there is. d.mu is held.
func (d *Door) replace() {
	if d.parked > 0 {
		select {
		case d.turn <- struct{}{}:
			d.parked--
			d.waiting = true
			return
		default: // it is on its way to park
		}
	}
	d.hire()
}

// relieve has somebody wait for calls while the receiver that did is kept by one of them.
func (d *Door) relieve() {
	t := time.NewTicker(stuckAfter)
	defer t.Stop()
	var last uint64
	for quiet := 0; ; {
		select {
		case <-d.done:
			return
		case <-t.C:
		}
		now := d.received.Load()
		d.mu.Lock()
		if !d.waiting && now == last && len(d.receivers) < maxReceivers {
			d.replace()
		}
		idle := d.waiting && now == last
		d.mu.Unlock()
		if last = now; !idle {
			quiet = 0
			continue
		}
		if quiet++; quiet < quietAfter {
			continue
		}
		quiet = 0
		t.Stop()
		d.resting.Store(true)
		// A call between the look above and this line has seen nobody rest.
		if d.received.Load() != now && d.resting.CompareAndSwap(true, false) {
			t.Reset(stuckAfter)
			continue
		}
		select {
		case <-d.done:
			return
		case <-d.active:
		}
		t.Reset(stuckAfter)
	}
}

// over judges an error of NotifRecv: EINTR is a signal to this thread, ENOENT a caller that died or was signalled before its call
// could be received, or, from Linux 6.11, the end of all callers.
func (d *Door) over(errno unix.Errno) bool {
	switch errno {
	case unix.EINTR, unix.EAGAIN:
	case unix.ENOENT:
		if hangUp(d.listener, 0) {
			return true
		}
	default:
		slog.Error("no more calls can be received", "error", os.NewSyscallError("ioctl SECCOMP_IOCTL_NOTIF_RECV", errno))
		return true
	}
	return d.hungUp.Load()
}

func (d *Door) crew() []*receiver {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make([]*receiver, 0, len(d.receivers))
	for r := range d.receivers {
		all = append(all, r)
	}
	return all
}

// interrupt makes a receiver's wait return EINTR. SIGURG is the signal that the Go runtime uses for itself and ignores when it
// comes unasked.
func (d *Door) interrupt(r *receiver) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, there := d.receivers[r]; there && r.tid != 0 {
		_ = unix.Tgkill(os.Getpid(), r.tid, unix.SIGURG)
	}
}
