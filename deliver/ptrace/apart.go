package ptrace

import (
	"errors"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// apartOf is how many processors there are where it is of use to be apart. Among more the kernel finds an idle one by itself.
	apartOf = 2
	// apartFor is how long this process stays off a processor after the last call from there; at most twice that.
	apartFor = 50 * time.Millisecond
	// mixedFor is how long it is anywhere once there was a reason for that.
	mixedFor = 50 * time.Millisecond
	// movesEvery bounds the moves, for a caller may change its processor with each call.
	movesEvery = 5 * time.Millisecond
)

// apart keeps this process off the processor that a lone caller shares with the agent. What the process does beside the call, such as to make
// buffers ready and to look after closed ones, would else take turns with the injection, whose two dozen switches wait for each other. All
// threads are moved, so that happens when the caller has moved and not with each call.
type apart struct {
	mu    sync.Mutex
	from  int         // the processor that is left to the caller, -1
	home  unix.CPUSet // where this process may be; filled in while from is not -1
	off   bool        // it was refused, or is over
	used  bool        // since keep has looked
	moved time.Time
	mixed time.Time     // when it was let be anywhere the last time
	end   chan struct{} // of keep
	kept  sync.WaitGroup
}

// leave leaves a processor to a lone caller.
func (a *apart) leave(cpu int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.used = true
	if a.off || a.from == cpu {
		return
	}
	now := time.Now()
	if now.Sub(a.mixed) < mixedFor || now.Sub(a.moved) < movesEvery {
		return
	}
	home := a.home
	if a.from < 0 {
		if err := unix.SchedGetaffinity(0, &home); err != nil {
			return
		}
	}
	set := home
	set.Clear(cpu)
	if home.Count() != apartOf || set.Count() != apartOf-1 {
		return
	}
	a.moved, a.home = now, home
	if !a.move(&set) {
		return
	}
	if a.from < 0 {
		a.end = make(chan struct{})
		a.kept.Add(1)
		go a.keep(a.end)
	}
	a.from = cpu
}

// mix lets this process be anywhere for some time: there are several callers, or it starts another one.
func (a *apart) mix() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mixed = time.Now()
	a.back()
}

// close lets it be anywhere for good.
func (a *apart) close() {
	a.mu.Lock()
	a.off = true
	a.back()
	a.mu.Unlock()
	a.kept.Wait()
}

// back undoes leave. a.mu is held.
func (a *apart) back() {
	if a.from < 0 {
		return
	}
	a.move(&a.home)
	a.from = -1
	close(a.end)
}

// keep undoes leave when no more calls come.
func (a *apart) keep(end <-chan struct{}) {
	defer a.kept.Done()
	t := time.NewTicker(apartFor)
	defer t.Stop()
	for {
		select {
		case <-end:
			return
		case <-t.C:
		}
		if !a.stillUsed(end) {
			return
		}
	}
}

func (a *apart) stillUsed(end <-chan struct{}) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.end != end || a.from < 0 {
		return false
	}
	used := a.used
	if a.used = false; !used {
		a.back()
	}
	return used
}

// move brings all threads of this process to some processors. Who is started meanwhile, by one that has not been moved, is found when it is
// looked again. a.mu is held.
func (a *apart) move(to *unix.CPUSet) bool {
	done := map[string]bool{}
	for {
		threads, err := os.ReadDir("/proc/self/task")
		news := false
		for _, thread := range threads {
			if done[thread.Name()] {
				continue
			}
			done[thread.Name()], news = true, true
			tid, _ := strconv.Atoi(thread.Name())
			if e := unix.SchedSetaffinity(tid, to); e != nil && !errors.Is(e, unix.ESRCH) {
				err = os.NewSyscallError("sched_setaffinity", e)
			}
		}
		switch {
		case err != nil:
			slog.Debug("a lone caller has its processor not for itself", "error", err)
			a.off = true
			return false
		case !news:
			return true
		}
	}
}
