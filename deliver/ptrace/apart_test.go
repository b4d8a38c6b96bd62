package ptrace

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
)

// soonEnough is for what takes some milliseconds on a machine that has nothing else to do.
const soonEnough = 30 * time.Second

// separated is an apart, and two processors of this process; on a machine with one that one twice.
type separated struct {
	*apart
	all           unix.CPUSet
	first, second int
}

// processorsOf are all of this process, and two of them.
func processorsOf(t *testing.T) (all unix.CPUSet, first, second int) {
	t.Helper()
	require.NoError(t, unix.SchedGetaffinity(0, &all))
	first = firstOf(&all)
	rest := all
	if rest.Clear(first); rest.Count() == 0 {
		return all, first, first
	}
	return all, first, firstOf(&rest)
}

func separate(t *testing.T) separated {
	t.Helper()
	s := separated{apart: newApart(true)}
	s.all, s.first, s.second = processorsOf(t)
	t.Cleanup(func() {
		s.close()
		assert.True(t, s.is(s.all), "after the end")
	})
	return s
}

// is is whether all threads of this process, but for some, may be on these processors and no others.
func (s separated) is(on unix.CPUSet, but ...int) bool {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return false
	}
	for _, thread := range threads {
		tid, err := strconv.Atoi(thread.Name())
		var mask unix.CPUSet
		if err != nil || len(but) > 0 && but[0] == tid || unix.SchedGetaffinity(tid, &mask) != nil {
			continue // it has ended
		}
		if mask != on {
			return false
		}
	}
	return true
}

func (s separated) allBut(cpu int) unix.CPUSet {
	set := s.all
	if s.all.Count() == apartOf { // of use with two processors only
		set.Clear(cpu)
	}
	return set
}

// leaves has a processor left to a caller, which does not happen at once, and is undone where this machine stands still for a while.
func (s separated) leaves(t *testing.T, cpu, tid int, but ...int) {
	t.Helper()
	assert.Eventually(t, func() bool {
		s.leave(cpu, tid)
		return s.is(s.allBut(cpu), but...)
	}, soonEnough, time.Millisecond)
}

func TestALoneCallersProcessorIsLeftToIt(t *testing.T) {
	s := separate(t)
	for _, cpu := range []int{s.first, s.second, s.first} {
		s.leaves(t, cpu, 1)
	}
	s.mix()
	assert.True(t, s.is(s.all))
	s.mu.Lock()
	s.anywhere = time.Now().Add(time.Hour) // as if there were reasons all the time
	s.mu.Unlock()
	s.leave(s.first, 1)
	assert.True(t, s.is(s.all))
}

func TestWithoutCallsNoProcessorIsLeft(t *testing.T) {
	s := separate(t)
	for range 2 {
		s.leaves(t, s.first, 1)
		assert.Eventually(t, func() bool { return s.is(s.all) }, soonEnough, time.Millisecond)
	}
	s.close()
	s.leave(s.first, 1)
	assert.True(t, s.is(s.all), "it is over")
}

func TestCallersThatTakeTurnsAreNotAlone(t *testing.T) {
	s := separate(t)
	s.leaves(t, s.first, 1)
	s.mu.Lock()
	s.called = time.Now().Add(time.Hour) // just now, on any machine
	s.mu.Unlock()
	s.leave(s.second, 2)
	assert.True(t, s.is(s.all))
	s.leave(s.second, 2)
	assert.True(t, s.is(s.all), "for some time")
	s.leaves(t, s.second, 2)
}

func TestNothingIsLeftToACallerThatIsElsewhere(t *testing.T) {
	s := separate(t)
	s.leaves(t, s.first, 1)
	assert.Eventually(t, func() bool {
		s.leave(1000, 1)
		return s.is(s.all)
	}, soonEnough, time.Millisecond)
}

func TestAThreadThatIsBoundElsewhereStaysThere(t *testing.T) {
	s := separate(t)
	var own unix.CPUSet
	own.Set(s.first)
	bound, over, ended := make(chan int), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // never unlocked: it ends with the goroutine
		assert.Zero(t, sys.SetProcessors(0, &own))
		bound <- unix.Gettid()
		<-over
		assert.Zero(t, sys.SetProcessors(0, &s.all)) // a process's first thread does not end
	}()
	tid := <-bound
	s.leaves(t, s.first, 1, tid)
	s.mix()
	assert.True(t, s.is(s.all, tid))
	var mask unix.CPUSet
	assert.NoError(t, unix.SchedGetaffinity(tid, &mask))
	assert.Equal(t, own, mask)
	close(over)
	<-ended
}

