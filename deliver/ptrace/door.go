package ptrace

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/deliver/callers"
	"github.com/heapfs/heapfs/heapnodes"
	"github.com/heapfs/heapfs/internal/sys"
)

const (
	// patience is how long the agent, or a look into a caller's memory, may take. It is more than the agent gives a caller to stop.
	patience = stopIn + time.Second

	// maxPerTenant bounds the callers of one tenant that are worked on at once, those included that hang.
	maxPerTenant = 8
	// maxQueue bounds those of one tenant that wait for their turn.
	maxQueue = 4096
	// maxSessions bounds the callers that are traced at once; each takes one of the agent's threads. Those that hang are not counted here.
	maxSessions = 64
	// maxCalls bounds the calls of all tenants that are worked on at once, those included that hang: threads here and in the agent.
	maxCalls = 512

	// dyingFor is how long the agent's end may take to show on all of its sockets.
	dyingFor = 200 * time.Millisecond

	// lookAgain is how often who waits for a place asks whether one has become free.
	lookAgain = 200 * time.Microsecond
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
	calls    chan struct{} // a place for each that is worked on
	sessions chan struct{} // a place for each that is traced and does not hang

	serial atomic.Uint64 // of the last order

	mu      sync.Mutex
	control int // -1: no agent runs
	agents  int // how many were started
	// answered are the orders whose requests the last agent but one, which was killed, may have answered.
	answered map[uint64]struct{}
	ledger   ledger
	book     int             // the ledger's descriptor, -1: no agent has run yet
	left     map[int]left    // what agents that were killed have left in threads
	idle     []int           // sockets to workers that have nothing to do
	leaving  []*conversation // those that the Door is done with and the agent is not
	closed   bool
}

// Open makes a Door.
func Open(cfg Config) *Door {
	d := &Door{
		cfg: cfg, patience: patience, calls: make(chan struct{}, maxCalls), sessions: make(chan struct{}, maxSessions),
		control: -1, book: -1, left: map[int]left{},
		threads: callers.NewThreads(callers.OpenThread), tenants: callers.NewTenants[turn](maxPerTenant, maxQueue),
	}
	return d
}

// Close lets the agent end, once the calls that have begun are over. Others fail from now on.
func (d *Door) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	d.reap()
	for _, v := range d.leaving {
		sys.Close(v.sock) // the agent has been told how it ends
		v.free()
	}
	d.leaving = nil
	d.forget()
	d.threads.Close()
	d.ledger.unmap()
	sys.Close(d.book)
	d.ledger, d.book = nil, -1
}

// turn is what a call waits at until one of its tenant's places is its own: nil, or why it gets none.
type turn chan error

// enter takes a place for a call of a tenant, which leave gives back.
func (d *Door) enter(key string) (*callers.Tenant[turn], error) {
	place := make(turn, 1)
	t, verdict := d.tenants.Enter(key, place, func() {})
	if verdict == callers.Refused {
		d.look() // some may have come to their end
		t, verdict = d.tenants.Enter(key, place, func() {})
	}
	switch verdict {
	case callers.Refused:
		return nil, heapnodes.ErrBusy
	case callers.Queued:
		if err := d.await(place); err != nil {
			return nil, err
		}
	}
	select {
	case d.calls <- struct{}{}:
		return t, nil
	default:
	}
	d.look()
	select {
	case d.calls <- struct{}{}:
		return t, nil
	default:
		d.leaveTenant(t, false)
		return nil, heapnodes.ErrBusy
	}
}

// await waits for a turn. The agent tells nobody that a session is over, so it looks.
func (d *Door) await(place turn) error {
	d.look()
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	for {
		select {
		case err := <-place:
			return err
		case <-again.C:
			d.look()
		}
	}
}

// leave gives a call's place back.
func (d *Door) leave(t *callers.Tenant[turn], wasStuck bool) {
	<-d.calls
	d.leaveTenant(t, wasStuck)
}

// leaveTenant gives a place of a tenant to whoever waits for it.
func (d *Door) leaveTenant(t *callers.Tenant[turn], wasStuck bool) {
	if next, waits := d.tenants.Leave(t, wasStuck); waits {
		next <- nil
	}
}

