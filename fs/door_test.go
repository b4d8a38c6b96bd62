package fs

import (
	"bytes"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/heapnodes"
)

// fakeDoor makes callers that stay as they are: what it is told to install, it only counts.
type fakeDoor struct {
	mu       sync.Mutex
	fail     error // of Install, before the reply
	late     error // of Install, after it
	ended    chan error
	requests []Request
}

type fakeCall struct {
	caller
	door    *fakeDoor
	req     Request
	replied bool
}

func (d *fakeDoor) Call(r Request) Call {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.requests = append(d.requests, r)
	return &fakeCall{caller: caller{arg: r.Arg, in: r.In, out: r.Out}, door: d, req: r}
}

func (c *fakeCall) Install(int, bool) (int, error) {
	if c.door.fail != nil {
		return -1, c.door.fail
	}
	device, reply := c.req.Reply()
	n, err := unix.Write(device, reply)
	if err != nil || n != len(reply) {
		return -1, fmt.Errorf("%w: %d, %v", heapnodes.ErrNoInstaller, n, err)
	}
	c.replied = true
	return 5, c.door.late
}

func (c *fakeCall) Write(p []byte, addr uint64) error {
	if c.replied {
		return nil
	}
	return c.caller.Write(p, addr)
}

func (c *fakeCall) Wrote() bool { return c.wrote }

func (c *fakeCall) End(err error) { c.door.ended <- err }

func TestAnAllocWithADoorIsRepliedToInTheMiddle(t *testing.T) {
	d := &fakeDoor{ended: make(chan error, 1), late: heapnodes.ErrCallerFiles}
	s := mountedWith(t, d)
	fd := s.open(t, "system", unix.O_RDWR)
	arg := request(4096, 0, unix.O_RDWR, 0, 24)
	want := bytes.Clone(arg)
	// The result that the reply has is the door's to change.
	assert.Equal(t, unix.ENOMEM, ioctl(fd, foreign(3, 24), arg))
	assert.Equal(t, want, arg)
	assert.ErrorIs(t, <-d.ended, heapnodes.ErrCallerFiles)
	require.Len(t, d.requests, 1)
	r := d.requests[0]
	assert.Equal(t, foreign(3, 24), r.Cmd)
	assert.Same(t, s.heaps.Nodes()[0], s.tree.NodeByIno(r.Ino))
	assert.Equal(t, 0, r.UID)
	assert.NotZero(t, r.TID)
}

func TestAFailureBeforeTheReplyIsTheReply(t *testing.T) {
	for _, r := range []struct {
		fail  error
		errno unix.Errno
	}{
		{heapnodes.ErrCallerFiles, unix.EMFILE},
		{heapnodes.ErrNoInstaller, unix.ENOMEM},
	} {
		d := &fakeDoor{ended: make(chan error, 1), fail: r.fail}
		s := mountedWith(t, d)
		fd := s.open(t, "system", unix.O_RDWR)
		assert.Equal(t, r.errno, ioctl(fd, foreign(3, 24), request(4096, 0, 0, 0, 24)))
		assert.ErrorIs(t, <-d.ended, r.fail)
		assert.Equal(t, unix.EINVAL, ioctl(fd, foreign(3, 24), request(4096, 1, 0, 0, 24)))
		<-d.ended
	}
}

func TestADoorIsNotAskedForOtherNumbers(t *testing.T) {
	d := &fakeDoor{ended: make(chan error, 1)}
	s := mountedWith(t, d)
	fd := s.open(t, "system", unix.O_RDWR)
	assert.Equal(t, unix.EINVAL, ioctl(fd, 0xC0184801, request(4096, 0, 0, 0, 24)))
	assert.Empty(t, d.requests)
}

// The door interrupts its callers, and so may any signal.
func TestAnInterruptedAllocGoesOn(t *testing.T) {
	d := &fakeDoor{ended: make(chan error, 1), fail: heapnodes.ErrCallerFiles}
	s := mountedWith(t, d, func(c *heapnodes.Config) {
		f, err := heapnodes.ParseFault("system:delay=300ms")
		require.NoError(t, err)
		c.Faults = []heapnodes.Fault{f}
	})
	fd := s.open(t, "system", unix.O_RDWR)
	tid := make(chan int)
	done := make(chan struct{})
	go func() {
		to := <-tid
		for {
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
				_ = unix.Tgkill(unix.Getpid(), to, unix.SIGURG)
			}
		}
	}()
	lockedThread(func() {
		tid <- unix.Gettid()
		assert.Equal(t, unix.EMFILE, ioctl(fd, foreign(3, 24), request(4096, 0, 0, 0, 24)))
	})
	close(done)
	<-d.ended
	select {
	case <-d.requests[0].Interrupted:
	default:
		t.Error("no signal has arrived")
	}
}

func lockedThread(f func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	f()
}

func mountedWith(t *testing.T, d Door, change ...func(*heapnodes.Config)) *site {
	t.Helper()
	s := newTree(t, change...)
	s.tree.Door = d
	s.mount(t)
	return s
}