func TestThreadsThatCantBeListedAreMovedBackLater(t *testing.T) {
	s := separate(t)
	require.NoError(t, s.list())
	list, fails := s.threads, false
	broken := errors.New("broken")
	set := func(to bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		fails = to
	}
	s.threads = func() ([]int, error) { // with s.mu held
		if fails {
			return nil, broken
		}
		return list()
	}
	assert.Eventually(t, func() bool {
		set(false)
		s.leave(s.first, 1)
		set(true)
		return s.is(s.allBut(s.first))
	}, soonEnough, time.Millisecond)
	s.mix()
	assert.True(t, s.is(s.allBut(s.first)), "nothing could be done")
	set(false)
	assert.Eventually(t, func() bool { return s.is(s.all) }, soonEnough, time.Millisecond)

	// Some are moved, and then there is no list any more.
	looked := false
	replace := func(by func() ([]int, error)) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.threads = by
	}
	replace(func() ([]int, error) {
		if looked {
			return nil, broken
		}
		looked = true
		return list()
	})
	s.leave(s.first, 1) // may come too early
	time.Sleep(2 * max(movesEvery, mixedFor))
	s.leave(s.first, 1)
	replace(list)
	assert.Eventually(t, func() bool { return s.is(s.all) }, soonEnough, time.Millisecond)
	s.leave(s.first, 1)
	assert.True(t, s.is(s.all), "it is not tried again")
}

func TestAProcessorThatOthersWantIsNoPlaceToBe(t *testing.T) {
	s := separate(t)
	var ran time.Duration
	began := time.Now()
	s.idle = func(cpu int) (time.Duration, error) { return 0, nil } // it works all the time
	s.ran = func() time.Duration { return ran }                     // and not for this process
	s.leaves(t, s.first, 1)
	assert.Eventually(t, func() bool {
		s.leave(s.first, 1)
		return s.is(s.all) && (s.all.Count() != apartOf || s.isAnywhereFor() > crowdedFor/2 && s.isCrowded())
	}, soonEnough, time.Millisecond)

	s.mu.Lock()
	s.anywhere = time.Now()
	s.ran = func() time.Duration { return time.Since(began) } // for nobody else
	s.mu.Unlock()
	s.leaves(t, s.first, 1)
	for until := time.Now().Add(3 * crowdEvery); time.Now().Before(until); time.Sleep(time.Millisecond) {
		s.leave(s.first, 1)
	}
	assert.True(t, s.all.Count() != apartOf || s.isAnywhereFor() < crowdedFor/2)
}

// isAnywhereFor is how long it has decided to be.
func (s separated) isAnywhereFor() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Until(s.anywhere)
}

func TestIdleTime(t *testing.T) {
	const stat = "cpu  9 9 9 9 9 9 0 0 0 0\ncpu0 1 2 3 400 5 6 0 0 0 0\ncpu10 1 2 3 700 1 6 0 0 0 0\nintr 1 2\n"
	for cpu, want := range map[int]time.Duration{0: 4050 * time.Millisecond, 10: 7010 * time.Millisecond} {
		idle, err := idleIn([]byte(stat), cpu)
		assert.NoError(t, err)
		assert.Equal(t, want, idle)
	}
	_, err := idleIn([]byte(stat), 1)
	assert.ErrorContains(t, err, "no processor 1")
	_, first, second := processorsOf(t)
	for _, cpu := range []int{first, second} {
		_, err := idleTime(cpu)
		assert.NoError(t, err)
	}
}

func TestALoneCallerIsAlone(t *testing.T) {
	d := Open(Config{})
	defer d.Close()
	place := func() { d.sessions <- struct{}{} }
	leaving := func(tid int, stuck bool) {
		d.leaving = append(d.leaving, &conversation{door: d, tid: tid, sock: -1, stuck: stuck})
	}
	place()
	assert.Equal(t, 1, d.alone(1))
	leaving(3, true)
	assert.Equal(t, 1, d.alone(1), "one that hangs has no place and says nothing")
	place()
	assert.Zero(t, d.alone(1), "somebody's is in progress")
	leaving(1, false)
	assert.Equal(t, 2, d.alone(1), "its last one is not over yet")
	assert.Zero(t, d.alone(2))
	place()
	leaving(2, false)
	assert.Zero(t, d.alone(1))
}
