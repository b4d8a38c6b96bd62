package ptrace

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
)

const (
	// apartOf is how many processors there are where it is of use to be apart. Among more the kernel finds an idle one by itself.
	apartOf = 2
	// apartFor is how long this process stays off a processor after the last call from there; at most twice that. Calls of two threads that come
	// sooner one after the other are those of several callers.
	apartFor = 50 * time.Millisecond
	// mixedFor is how long it is anywhere once there were several callers.
	mixedFor = 50 * time.Millisecond
	// crowdedFor is the same where others wanted the processor that it had; each time in a row twice as long, up to longest.
	crowdedFor = time.Second
	longest    = 32 * time.Second
	// movesEvery bounds the moves, for a caller may change its processor with each call.
	movesEvery = 5 * time.Millisecond
	// looks bounds how often the list of threads is read for one move.
	looks = 16
)

// apart keeps this process off the processor that a lone caller shares with the agent. What the process does beside the call, such as to make
// buffers ready and to look after closed ones, would else take turns with the injection, whose two dozen switches wait for each other. All
// threads are moved, so that happens when the caller has moved and not with each call.
//
// Who uses it must not leave the number of Go threads to the runtime, which would follow the mask.
type apart struct {
	threads func() ([]int, error)                // those of this process
	closing func()                               // lets go of what threads needs
	idle    func(cpu int) (time.Duration, error) // how long a processor has been
	ran     func() time.Duration                 // how long this process has

	mu       sync.Mutex
	off      bool                 // it is not wanted, was refused, or is over
	from     int                  // the processor that is left to the caller, -1: none
	home     unix.CPUSet          // where this process was found to be allowed, while from is not -1
	whole    unix.CPUSet          // what gives it all of that back
	ours     map[unix.CPUSet]bool // the masks that a thread has if nobody else has moved it
	moved    time.Time            // the last time
	anywhere time.Time            // it is to be until then
	since    usage                // of the processor that this process has
	next     time.Duration        // how long it is to be anywhere if that is crowded
	crowd    time.Time            // it is taken to be until then
	called   time.Time            // of the last call of a lone caller
	caller   int                  // its thread
	end      chan struct{}
	kept     sync.WaitGroup
}

func newApart(wanted bool) *apart {
	return &apart{off: !wanted, from: -1, next: crowdedFor, idle: idleTime, ran: sys.ProcessTime}
}

// leave leaves a processor to a lone caller.
func (a *apart) leave(cpu, tid int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.off {
		return
	}
	now := time.Now()
	several := tid != a.caller && now.Sub(a.called) < apartFor
	a.caller, a.called = tid, now
	switch {
	case several:
		a.goAnywhere(now.Add(mixedFor))
	case a.from == cpu, now.Before(a.anywhere), now.Sub(a.moved) < movesEvery:
	default:
		a.moved = now
		if err := a.move(cpu, now); err != nil {
			slog.Debug("a lone caller does not have its processor for itself", "error", err)
			a.off = true
			_ = a.back() // keep tries again
		}
	}
}

func (a *apart) move(cpu int, now time.Time) error {
	if a.from < 0 {
		if err := a.look(); err != nil {
			return err
		}
	}
	to := a.home
	to.Clear(cpu)
	if a.home.Count() != apartOf || to.Count() != apartOf-1 { // the caller may be where this process may not
		a.goAnywhere(now.Add(crowdedFor)) // not to be looked at with each call
		return nil
	}
	if a.from < 0 {
		a.end = make(chan struct{})
		a.kept.Add(1)
		go a.keep(a.end)
	}
	a.from = cpu // also if some threads only are moved: they are to be moved back
	if err := a.put(&to); err != nil {
		return err
	}
	var err error
	a.since, err = a.usage(firstOf(&to), now)
	return err
}

