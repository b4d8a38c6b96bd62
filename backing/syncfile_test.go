package backing

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
)

// describe reads what Recognise wants of a descriptor of this process.
func describe(t *testing.T, fd int) (string, []byte) {
	t.Helper()
	link, err := os.Readlink(sys.FDPath(fd))
	require.NoError(t, err)
	info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd))
	require.NoError(t, err)
	return link, info
}

// newStandIns makes no genuine sync files, wherever the test runs.
func newStandIns(t *testing.T) *SyncFiles {
	t.Helper()
	s, err := newSyncFiles(nil)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// Where the kernel makes a sync file, it is taken: then the caller's own ioctls on it reach the kernel.
func TestSyncFileIsTheKernelsWhereItMakesOne(t *testing.T) {
	s, err := NewSyncFiles()
	require.NoError(t, err)
	defer s.Close()
	fd, err := s.Make("")
	require.NoError(t, err)
	defer sys.Close(fd)
	link, info := describe(t, fd)
	assert.True(t, s.Recognise(link, info))
	assert.Equal(t, s.seed < 0, s.StandIn(link, info), link)
}

func TestSyncFileLooksSignalled(t *testing.T) {
	s := newStandIns(t)
	fd, err := s.Make("")
	require.NoError(t, err)
	defer sys.Close(fd)

	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN | unix.POLLOUT}}
	for range 2 { // it stays ready
		n, err := unix.Poll(poll, 0)
		require.NoError(t, err)
		assert.Equal(t, 1, n)
		assert.Equal(t, int16(unix.POLLIN), poll[0].Revents)
	}
	_, err = unix.Read(fd, make([]byte, 8))
	assert.ErrorIs(t, err, unix.EINVAL)
	set, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	require.NoError(t, err)
	defer sys.Close(set)
	assert.NoError(t, unix.EpollCtl(set, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN}), "compositors do this")
}

func TestSyncFileIsToldFromOthers(t *testing.T) {
	s := newStandIns(t)
	other := newStandIns(t)
	fd, err := s.Make("")
	require.NoError(t, err)
	defer sys.Close(fd)

	link, info := describe(t, fd)
	assert.True(t, s.Recognise(link, info), "%s\n%s", link, info)
	assert.True(t, s.StandIn(link, info))
	assert.False(t, other.Recognise(link, info), "another instance's")
	assert.True(t, s.Recognise("anon_inode:sync_file", nil), "a genuine one")
	assert.False(t, s.StandIn("anon_inode:sync_file", nil))
	assert.False(t, s.Recognise("anon_inode:sync_file", []byte("pos:\t0\nflags:\t012000000\nmnt_id:\t16\n")), "O_PATH")
	set, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	require.NoError(t, err)
	defer sys.Close(set)
	link, info = describe(t, set)
	assert.False(t, s.Recognise(link, info), "any epoll set")
	link, info = describe(t, s.ready)
	assert.False(t, s.Recognise(link, info), "an eventfd")
}

func TestSyncFileKeepsItsName(t *testing.T) {
	s := newStandIns(t)
	for given, want := range map[string]string{
		"": sys.SignalledFence().File, "x": "x", "8 bytes.": "8 bytes.", "a name of 31 bytes, the longest.": "a name of 31 bytes, the longest",
	} {
		fd, err := s.Make(given)
		require.NoError(t, err)
		_, info := describe(t, fd)
		assert.Equal(t, want, s.Name(info))
		sys.Close(fd)
	}
}
