package ptrace

import (
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// are is whether all threads of this process may be on these processors and no others.
func are(t *testing.T, on unix.CPUSet) bool {
	t.Helper()
	threads, err := os.ReadDir("/proc/self/task")
	require.NoError(t, err)
	for _, thread := range threads {
		tid, err := strconv.Atoi(thread.Name())
		require.NoError(t, err)
		var is unix.CPUSet
		if err := unix.SchedGetaffinity(tid, &is); err == nil && is != on { // else it has ended
			return false
		}
	}
	return true
}

// processors are those of this process, and two of them; a machine with one has that one twice.
func processors(t *testing.T) (home unix.CPUSet, first, second int) {
	t.Helper()
	require.NoError(t, unix.SchedGetaffinity(0, &home))
	first, second = -1, -1
	for cpu := range runtime.NumCPU() + 1024 {
		switch {
		case !home.IsSet(cpu):
		case first < 0:
			first, second = cpu, cpu
		case first == second:
			second = cpu
		}
	}
	return home, first, second
}

func allBut(home unix.CPUSet, cpu int) unix.CPUSet {
	home.Clear(cpu)
	return home
}

// newThread is where a thread may be that is started now.
func newThread(t *testing.T) (is unix.CPUSet) {
	t.Helper()
	over := make(chan struct{})
	go func() {
		defer close(over)
		runtime.LockOSThread() // never unlocked: it ends with the goroutine
		assert.NoError(t, unix.SchedGetaffinity(0, &is))
	}()
	<-over
	return is
}

func TestALoneCallersProcessorIsLeftToIt(t *testing.T) {
	home, first, second := processors(t)
	a := &apart{from: -1}
	defer a.close()
	a.leave(first)
	if home.Count() != apartOf {
		assert.True(t, are(t, home), "of use with two processors only")
		return
	}
	for _, cpu := range []int{first, second, first} {
		require.Eventually(t, func() bool { // not at once, and not for long on a machine that stands still
			a.leave(cpu)
			return are(t, allBut(home, cpu)) && newThread(t) == allBut(home, cpu)
		}, 5*time.Second, time.Millisecond)
	}

	a.mix()
	assert.True(t, are(t, home))
	a.mixed = time.Now().Add(time.Hour) // as if other callers came all the time
	a.leave(first)
	assert.True(t, are(t, home))
}

func TestWithoutCallsNoProcessorIsLeft(t *testing.T) {
	home, first, _ := processors(t)
	a := &apart{from: -1}
	defer a.close()
	for range 2 {
		require.Eventually(t, func() bool {
			a.leave(first)
			return home.Count() != apartOf || are(t, allBut(home, first))
		}, 5*time.Second, time.Millisecond)
		assert.Eventually(t, func() bool { return are(t, home) }, 5*time.Second, time.Millisecond)
	}
	a.close()
	a.leave(first)
	assert.True(t, are(t, home), "it is over")
}

func TestALoneCallerIsAlone(t *testing.T) {
	d := Open(Config{})
	defer d.Close()
	place := func() { d.sessions <- struct{}{} }
	leaving := func(tid int) { d.leaving = append(d.leaving, &conversation{door: d, tid: tid, sock: -1}) }
	place()
	assert.Equal(t, 1, d.alone(1))
	place()
	assert.Zero(t, d.alone(1), "somebody's is in progress")
	leaving(1)
	assert.Equal(t, 2, d.alone(1), "its last one is not over yet")
	assert.Zero(t, d.alone(2))
	place()
	leaving(2)
	assert.Zero(t, d.alone(1))
}