// look finds out where this process may be. If that is all that the kernel would allow, nobody has chosen it, and it is to grow with
// what is allowed.
func (a *apart) look() error {
	if a.threads == nil {
		if err := a.list(); err != nil {
			return err
		}
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &a.home); err != nil {
		return os.NewSyscallError("sched_getaffinity", err)
	}
	a.ours = map[unix.CPUSet]bool{a.home: true}
	a.whole.Fill()
	if err := unix.SchedSetaffinity(0, &a.whole); err != nil {
		return os.NewSyscallError("sched_setaffinity", err)
	}
	if err := unix.SchedGetaffinity(0, &all); err != nil || all == a.home {
		return os.NewSyscallError("sched_getaffinity", err)
	}
	a.whole = a.home
	return os.NewSyscallError("sched_setaffinity", unix.SchedSetaffinity(0, &a.whole))
}

// list opens the list of this process's threads. It stays open, so that it can be read when no more files can be opened.
func (a *apart) list() error {
	self, err := os.Readlink("/proc/self")
	if err != nil {
		return err
	}
	if self != strconv.Itoa(os.Getpid()) {
		return errors.New("/proc shows another namespace's processes")
	}
	dir, err := os.Open("/proc/self/task")
	if err != nil {
		return err
	}
	a.closing = func() { _ = dir.Close() }
	a.threads = func() ([]int, error) {
		if _, err := dir.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
		names, err := dir.Readdirnames(-1)
		tids := make([]int, len(names))
		for i, name := range names {
			tids[i], _ = strconv.Atoi(name)
		}
		return tids, err
	}
	return nil
}

// put brings all threads of this process to some processors, but for those that somebody else has moved. Who is started meanwhile, by one that has
// not been moved, is found when it is looked again, and so is one that the end of another has hidden from the list.
func (a *apart) put(to *unix.CPUSet) error {
	a.ours[*to] = true
	done := map[int]bool{}
	for look, quiet := 0, 0; look < looks && quiet < 2; look++ {
		tids, err := a.threads()
		if err != nil {
			return fmt.Errorf("the threads of this process: %w", err)
		}
		quiet++
		for _, tid := range tids {
			if done[tid] {
				continue
			}
			done[tid], quiet = true, 0
			var is unix.CPUSet
			if err := unix.SchedGetaffinity(tid, &is); err != nil || !a.ours[is] {
				continue
			}
			if errno := sys.SetProcessors(tid, to); errno != 0 && errno != unix.ESRCH {
				return os.NewSyscallError("sched_setaffinity", errno)
			}
		}
	}
	return nil
}

// mix lets this process be anywhere for some time: there are several callers, or it starts another process.
func (a *apart) mix() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.goAnywhere(time.Now().Add(mixedFor))
}

// goAnywhere lets this process be anywhere until some time. a.mu is held.
func (a *apart) goAnywhere(until time.Time) {
	if until.After(a.anywhere) {
		a.anywhere = until
	}
	if err := a.back(); err != nil { // keep tries again
		slog.Debug("this process is still kept off a processor", "error", err)
	}
}

// back undoes leave. a.mu is held.
func (a *apart) back() error {
	if a.from < 0 {
		return nil
	}
	if err := a.put(&a.whole); err != nil {
		return err
	}
	a.from = -1
	close(a.end)
	return nil
}

// close lets it be anywhere for good.
func (a *apart) close() {
	a.mu.Lock()
	a.off = true
	err := a.back()
	if err != nil {
		slog.Error("this process is still kept off a processor", "error", err)
		close(a.end)
	}
	a.mu.Unlock()
	a.kept.Wait()
	if a.closing != nil {
		a.closing()
	}
}

// keep reconsiders.
func (a *apart) keep(end <-chan struct{}) {
	defer a.kept.Done()
	t := time.NewTicker(apartFor)
	defer t.Stop()
	for {
		select {
		case <-end:
			return
		case <-t.C:
			a.reconsider()
		}
	}
}

// reconsider undoes leave if no more calls come, or others want the processor that this process has, or it should have been undone.
func (a *apart) reconsider() {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	switch {
	case a.from < 0:
	case a.off, now.Before(a.anywhere), now.Sub(a.called) >= apartFor:
		a.goAnywhere(now)
	default:
		crowded, told := a.crowded(now)
		switch {
		case crowded:
			a.goAnywhere(now.Add(a.next))
			a.next = min(2*a.next, longest)
			a.crowd = a.anywhere
		case told:
			a.next = crowdedFor
		}
	}
}
