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
	// anywhereFor is how long it is anywhere once there was a reason for that.
	anywhereFor = 50 * time.Millisecond
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
	threads func() ([]int, error) // those of this process
	closing func()                // lets go of what threads needs

	mu       sync.Mutex
	off      bool                 // it is not wanted, was refused, or is over
	from     int                  // the processor that is left to the caller, -1
	home     unix.CPUSet          // where this process was found to be allowed, while from is not -1
	whole    unix.CPUSet          // what gives it all of that back
	ours     map[unix.CPUSet]bool // the masks that a thread has if nobody else has moved it
	moved    time.Time            // the last time
	anywhere time.Time            // when there was a reason to be, the last time
	called   time.Time            // of the last call of a lone caller
	caller   int                  // its thread
	end      chan struct{}
	kept     sync.WaitGroup
}

func newApart(wanted bool) *apart { return &apart{off: !wanted, from: -1} }

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
		a.mixLocked(now)
	case a.from == cpu, now.Sub(a.anywhere) < anywhereFor, now.Sub(a.moved) < movesEvery:
	default:
		a.moved = now
		if err := a.move(cpu); err != nil {
			slog.Debug("a lone caller does not have its processor for itself", "error", err)
			a.off = true
			_ = a.back() // keep tries again
		}
	}
}

func (a *apart) move(cpu int) error {
	if a.from < 0 {
		if err := a.look(); err != nil {
			return err
		}
	}
	to := a.home
	to.Clear(cpu)
	if a.home.Count() != apartOf || to.Count() != apartOf-1 { // the caller may be where this process may not
		return a.back()
	}
	if a.from < 0 {
		a.end = make(chan struct{})
		a.kept.Add(1)
		go a.keep(a.end)
	}
	a.from = cpu // also if some threads only are moved: they are to be moved back
	return a.put(&to)
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

// mix lets this process be anywhere for some time: there are several callers, others want its processor, or it starts another process.
func (a *apart) mix() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mixLocked(time.Now())
}

func (a *apart) mixLocked(now time.Time) {
	a.anywhere = now
	if err := a.back(); err != nil {
		slog.Debug("this process is still kept off a processor", "error", err) // until keep has tried again
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
			a.endIfUnused()
		}
	}
}

func (a *apart) endIfUnused() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.off && time.Since(a.called) < apartFor {
		return
	}
	if err := a.back(); err != nil {
		slog.Debug("this process is still kept off a processor", "error", err)
	}
}
