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
	// apartFor is how long this process stays off a processor after the last call from there; at most twice that. Calls that come sooner one after
	// the other are a lone caller's if they are of one thread, and of several callers if not.
	apartFor = 50 * time.Millisecond
	// mixedFor is how long it is anywhere once there were several callers.
	mixedFor = 50 * time.Millisecond
	// crowdedFor is the same where others wanted the processor that it had, each time in a row twice as long, up to longest; and where it can't be
	// apart.
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
	threads func() ([]int, error) // those of this process
	closing func()                // lets go of what threads needs

	mu       sync.Mutex
	off      bool        // it is not wanted, not possible, or over
	from     int         // the processor that is left to the caller, -1: none
	home     unix.CPUSet // where this process was found to be allowed; filled in while from is a processor
	whole    unix.CPUSet // what gives it all of that back
	moved    time.Time   // the last time
	anywhere time.Time   // it is to be until then, at least
	caller   int         // the thread of the last call of a lone caller
	called   time.Time
	others   crowd
	end      chan struct{} // of keep, which runs while from is a processor
	kept     sync.WaitGroup
}

func newApart(wanted bool) *apart {
	return &apart{off: !wanted, from: -1, others: newCrowd()}
}

// leave leaves a processor to a lone caller, who has called.
func (a *apart) leave(cpu, tid int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.off {
		return
	}
	now := time.Now()
	soon, same := now.Sub(a.called) < apartFor, tid == a.caller
	a.caller, a.called = tid, now
	switch {
	case soon && !same:
		_ = a.goAnywhere(now.Add(mixedFor)) // keep tries again
	case a.from == cpu, now.Before(a.anywhere), now.Sub(a.moved) < movesEvery:
	case a.from < 0 && !soon: // it may be the only call
	default:
		a.moved = now
		if err := a.move(cpu); err != nil {
			slog.Debug("a lone caller does not have its processor for itself", "error", err)
			_ = a.goAnywhere(now.Add(crowdedFor)) // keep tries again
		}
	}
}

var errNotOfUse = errors.New("not with these processors")

// move leaves a processor. After an error some threads may have been moved, which back undoes.
func (a *apart) move(cpu int) error {
	if a.from < 0 {
		if err := a.look(); err != nil {
			return err
		}
	}
	to := a.home
	if to.Clear(cpu); to.Count() != apartOf-1 { // the caller is where this process may not be
		return errNotOfUse
	}
	if a.from < 0 {
		a.end = make(chan struct{})
		a.kept.Add(1)
		go a.keep(a.end)
	}
	a.from = cpu
	a.others.leave()
	if err := a.put(&to); err != nil {
		return err
	}
	return a.others.enter(firstOf(&to))
}

// look finds out where this process may be. If that is all that the kernel would allow, nobody has chosen it, and it is to grow with
// what is allowed.
func (a *apart) look() error {
	if err := unix.SchedGetaffinity(0, &a.home); err != nil {
		return os.NewSyscallError("sched_getaffinity", err)
	}
	if a.home.Count() != apartOf {
		return errNotOfUse
	}
	if a.threads == nil {
		if err := a.list(); err != nil {
			a.off = true
			return err
		}
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	a.whole.Fill()
	var all unix.CPUSet
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

// put brings all threads of this process to some processors. Who is started meanwhile, by one that has not been moved, is found when it is looked
// again, and so is one that the end of another has hidden from the list.
func (a *apart) put(to *unix.CPUSet) (err error) {
	done := map[int]bool{}
	for look, quiet := 0, 0; look < looks && quiet < 2; look++ {
		tids, lerr := a.threads()
		if lerr != nil {
			return fmt.Errorf("the threads of this process: %w", lerr)
		}
		quiet++
		for _, tid := range tids {
			if done[tid] {
				continue
			}
			done[tid], quiet = true, 0
			if errno := sys.SetProcessors(tid, to); errno != 0 && errno != unix.ESRCH {
				err = os.NewSyscallError("sched_setaffinity", errno)
			}
		}
	}
	return err
}

// mix lets this process be anywhere for some time: there are several callers, or it starts another process.
func (a *apart) mix() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.goAnywhere(time.Now().Add(mixedFor))
}

// goAnywhere lets this process be anywhere, and until some time at least. a.mu is held.
func (a *apart) goAnywhere(until time.Time) error {
	if until.After(a.anywhere) {
		a.anywhere = until
	}
	return a.back()
}

// back undoes leave. a.mu is held.
func (a *apart) back() error {
	if a.from < 0 {
		return nil
	}
	a.others.leave()
	if err := a.put(&a.whole); err != nil {
		slog.Debug("this process is still kept off a processor", "error", err)
		return err
	}
	a.stay()
	return nil
}

// stay leaves all threads where they are. a.mu is held.
func (a *apart) stay() {
	a.from = -1
	close(a.end)
}

// close lets it be anywhere for good.
func (a *apart) close() {
	a.mu.Lock()
	a.off = true
	err := a.back()
	for range looks {
		if err != nil {
			err = a.back()
		}
	}
	if err != nil {
		a.stay() // it ends soon
	}
	a.mu.Unlock()
	a.kept.Wait()
	if a.closing != nil {
		a.closing()
	}
}

// keep reconsiders from time to time, until end.
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
	wait, crowded := a.others.look(now)
	switch {
	case crowded:
		_ = a.goAnywhere(now.Add(wait)) // tried again
	case a.from < 0:
	case now.Before(a.anywhere), now.Sub(a.called) >= apartFor:
		_ = a.goAnywhere(now) // tried again
	}
}

// isCrowded is whether there are others who want a processor, as far as is known.
func (a *apart) isCrowded() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return time.Now().Before(a.others.until)
}

// firstOf is the first of some processors.
func firstOf(set *unix.CPUSet) int {
	cpu := 0
	for !set.IsSet(cpu) {
		cpu++
	}
	return cpu
}