// giveUp notes that a call hangs. Those of its tenant that wait behind nothing else are refused.
func (d *Door) giveUp(t *callers.Tenant[turn]) {
	for _, other := range d.tenants.GiveUp(t) {
		other <- heapnodes.ErrBusy
	}
}

// admit waits for a place among the sessions.
func (d *Door) admit() error {
	select {
	case d.sessions <- struct{}{}:
		return nil
	default: // timers are not for nothing
	}
	late := time.NewTimer(d.patience)
	defer late.Stop()
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	for {
		select {
		case d.sessions <- struct{}{}:
			return nil
		case <-again.C:
			d.look()
		case <-late.C:
			return heapnodes.ErrBusy
		}
	}
}

// look finds out which sessions are over.
func (d *Door) look() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reap()
}

// reap takes back the workers of sessions that are over, and what these held. Nobody waits for that when a call ends, as the caller goes
// on at the same time. d.mu is held.
func (d *Door) reap() {
	var now time.Time
	still := d.leaving[:0]
	for _, v := range d.leaving {
		over, usable := v.over()
		switch {
		case !over:
			if now.IsZero() {
				now = time.Now()
			}
			if !v.stuck && now.Sub(v.since) >= d.patience {
				v.hang()
			}
			still = append(still, v)
			continue
		case usable && len(d.idle) < maxSessions:
			d.idle = append(d.idle, v.sock)
		default:
			sys.Close(v.sock)
		}
		v.free()
	}
	clear(d.leaving[len(still):])
	d.leaving = still
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

// hire gives a worker of the agent, and that one's number.
func (d *Door) hire() (sock, agent int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return -1, d.agents, errNoAgent
	}
	if d.reap(); len(d.idle) > 0 {
		last := len(d.idle) - 1
		sock = d.idle[last]
		d.idle = d.idle[:last]
		return sock, d.agents, nil
	}
	if d.control < 0 {
		if err := d.start(); err != nil {
			return -1, d.agents, fmt.Errorf("%w: the process that injects: %v", heapnodes.ErrNoInstaller, err)
		}
	}
	near, far, err := pair(d.patience)
	if err != nil {
		return -1, d.agents, fmt.Errorf("%w: %v", heapnodes.ErrNoInstaller, err)
	}
	err = sendNow(d.control, []byte{msgWorker}, far)
	sys.Close(far)
	switch {
	case errors.Is(err, unix.EAGAIN): // it has taken none of the last ones yet
		sys.Close(near)
		return -1, d.agents, heapnodes.ErrBusy
	case err != nil:
		sys.Close(near)
		return -1, d.agents, errNoAgent
	}
	return near, d.agents, nil
}

// start starts an agent. The last one has ended, so what it has noted stays as it is. d.mu is held.
func (d *Door) start() (err error) {
	if d.book < 0 {
		if d.ledger, d.book, err = newLedger(); err != nil {
			return err
		}
	}
	d.answered = d.ledger.collect(d.left)
	control, err := d.cfg.Start()
	if err != nil {
		return err
	}
	if err := sendNow(control, []byte{msgLedger}, d.book); err != nil {
		sys.Close(control)
		return err
	}
	d.control = control
	d.agents++
	return nil
}

// leftIn is what a killed agent has left in a thread, which is asked once.
func (d *Door) leftIn(tid int) left {
	d.mu.Lock()
	defer d.mu.Unlock()
	of, some := d.left[tid]
	if !some {
		return left{}
	}
	delete(d.left, tid)
	if monotonic()-of.at > freshFor { // by now the number may be another's
		return left{}
	}
	return of
}

// lost lets go of an agent, by its number, if it has died: the next call starts another one. A living one stays, as what it has noted is its
// own. unheard says that the dead one had not answered the request of an order.
func (d *Door) lost(agent int, serial uint64) (unheard bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case agent < d.agents-1:
		return false // long ago
	case agent < d.agents:
		_, answered := d.answered[serial]
		return !answered
	case d.control < 0:
	case !hungUp(d.control):
		return false
	default:
		d.forget()
	}
	return !d.ledger.answered(serial)
}

