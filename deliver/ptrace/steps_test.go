package ptrace

import (
	"bytes"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/heapnodes/events"
	"github.com/heapfs/heapfs/internal/sys"
)

// hook does something once, when a session comes to a step.
type hook struct {
	mu   sync.Mutex
	at   step
	do   func(tid int)
	done chan struct{}
}

func (h *hook) set(at step, do func(tid int)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at, h.do, h.done = at, do, make(chan struct{})
}

func (h *hook) reached(p step, tid int) {
	h.mu.Lock()
	do, done := h.do, h.done
	if p != h.at || do == nil {
		h.mu.Unlock()
		return
	}
	h.do = nil
	h.mu.Unlock()
	do(tid)
	close(done)
}

// A moment for what a hook has begun in the caller, which the session must cope with at any time.
const moment = 20 * time.Millisecond

// idle waits until no session is in progress and lets all workers go: the agent ends only with its last socket.
func (s *site) idle(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		s.door.mu.Lock()
		defer s.door.mu.Unlock()
		s.door.reap()
		for _, sock := range s.door.idle {
			sys.Close(sock)
		}
		s.door.idle = nil
		return len(s.door.leaving) == 0 && len(s.door.sessions) == 0 && len(s.door.calls) == 0
	}, 20*time.Second, time.Millisecond)
}

func (s *site) mustWork(t *testing.T) {
	t.Helper()
	r := s.once(t, "once", "2")
	require.Zero(t, r.Errno, s.reason())
	require.Empty(t, r.Fault)
}

func TestACallerThatIsKilledAtAnyStepIsGone(t *testing.T) {
	var h hook
	s := open(t, change{reached: h.reached})
	for _, p := range steps {
		h.set(p, func(tid int) { assert.NoError(t, unix.Kill(tid, unix.SIGKILL)) })
		c := s.start(t, "once", "2")
		c.say(t)
		_, ok := c.hear(t)
		assert.False(t, ok, p)
		s.idle(t)
		if state := c.end(t); state != nil { // nil where the agent's wait has seen the end, which is in this process here
			assert.Equal(t, "signal: killed", state.String(), "at %s", p)
		}
		for _, e := range s.events() {
			assert.NotEqual(t, events.AllocFailed, e.Event, "at %s: nobody was refused anything: %s", p, e.Reason)
		}
	}
	s.mustWork(t)
	soon(t, s.files.made.Load(), func() int32 { return s.files.discarded.Load() + s.files.delivered.Load() })
}

func TestACallerThatIsStoppedAtAnyStepGoesOnLater(t *testing.T) {
	var h hook
	s := open(t, change{reached: h.reached})
	for _, p := range steps {
		h.set(p, func(tid int) {
			assert.NoError(t, unix.Kill(tid, unix.SIGSTOP))
			time.Sleep(moment)
		})
		c := s.start(t, "once", "2")
		c.say(t)
		<-h.done
		s.idle(t)
		assert.Eventually(t, func() bool { return state(c.cmd.Process.Pid) == 'T' }, 5*time.Second, time.Millisecond, "stopped at %s", p)
		require.NoError(t, c.cmd.Process.Signal(unix.SIGCONT))
		r, ok := c.hear(t)
		assert.True(t, ok)
		assert.Zero(t, r.Errno, "stopped at %s: %s", p, s.reason())
		assert.Empty(t, r.Fault)
		assert.Equal(t, r.Before, r.After, p)
		assert.Equal(t, "0000000000000000", r.Blocked, p)
		assert.True(t, c.end(t).Success(), p)
	}
}

func TestAProcessThatExecutesAProgramAtAnyStep(t *testing.T) {
	var h hook
	s := open(t, change{reached: h.reached})
	plain := s.once(t, "after").After
	for _, who := range []string{"leader", "thread"} {
		for _, p := range steps {
			var pid atomic.Int64
			h.set(p, func(int) {
				assert.NoError(t, unix.Kill(int(pid.Load()), unix.SIGUSR1))
				time.Sleep(moment)
			})
			c := s.start(t, "exec", who)
			pid.Store(int64(c.cmd.Process.Pid))
			c.say(t)
			<-h.done
			s.idle(t)
			c.say(t)
			r, ok := c.hear(t)
			if ok && r.Count == 0 { // the ALLOC came back first
				assert.Zero(t, r.Errno)
				r, ok = c.hear(t)
			}
			require.True(t, ok, "%s at %s: %v", who, p, s.reason())
			assert.Equal(t, plain, r.After, "%s at %s", who, p)
			assert.True(t, c.end(t).Success())
		}
	}
	s.mustWork(t)
}

func TestAProcessThatForksAtAnyStep(t *testing.T) {
	var h hook
	s := open(t, change{reached: h.reached})
	plain := s.once(t, "after").After
	for _, p := range steps {
		h.set(p, func(tid int) {
			assert.NoError(t, unix.Kill(tid, unix.SIGUSR1))
			time.Sleep(moment)
		})
		c := s.start(t, "fork")
		c.say(t)
		r, ok := c.hear(t)
		require.True(t, ok)
		assert.Zero(t, r.Errno, "%s: %s", p, s.reason())
		assert.Empty(t, r.Fault)
		child, ok := c.hear(t)
		require.True(t, ok)
		assert.Empty(t, child.Fault)
		assert.Equal(t, plain, child.After, "%s", p)
		s.idle(t)
		assert.True(t, c.end(t).Success())
	}
}

// state is the letter of a process in /proc/PID/stat, 0 if it is gone.
func state(pid int) byte {
	b, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	i := bytes.LastIndexByte(b, ')')
	if i < 0 || i+2 >= len(b) {
		return 0
	}
	return b[i+2]
}
