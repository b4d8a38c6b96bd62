package callers

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
		{"NoSuch", -1},
		{"Bad", -1},
		{"Umask", 22},
		{"Tgid", 4711}, // not what a program calls itself
		{"Pid", 4712},
		{"Last", 9},
	}
	for _, r := range rows {
		assert.Equal(t, r.want, StatusNumber([]byte(status), r.key, -1), r.key)
	}
	assert.Equal(t, -1, StatusNumber(nil, "Tgid", -1))
}

func FuzzStatusNumber(f *testing.F) {
	f.Add([]byte("Name:\tx\nTgid:\t4711\n"))
	f.Add([]byte("\nTgid:\t"))
	f.Add([]byte("\nTgid:\t99999999999999999999\n"))
	// A text that does not hold the key gives what was asked for then.
	f.Fuzz(func(t *testing.T, status []byte) {
		if n := StatusNumber(status, "Tgid", -1); n != -1 {
			assert.Contains(t, string(status), "\nTgid:\t")
		}
	})
}

func TestAThreadThatIsNotThereCantBeOpened(t *testing.T) {
	before := leaktest.Descriptors()
	_, err := OpenThread(1 << 30)
	assert.ErrorIs(t, err, unix.ENOENT)
	assert.Equal(t, before, leaktest.Descriptors())
}

func TestAThreadIsSeenAsItIsNow(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	th, err := OpenThread(unix.Gettid())
	require.NoError(t, err)
	defer th.Close()
	assert.Equal(t, os.Getpid(), th.TGID)
	assert.Equal(t, os.Geteuid(), th.UID())
	cgroup, err := os.ReadFile("/proc/thread-self/cgroup")
	require.NoError(t, err)
	assert.Equal(t, string(cgroup), th.Cgroup)

	was, err := th.Name()
	require.NoError(t, err)
	defer os.WriteFile("/proc/thread-self/comm", []byte(was), 0)
	require.NoError(t, os.WriteFile("/proc/thread-self/comm", []byte("renamed"), 0))
	is, err := th.Name()
	require.NoError(t, err)
	assert.Equal(t, "renamed", is)
}

func TestAnEndedThreadIsNobody(t *testing.T) {
	cmd := exec.Command("sleep", "1000")
	require.NoError(t, cmd.Start())
	th, err := OpenThread(cmd.Process.Pid)
	require.NoError(t, err)
	defer th.Close()
	_, err = sys.StatAt(th.Dir, "fd/0")
	require.NoError(t, err)
	require.NoError(t, cmd.Process.Kill())
	assert.Error(t, cmd.Wait())
	_, err = sys.StatAt(th.Dir, "fd/0")
	assert.ErrorIs(t, err, unix.ESRCH)
	_, err = th.Name()
	assert.ErrorIs(t, err, unix.ESRCH)
}

// view is a thread's view that holds two descriptors of this process's own.
func view(t *testing.T, tid int) *Thread {
	t.Helper()
	th, err := OpenThread(os.Getpid())
	require.NoError(t, err)
	th.TID = tid
	return th
}

func TestViewsAreKeptForTheNextCall(t *testing.T) {
	ts := NewThreads(OpenThread)
	_, _, err := ts.Take(1 << 30)
	assert.Error(t, err)

	first, kept, err := ts.Take(os.Getpid())
	require.NoError(t, err)
	assert.False(t, kept)
	second, kept, err := ts.Take(os.Getpid())
	require.NoError(t, err)
	assert.False(t, kept, "a view belongs to one call at a time")
	assert.NotSame(t, first, second)

	ts.Put(first)
	before := len(leaktest.Descriptors())
	ts.Put(second)
	assert.Len(t, leaktest.Descriptors(), before-2, "one view of a thread is enough")
	again, kept, err := ts.Take(os.Getpid())
	require.NoError(t, err)
	assert.True(t, kept)
	assert.Same(t, first, again)
	ts.Put(again)
	ts.Close()
	assert.Len(t, leaktest.Descriptors(), before-4)
}

func TestNoMoreViewsAreKeptThanAllowed(t *testing.T) {
	ts := NewThreads(OpenThread)
	before := len(leaktest.Descriptors())
	for i := range maxThreads + 10 {
		ts.Put(view(t, 1<<30+i))
		assert.LessOrEqual(t, len(ts.idle), maxThreads)
	}
	assert.Len(t, leaktest.Descriptors(), before+2*maxThreads)
	assert.Contains(t, ts.idle, 1<<30+maxThreads+9, "the newest is kept")
	ts.Close()
	ts.Put(view(t, 1<<30))
	assert.Len(t, leaktest.Descriptors(), before, "nothing is kept behind the end")
}
