package seccomp

import (
	"os"
	"os/exec"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/leaktest"
	"github.com/heapfs/heapfs/internal/sys"
)

func TestStatusNumber(t *testing.T) {
	const status = "Name:\tTgid:\t7\nUmask:\t0022\nTgid:\t4711\nNgid:\t0\nPid:\t4712\nBad:\tx\nLast:\t9"
	rows := []struct {
		key  string
		want int
	}{
		{"\nNoSuch:\t", -1},
		{"\nBad:\t", -1},
		{"\nUmask:\t00", 22},
		{"\nTgid:\t", 4711}, // not what a program calls itself
		{"\nPid:\t", 4712},
		{"\nLast:\t", 9},
	}
	for _, r := range rows {
		assert.Equal(t, r.want, statusNumber([]byte(status), r.key, -1), r.key)
	}
	assert.Equal(t, -1, statusNumber(nil, "\nTgid:\t", -1))
}

func FuzzStatusNumber(f *testing.F) {
	f.Add([]byte("Name:\tx\nTgid:\t4711\n"))
	f.Add([]byte("\nTgid:\t"))
	f.Add([]byte("\nTgid:\t99999999999999999999\n"))
	// A text that does not hold the key gives what was asked for then.
	f.Fuzz(func(t *testing.T, status []byte) {
		if n := statusNumber(status, "\nTgid:\t", -1); n != -1 {
			assert.Contains(t, string(status), "\nTgid:\t")
		}
	})
}

func TestAThreadThatIsNotThereCantBeOpened(t *testing.T) {
	before := leaktest.Descriptors()
	_, err := openThread(1 << 30)
	assert.ErrorIs(t, err, unix.ENOENT)
	assert.Equal(t, before, leaktest.Descriptors())
}

func TestAThreadIsSeenAsItIsNow(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	th, err := openThread(unix.Gettid())
	require.NoError(t, err)
	defer th.close()
	assert.Equal(t, os.Getpid(), th.tgid)
	assert.Equal(t, os.Geteuid(), th.uid())
	cgroup, err := os.ReadFile("/proc/thread-self/cgroup")
	require.NoError(t, err)
	assert.Equal(t, string(cgroup), th.cgroup)

	was, err := th.name()
	require.NoError(t, err)
	defer os.WriteFile("/proc/thread-self/comm", []byte(was), 0)
	require.NoError(t, os.WriteFile("/proc/thread-self/comm", []byte("renamed"), 0))
	is, err := th.name()
	require.NoError(t, err)
	assert.Equal(t, "renamed", is)
}

func TestAnEndedThreadIsNobody(t *testing.T) {
	cmd := exec.Command("sleep", "1000")
	require.NoError(t, cmd.Start())
	th, err := openThread(cmd.Process.Pid)
	require.NoError(t, err)
	defer th.close()
	_, err = sys.StatAt(th.dir, "fd/0")
	require.NoError(t, err)
	require.NoError(t, cmd.Process.Kill())
	assert.Error(t, cmd.Wait())
	_, err = sys.StatAt(th.dir, "fd/0")
	assert.ErrorIs(t, err, unix.ESRCH)
	_, err = th.name()
	assert.ErrorIs(t, err, unix.ESRCH)
}

// view is a thread's view that holds two descriptors of this process's own.
func view(t *testing.T, tid int) *thread {
	t.Helper()
	th, err := openThread(os.Getpid())
	require.NoError(t, err)
	th.tid = tid
	return th
}

func TestViewsAreKeptForTheNextCall(t *testing.T) {
	ts := newThreads()
	_, _, err := ts.take(1 << 30)
	assert.Error(t, err)

	first, kept, err := ts.take(os.Getpid())
	require.NoError(t, err)
	assert.False(t, kept)
	second, kept, err := ts.take(os.Getpid())
	require.NoError(t, err)
	assert.False(t, kept, "a view belongs to one call at a time")
	assert.NotSame(t, first, second)

	ts.put(first)
	before := len(leaktest.Descriptors())
	ts.put(second)
	assert.Len(t, leaktest.Descriptors(), before-2, "one view of a thread is enough")
	again, kept, err := ts.take(os.Getpid())
	require.NoError(t, err)
	assert.True(t, kept)
	assert.Same(t, first, again)
	ts.put(again)
	ts.close()
	assert.Len(t, leaktest.Descriptors(), before-4)
}

func TestNoMoreViewsAreKeptThanAllowed(t *testing.T) {
	ts := newThreads()
	before := len(leaktest.Descriptors())
	for i := range maxThreads + 10 {
		ts.put(view(t, 1<<30+i))
		assert.LessOrEqual(t, len(ts.idle), maxThreads)
	}
	assert.Len(t, leaktest.Descriptors(), before+2*maxThreads)
	assert.Contains(t, ts.idle, 1<<30+maxThreads+9, "the newest is kept")
	ts.close()
	ts.put(view(t, 1<<30))
	assert.Len(t, leaktest.Descriptors(), before, "nothing is kept behind the end")
}
