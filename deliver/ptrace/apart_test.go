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
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0)) // it does not follow the masks any more
	s := separated{apart: newApart(true)}
	s.all, s.first, s.second = processorsOf(t)
	began := time.Now()
	s.others.idle = func(int) (time.Duration, error) { return time.Since(began), nil } // whatever else this machine does
	s.others.ran = func() time.Duration { return 0 }
	t.Cleanup(func() {
		s.close()
		assert.True(t, s.is(s.all), "after the end")
	})
	return s
}

// is is whether all threads of this process may be on these processors and no others.
func (s separated) is(on unix.CPUSet) bool {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return false
	}
	for _, thread := range threads {
		tid, err := strconv.Atoi(thread.Name())
		var mask unix.CPUSet
		if err != nil || unix.SchedGetaffinity(tid, &mask) != nil {
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
func (s separated) leaves(t *testing.T, cpu, tid int) {
	t.Helper()
	assert.Eventually(t, func() bool {
		s.leave(cpu, tid)
		return s.is(s.allBut(cpu))
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
	s.mu.Lock()
	assert.Equal(t, s.called.Add(mixedFor), s.anywhere)
	s.mu.Unlock()
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
	moved := false
	replace := func(by func() ([]int, error)) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.threads = by
	}
	replace(func() ([]int, error) {
		if moved {
			return nil, broken
		}
		moved = true
		return list()
	})
	assert.Eventually(t, func() bool {
		s.leave(s.first, 1)
		s.mu.Lock()
		defer s.mu.Unlock()
		return moved || s.all.Count() != apartOf
	}, soonEnough, time.Millisecond)
	replace(list)
	assert.Eventually(t, func() bool { return s.is(s.all) }, soonEnough, time.Millisecond)
}

func TestTheEndComesWhetherThreadsCanBeMovedOrNot(t *testing.T) {
	for _, failures := range []int{0, 1, 3, 1000} {
		s := separate(t)
		require.NoError(t, s.list())
		list := s.threads
		s.leaves(t, s.first, 1)
		s.mu.Lock()
		left := failures
		s.threads = func() ([]int, error) {
			if left--; left >= 0 {
				return nil, errors.New("broken")
			}
			return list()
		}
		s.mu.Unlock()
		s.close()
		if failures < 1000 {
			assert.True(t, s.is(s.all))
		}
		assert.NoError(t, s.mix(), "it is over")
		require.NoError(t, unix.SchedSetaffinity(0, &s.all))
		for _, tid := range threadsOf(t) {
			assert.Zero(t, sys.SetProcessors(tid, &s.all))
		}
	}
}

func threadsOf(t *testing.T) (tids []int) {
	t.Helper()
	threads, err := os.ReadDir("/proc/self/task")
	require.NoError(t, err)
	for _, thread := range threads {
		tid, err := strconv.Atoi(thread.Name())
		require.NoError(t, err)
		tids = append(tids, tid)
	}
	return tids
}

func TestAProcessorThatOthersWantIsNoPlaceToBe(t *testing.T) {
	s := separate(t)
	if s.all.Count() != apartOf {
		return // of use with two only
	}
	s.others.idle = func(int) (time.Duration, error) { return 0, nil } // it works all the time, and not for this process
	wait := func() time.Duration {
		s.mu.Lock()
		defer s.mu.Unlock()
		return time.Until(s.anywhere)
	}
	for _, longer := range []time.Duration{crowdedFor, 2 * crowdedFor} {
		assert.Eventually(t, func() bool {
			s.leave(s.first, 1)
			return wait() > longer/2 && s.is(s.all) && s.isCrowded()
		}, soonEnough, time.Millisecond)
		s.mu.Lock()
		s.anywhere, s.others.until = time.Now(), time.Now()
		s.mu.Unlock()
	}
	began := time.Now()
	s.mu.Lock()
	s.others.ran = func() time.Duration { return time.Since(began) } // for nobody else
	s.others.took, s.others.work = 0, 0
	s.mu.Unlock()
	s.leaves(t, s.first, 1)
	for until := time.Now().Add(3 * crowdEvery); time.Now().Before(until); time.Sleep(time.Millisecond) {
		s.leave(s.first, 1)
	}
	assert.Less(t, wait(), crowdedFor/2)
	assert.False(t, s.isCrowded())
}

// Looks that are shorter than what it takes for a verdict add up.
func TestACrowdIsSeenInManyShortLooks(t *testing.T) {
	c := newCrowd()
	c.idle = func(int) (time.Duration, error) { return 0, nil }
	c.ran = func() time.Duration { return 0 }
	at := time.Now()
	var wait time.Duration
	crowded := false
	for n := range 3 {
		assert.False(t, crowded)
		require.NoError(t, c.enter(0))
		c.since.at = c.since.at.Add(-crowdEvery * 2 / 5)
		wait, crowded = c.look(at)
		c.since.at = c.since.at.Add(-time.Hour) // does not count
		c.leave()
		assert.Equal(t, n == 2, crowded)
	}
	assert.True(t, crowded)
	assert.Equal(t, crowdedFor, wait)
	assert.Equal(t, at.Add(wait), c.until)
	_, crowded = c.look(at)
	assert.False(t, crowded, "it has been told")

	c.idle = func(int) (time.Duration, error) { return 0, errors.New("broken") }
	require.Error(t, c.enter(0))
	c.in = true
	for want := 2 * crowdedFor; want < 4*longest; want *= 2 {
		wait, crowded = c.look(at)
		assert.True(t, crowded, "it can't be told")
		assert.Equal(t, min(want, longest), wait)
	}
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
