package fs

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
	"github.com/heapfs/heapfs/uapi"
)

// makeSync makes a sync file in the shop, whose kernel has none for it.
func makeSync(t *testing.T, s *shop, name string) (fd int, link string, fdinfo []byte) {
	t.Helper()
	fd, err := s.Sync.Make(name)
	require.NoError(t, err)
	link, err = os.Readlink(sys.FDPath(fd))
	require.NoError(t, err)
	fdinfo, err = os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd))
	require.NoError(t, err)
	return fd, link, fdinfo
}

func TestWhatIsNoSyncFileIsNotTakenForOne(t *testing.T) {
	s := openShop(t, false)
	buffer := s.alloc(t, 0, pageSize, unix.O_RDWR)
	defer sys.Close(buffer)
	fd, _, info := makeSync(t, s, "x")
	sys.Close(fd)
	require.Eventually(t, func() bool { return !s.Sync.Recognise("", info) }, waitFor, tick, "it is closed")
	for _, file := range []int{0, buffer, s.root} {
		info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", file))
		require.NoError(t, err)
		assert.False(t, s.Sync.Recognise("/x", info))
		assert.False(t, s.Sync.StandIn("/x", info))
	}
	open, _, info := makeSync(t, s, "x")
	defer sys.Close(open)
	assert.True(t, s.Sync.Recognise("/x", info))
	path, err := unix.Open(sys.FDPath(open), unix.O_PATH|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	defer sys.Close(path)
	info, err = os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", path))
	require.NoError(t, err)
	assert.False(t, s.Sync.Recognise("/x", info), "O_PATH")
	for _, info := range []string{"", "mnt_id:", "mnt_id:\t-1\nino:\tx\n", fmt.Sprintf("mnt_id:\t%d\nino:\t1\n", s.Sync.mount)} {
		assert.False(t, s.Sync.Recognise("/x", []byte(info)), info)
	}
}

func TestASyncFile(t *testing.T) {
	s := openShop(t, false)
	fd, link, info := makeSync(t, s, "")
	defer sys.Close(fd)
	named, _, namedInfo := makeSync(t, s, "a name")
	defer sys.Close(named)
	assert.True(t, s.Sync.Recognise(link, info))
	assert.True(t, s.Sync.StandIn(link, info))
	assert.Equal(t, sys.SignalledFence().File, s.Sync.Name(info))
	assert.Equal(t, "a name", s.Sync.Name(namedInfo))

	polled := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(polled, 0)
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	assert.EqualValues(t, unix.POLLIN, polled[0].Revents)
	_, err = unix.Read(fd, make([]byte, 8))
	assert.Equal(t, unix.EINVAL, err, "read")
	_, err = unix.Seek(fd, 0, unix.SEEK_SET)
	assert.Equal(t, unix.ESPIPE, err, "lseek")
	_, err = unix.Mmap(fd, 0, pageSize, unix.PROT_READ, unix.MAP_SHARED)
	assert.Equal(t, unix.ENODEV, err, "mmap")
	_, err = unix.Open(sys.FDPath(fd), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	assert.Equal(t, unix.ENXIO, err, "open by /proc")
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	require.NoError(t, err)
	assert.EqualValues(t, unix.O_RDONLY, flags&unix.O_ACCMODE)

	assert.Equal(t, unix.ENOTTY, ioctl(fd, uapi.BufIoctlSync, make([]byte, 8)))
	assert.Equal(t, unix.EINVAL, ioctl(fd, uapi.SyncIoctlFileInfo, append(make([]byte, 36), 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)))
	data := make([]byte, 56)
	assert.Zero(t, ioctl(fd, uapi.SyncIoctlFileInfo, data))
}

func TestABufferTakesASyncFile(t *testing.T) {
	s := openShop(t, false)
	buffer := s.alloc(t, 0, pageSize, unix.O_RDWR)
	defer sys.Close(buffer)
	fd, _, _ := makeSync(t, s, "")
	defer sys.Close(fd)
	arg := []byte{3, 0, 0, 0, byte(fd), 0, 0, 0}
	assert.Zero(t, ioctl(buffer, uapi.BufIoctlImportSyncFile, arg))
}
