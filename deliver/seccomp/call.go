package seccomp

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/deliver/callers"
	"github.com/heapfs/heapfs/heapnodes"
	"github.com/heapfs/heapfs/internal/sys"
)

// doorName is what events call this way in.
const doorName = "seccomp"

// call is one notification on its way; it is the heapnodes.Caller.
type call struct {
	door   *Door
	notif  sys.Notif
	thread *thread
	id     heapnodes.Identity

	// waiting is when the current look into the caller began (nanoseconds since the door opened), 0 between looks.
	waiting  atomic.Int64
	answered atomic.Bool
	// certain is that the caller was seen to be there since it called: a thread that has taken a descriptor just now, or whose
	// /proc directory, kept from an earlier call, still shows it. It says as much as the question whether the caller waits.
	certain bool
}

var (
	_ heapnodes.Caller  = (*call)(nil)
	_ heapnodes.Guesser = (*call)(nil)
	_ heapnodes.Filer   = (*call)(nil)
)

func (c *call) Door() string                 { return doorName }
func (c *call) Identity() heapnodes.Identity { return c.id }

// Read of a caller's memory is valid only if the caller still waits afterwards, else the thread id may be somebody else's. That is
// not asked here, because it costs as much as the look itself, and a Write or an Install, which ask, follow as a rule.
func (c *call) Read(p []byte, addr uint64) error {
	if len(p) == 0 {
		return nil
	}
	c.wait()
	n, err := c.thread.ReadMemory(p, addr)
	c.waiting.Store(0)
	if c.answered.Load() {
		return heapnodes.ErrGone
	}
	return callers.Moved(n, len(p), err)
}

// Check asks the kernel.
func (c *call) Check() error {
	if !c.alive() {
		return heapnodes.ErrGone
	}
	return nil
}

func (c *call) Write(p []byte, addr uint64) error {
	if len(p) == 0 {
		return nil
	}
	// Between this question and the write the caller may be killed, too; for its number to be another's by then, all numbers
	// would have to be used up in a few microseconds.
	if !c.certain && !c.alive() {
		return heapnodes.ErrGone
	}
	c.certain = false
	c.wait()
	n, err := c.thread.WriteMemory(p, addr)
	c.waiting.Store(0)
	if c.answered.Load() {
		return heapnodes.ErrGone
	}
	return callers.Moved(n, len(p), err)
}

func (c *call) Install(fd int, cloexec bool) (int, error) {
	c.wait()
	n, errno := sys.NotifAddFD(c.door.listener, c.notif.ID, fd, cloexec)
	c.waiting.Store(0)
	switch errno {
	case 0:
		c.certain = true
		c.thread.habit.got(n)
		return n, nil
	case unix.EMFILE:
		return -1, heapnodes.ErrCallerFiles
	case unix.ENFILE:
		return -1, heapnodes.ErrSystemFiles
	case unix.ENOENT, unix.EINPROGRESS, unix.ESRCH:
		return -1, heapnodes.ErrGone
	default:
		return -1, fmt.Errorf("%w: ioctl SECCOMP_IOCTL_NOTIF_ADDFD: %v", heapnodes.ErrExport, errno)
	}
}

func (c *call) Describe(fd int32) (link string, fdinfo []byte, err error) {
	return c.thread.Describe(fd)
}

// NextFD goes by what the thread was given before.
func (c *call) NextFD() int { return c.thread.habit.next() }

func (c *call) wait() { c.waiting.Store(max(1, int64(time.Since(c.door.opened)))) }

// alive is whether the caller still waits for this answer.
func (c *call) alive() bool {
	return !c.answered.Load() && sys.NotifValid(c.door.listener, c.notif.ID) == 0
}

// answer ends the caller's wait, once.
func (c *call) answer(err error) {
	if err != nil && errors.Is(err, heapnodes.ErrKernel) {
		c.pass()
		return
	}
	if c.answered.CompareAndSwap(false, true) {
		// ENOENT: the caller was killed meanwhile, and with it went what it had been given.
		_ = sys.NotifSend(c.door.listener, c.notif.ID, heapnodes.Errno(err))
	}
}

// pass lets the kernel deal with the call.
func (c *call) pass() {
	if c.answered.CompareAndSwap(false, true) {
		_ = sys.NotifContinue(c.door.listener, c.notif.ID)
	}
}
