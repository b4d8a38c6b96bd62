package backing

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
)

func newMemfds(t *testing.T) *Memfds {
	t.Helper()
	m, err := NewMemfds()
	require.NoError(t, err)
	t.Cleanup(m.Close)
	return m
}

// deliver makes a buffer and takes the place of its caller.
func deliver(t *testing.T, m *Memfds, size uint64, accMode int) (held int, gone chan struct{}, id sys.FileID) {
	t.Helper()
	gone = make(chan struct{})
	f, err := m.New(size, accMode, true, func() { close(gone) })
	require.NoError(t, err)
	held, err = unix.Dup(f.FD())
	require.NoError(t, err)
	f.Delivered()
	return held, gone, f.ID()
}

func stillHeld(t *testing.T, m *Memfds, gone chan struct{}) {
	t.Helper()
	m.Sweep()
	select {
	case <-gone:
		require.FailNow(t, "the buffer is gone while it is held")
	default:
	}
}

func isGone(t *testing.T, gone chan struct{}) {
	t.Helper()
	select {
	case <-gone:
	case <-time.After(20 * time.Second): // more than the slow timer
		require.FailNow(t, "nobody holds the buffer, and it is not gone")
	}
}

func TestBufferIsGoneAtTheLastClose(t *testing.T) {
	m := newMemfds(t)
	for _, mode := range []int{unix.O_RDWR, unix.O_RDONLY, unix.O_WRONLY, unix.O_ACCMODE} {
		fd, gone, _ := deliver(t, m, 1<<20, mode)
		second, err := unix.Dup(fd)
		require.NoError(t, err)
		sys.Close(fd)
		stillHeld(t, m, gone)
		sys.Close(second)
		isGone(t, gone)
	}
}

func TestMappingHoldsTheBuffer(t *testing.T) {
	m := newMemfds(t)
	fd, gone, _ := deliver(t, m, 1<<20, unix.O_RDWR)
	mem, err := unix.Mmap(fd, 0, 1<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	require.NoError(t, err)
	sys.Close(fd)
	mem[1<<20-1] = 1
	stillHeld(t, m, gone)
	require.NoError(t, unix.Munmap(mem))
	isGone(t, gone)
}

func TestReopenByProcHoldsTheBuffer(t *testing.T) {
	m := newMemfds(t)
	fd, gone, id := deliver(t, m, 4096, unix.O_RDWR)
	again, err := sys.Reopen(fd, unix.O_RDONLY)
	require.NoError(t, err)
	got, err := sys.StatFD(again)
	require.NoError(t, err)
	assert.Equal(t, id, got)
	sys.Close(fd)
	stillHeld(t, m, gone)
	sys.Close(again)
	isGone(t, gone)
}

func TestDescriptorInFlightHoldsTheBuffer(t *testing.T) {
	m := newMemfds(t)
	fd, gone, _ := deliver(t, m, 4096, unix.O_RDWR)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	require.NoError(t, unix.Sendmsg(pair[0], []byte{0}, unix.UnixRights(fd), nil, 0))
	sys.Close(fd)
	stillHeld(t, m, gone)
	sys.Close(pair[0])
	sys.Close(pair[1])
	isGone(t, gone)
}

func TestAccessModeIsTheCallersOwn(t *testing.T) {
	m := newMemfds(t)
	for _, mode := range []int{unix.O_RDWR, unix.O_RDONLY, unix.O_WRONLY, unix.O_ACCMODE} {
		fd, gone, _ := deliver(t, m, 4096, mode)
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		require.NoError(t, err)
		assert.Equal(t, mode, flags&unix.O_ACCMODE)
		mem, err := unix.Mmap(fd, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if mode == unix.O_RDWR {
			require.NoError(t, err)
			require.NoError(t, unix.Munmap(mem))
		} else {
			assert.ErrorIs(t, err, unix.EACCES)
		}
		sys.Close(fd)
		isGone(t, gone)
	}
}

func TestSizeIsSealed(t *testing.T) {
	m := newMemfds(t)
	fd, _, _ := deliver(t, m, 8192, unix.O_RDWR)
	defer sys.Close(fd)
	assert.ErrorIs(t, unix.Ftruncate(fd, 4096), unix.EPERM)
	assert.ErrorIs(t, unix.Ftruncate(fd, 1<<20), unix.EPERM)
	_, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_WRITE)
	assert.ErrorIs(t, err, unix.EPERM, "a holder could lock the others out")
}

func TestProtectedBufferCannotBeMapped(t *testing.T) {
	m := newMemfds(t)
	gone := make(chan struct{})
	f, err := m.New(4096, unix.O_RDWR, false, func() { close(gone) })
	require.NoError(t, err)
	for _, prot := range []int{unix.PROT_READ, unix.PROT_WRITE, unix.PROT_READ | unix.PROT_WRITE} {
		_, err = unix.Mmap(f.FD(), 0, 4096, prot, unix.MAP_SHARED)
		assert.ErrorIs(t, err, unix.EACCES)
	}
	_, err = unix.Write(f.FD(), []byte{1})
	assert.ErrorIs(t, err, unix.EPERM)
	f.Delivered()
	isGone(t, gone)
}

func TestDiscardTellsNobody(t *testing.T) {
	m := newMemfds(t)
	f, err := m.New(4096, unix.O_RDWR, true, func() { t.Error("gone was called") })
	require.NoError(t, err)
	f.Discard()
	m.Sweep()
}

func TestSizeNoFileCanHave(t *testing.T) {
	m := newMemfds(t)
	_, err := m.New(1<<63, unix.O_RDWR, true, func() {})
	assert.ErrorIs(t, err, unix.EFBIG)
}

func TestDescriptorsOfTheServerRunOut(t *testing.T) {
	m := newMemfds(t)
	var old unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &old))
	open, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(len(open) + 100), Max: old.Max}))
	defer func() { require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &old)) }()
	var files []*Memfd
	for err == nil {
		var f *Memfd
		if f, err = m.New(4096, unix.O_RDWR, true, func() {}); err == nil {
			files = append(files, f)
		}
	}
	assert.ErrorIs(t, err, unix.EMFILE)
	assert.NotEmpty(t, files)
	for _, f := range files {
		f.Discard()
	}
	f, err := m.New(4096, unix.O_RDWR, true, func() {})
	require.NoError(t, err, "descriptors were lost")
	f.Discard()
}

