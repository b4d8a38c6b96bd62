package ptrace

import (
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// kick is a signal that nothing else uses; it ends a worker's wait, which is then begun anew or given up.
	kick = syscall.Signal(64)
	// lookEvery is how often that happens.
	lookEvery = 50 * time.Millisecond
	// restAfter is how many looks without a session there are before no more are taken.
	restAfter = 20
)

// watch keeps the waits of workers from lasting for ever: the first stop of a caller may not come, and a wait for a thread whose process
// has executed a program meanwhile is not always woken. It is one for all sessions, as a timer for each would wake a thread each time.
type watch struct {
	mu    sync.Mutex
	busy  map[*watched]struct{}
	begun chan struct{}
}

// watched is a session that goes on.
type watched struct {
	*session
	since time.Time
}

// begin notes a session, until it is over.
func (w *watch) begin(s *session) *watched {
	one := &watched{s, time.Now()}
	w.mu.Lock()
	w.busy[one] = struct{}{}
	w.mu.Unlock()
	select {
	case w.begun <- struct{}{}:
	default:
	}
	return one
}

func (w *watch) over(one *watched) {
	w.mu.Lock()
	delete(w.busy, one)
	w.mu.Unlock()
}

// keep looks at the sessions until the agent ends.
func (w *watch) keep(stopIn time.Duration, over <-chan struct{}) {
	for {
		select {
		case <-w.begun:
		case <-over:
			return
		}
		t := time.NewTicker(lookEvery)
		for quiet := 0; quiet < restAfter; quiet++ {
			select {
			case now := <-t.C:
				if w.look(now, stopIn) {
					quiet = 0
				}
			case <-over:
				quiet = restAfter
			}
		}
		t.Stop()
	}
}

// look ends the waits of all sessions that are not quite new, and reports whether there are sessions.
func (w *watch) look(now time.Time, stopIn time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for one := range w.busy {
		age := now.Sub(one.since)
		if age >= stopIn {
			one.late.Store(true)
		}
		if age >= lookEvery {
			_ = unix.Tgkill(os.Getpid(), one.worker, kick)
		}
	}
	return len(w.busy) > 0
}