// hungUp waits for a moment, as a process that is killed closes one socket after the other.
func hungUp(sock int) bool {
	late := time.Now().Add(dyingFor)
	for {
		fds := []unix.PollFd{{Fd: int32(sock)}}
		n, err := unix.Poll(fds, int(time.Until(late).Milliseconds()))
		switch {
		case errors.Is(err, unix.EINTR) && time.Now().Before(late):
		default:
			return err == nil && n > 0 && fds[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
		}
	}
}

// conversation is what the Door knows of the agent's work on one call. It has a place among the sessions until it hangs or is over.
type conversation struct {
	door  *Door
	agent int // its number
	sock  int
	tid   int // the caller's thread
	buf   [maxMessage]byte

	tenant *callers.Tenant[turn] // whose place it gives back; nil until end
	since  time.Time             // of the end
	stuck  bool                  // the caller does not let the agent go
}

// begin has the agent install a file in the caller, and reply to its request at that device. The conversation is to be ended.
func (d *Door) begin(o order, file, device int) (*conversation, error) {
	if err := d.admit(); err != nil {
		return nil, err
	}
	v, agent, err := d.ask(o, file, device)
	if errors.Is(err, errNoAgent) && d.lost(agent, o.Serial) {
		v, _, err = d.ask(o, file, device)
	}
	if err != nil {
		<-d.sessions
		return nil, err
	}
	return v, nil
}

func (d *Door) ask(o order, file, device int) (*conversation, int, error) {
	sock, agent, err := d.hire()
	if err != nil {
		return nil, agent, err
	}
	o.Left = d.leftIn(o.TID)
	if send(sock, o.encode(), file, device) != nil {
		sys.Close(sock)
		return nil, agent, errNoAgent
	}
	return &conversation{door: d, agent: agent, sock: sock, tid: o.TID}, agent, nil
}

// installed waits for the number of the descriptor in the caller.
func (v *conversation) installed() (int, error) {
	v.door.spin(v.sock, v.tid)
	b, fds, err := receive(v.sock, v.buf[:])
	closeAll(fds)
	switch {
	case errors.Is(err, errLate):
		return -1, fmt.Errorf("%w: the caller's thread did not go on in time (%v); it is frozen or very slow",
			heapnodes.ErrNoInstaller, v.door.patience)
	case errors.Is(err, io.EOF):
		return -1, errNoAgent
	case err != nil:
		return -1, fmt.Errorf("%w: %v", heapnodes.ErrNoInstaller, err)
	case len(b) > 0 && b[0] == msgFailed:
		return -1, decodeFailure(b)
	}
	return decodeNumber(b)
}

// end lets the caller go, and does not wait for that. The agent may have to take back what it has done, and for that to wait for a caller
// that is frozen, so it may last for ever; until then the tenant's place stays taken.
func (v *conversation) end(f finish, t *callers.Tenant[turn]) {
	v.tenant, v.since = t, time.Now()
	err := send(v.sock, f.encode())
	d := v.door
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil || d.closed {
		sys.Close(v.sock)
		v.free()
		return
	}
	d.leaving = append(d.leaving, v)
}

// over is whether the agent has come to the end of the session, or to its own. It does not wait. usable says that the worker takes another one.
func (v *conversation) over() (over, usable bool) {
	for {
		n, _, err := unix.Recvfrom(v.sock, v.buf[:], unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return false, false
		case err != nil, n <= 0:
			return true, false
		case v.buf[0] == msgDone:
			return true, true
		default: // what was late
		}
	}
}

// hang notes that the caller does not let the agent go: others get the session's place, but the tenant's own.
func (v *conversation) hang() {
	v.stuck = true
	<-v.door.sessions
	if v.tenant != nil {
		v.door.giveUp(v.tenant)
	}
}

// free gives back what a session has held.
func (v *conversation) free() {
	if !v.stuck {
		<-v.door.sessions
	}
	if v.tenant != nil {
		v.door.leave(v.tenant, v.stuck)
	}
}