// The server keeps descriptors for all else, so that an ALLOC too many is refused before anything else fails.
func TestBuffersLeaveDescriptorsForTheRest(t *testing.T) {
	for _, files := range []int{128, 256, 1024, 20000, 1 << 20} {
		l := limitsOf(files)
		assert.Less(t, l.live+2*l.stock+2*l.ready, files)
		assert.GreaterOrEqual(t, l.live, files/2)
	}
	m := newMemfds(t)
	m.limit.live = 3
	var files []*Memfd
	for range 3 {
		f, err := m.New(4096, unix.O_RDWR, true, func() {})
		require.NoError(t, err)
		files = append(files, f)
	}
	_, err := m.New(4096, unix.O_RDWR, true, func() {})
	require.ErrorIs(t, err, ErrTooManyFiles)
	files[0].Discard()
	f, err := m.New(4096, unix.O_RDWR, true, func() {})
	require.NoError(t, err)
	for _, f := range append(files[1:], f) {
		f.Discard()
	}
}

// Such an open is not counted by the kernel: its end is told by hints, which must be taken for what they are.
func TestAnOpenWithoutAccessHoldsItsFile(t *testing.T) {
	m, err := NewMemfds()
	require.NoError(t, err)
	defer m.Close()
	gone := make(chan struct{})
	f, err := m.New(4096, unix.O_ACCMODE, true, func() { close(gone) })
	require.NoError(t, err)
	held, err := unix.FcntlInt(uintptr(f.FD()), unix.F_DUPFD_CLOEXEC, 0)
	require.NoError(t, err)
	f.Delivered()
	for _, mode := range []int{unix.O_RDONLY, unix.O_RDWR, unix.O_ACCMODE} {
		again, err := sys.Reopen(held, mode)
		require.NoError(t, err)
		m.Sweep()
		sys.Close(again)
		m.Sweep()
		select {
		case <-gone:
			require.FailNow(t, "gone while it is held", "after another open of mode %d", mode)
		default:
		}
	}
	sys.Close(held)
	m.Sweep() // at once: it does not overtake the hint
	select {
	case <-gone:
	default:
		assert.Fail(t, "nobody holds it any more")
	}
}
