package fs

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/devices"
	"github.com/heapfs/heapfs/devices/board"
	"github.com/heapfs/heapfs/heapnodes"
	"github.com/heapfs/heapfs/heapnodes/events"
	"github.com/heapfs/heapfs/internal/sys"
	"github.com/heapfs/heapfs/uapi"
)

func withDevices(c *heapnodes.Config) {
	c.Importers = []board.Importer{
		{Importer: devices.Importer{Name: "vpu", Class: devices.ClassVB2DMAContig, Constraints: devices.Constraints{Contiguous: true}}, Mode: 0o600, UID: -1, GID: -1},
		{Importer: devices.Importer{Name: "gpu", Class: devices.ClassDRMShmem}, Mode: 0o640, UID: 3, GID: 4},
	}
}

// mountedDevices mounts the device files of an instance.
func mountedDevices(t *testing.T) *site {
	t.Helper()
	s := newTree(t, withDevices)
	s.mountAs(t, func(fd int) (<-chan struct{}, error) { return ServeDevices(fd, NewDevices(s.heaps.Devices(), owner)) })
	return s
}

func TestDeviceFilesAreListed(t *testing.T) {
	s := mountedDevices(t)
	assert.Equal(t, []string{"vpu", "gpu"}, s.list(t))
	var st unix.Stat_t
	require.NoError(t, unix.Stat(filepath.Join(s.dir, "gpu"), &st))
	assert.Equal(t, []uint32{unix.S_IFREG | 0o640, 3, 4}, []uint32{st.Mode, st.Uid, st.Gid})
	require.NoError(t, unix.Stat(filepath.Join(s.dir, "vpu"), &st))
	assert.Equal(t, []uint32{unix.S_IFREG | 0o600, 0, 0}, []uint32{st.Mode, st.Uid, st.Gid})
	assert.ErrorIs(t, unix.Unlink(filepath.Join(s.dir, "vpu")), unix.EPERM)
	assert.ErrorIs(t, unix.Chmod(filepath.Join(s.dir, "vpu"), 0o777), unix.EPERM)
	assert.ErrorIs(t, unix.Rename(filepath.Join(s.dir, "vpu"), filepath.Join(s.dir, "x")), unix.EPERM)
}

func TestADeviceFileTellsDescriptorsApart(t *testing.T) {
	s := mountedDevices(t)
	fd := s.open(t, "vpu", unix.O_RDWR)
	attach := func(n int) unix.Errno {
		var arg [uapi.HeapfsAttachSize]byte
		uapi.AttachArg{FD: uint32(n)}.Put(arg[:])
		return ioctl(fd, uapi.HeapfsAttach, arg[:])
	}
	assert.Equal(t, unix.EBADF, attach(-1))
	assert.Equal(t, unix.EBADF, attach(1<<20))
	assert.Equal(t, unix.EINVAL, attach(fd))
	path, err := unix.Open("/", unix.O_PATH|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	assert.Equal(t, unix.EBADF, attach(path))
	sys.Close(path)
	e := s.events()
	require.Len(t, e, 4)
	for _, e := range e {
		assert.Equal(t, events.AttachFailed, e.Event)
		assert.Equal(t, os.Getpid(), e.PID)
		assert.Equal(t, "vpu", e.Device)
	}
	assert.Equal(t, unix.ENOTTY, ioctl(fd, uapi.HeapIoctlAlloc, make([]byte, 24)))
	assert.Equal(t, unix.EFAULT, ioctl(fd, uapi.HeapfsAttach, nil))
	assert.Equal(t, unix.EINVAL, ioctl(fd, uapi.HeapfsDetach, make([]byte, 8)))
	_, err = unix.Pread(fd, make([]byte, 16), 1<<32)
	assert.ErrorIs(t, err, unix.EINVAL)
}

func TestADescriptorIsLookedUpOnlyWhileItsCallerWaits(t *testing.T) {
	// This thread is in no ioctl of that kind.
	c := &deviceCaller{caller: caller{id: heapnodes.Identity{TID: unix.Getpid()}}, cmd: uapi.HeapfsAttach}
	_, err := c.File(0)
	assert.Error(t, err)
	c.id.TID = 0
	_, err = c.File(0)
	assert.ErrorIs(t, err, heapnodes.ErrDenied)
	c.id.TID = 1 << 30
	_, err = c.File(0)
	assert.ErrorIs(t, err, heapnodes.ErrGone)
}

func TestSleepingCall(t *testing.T) {
	for text, want := range map[string]string{
		"":                   "0 0x0 false",
		"running\n":          "0 0x0 false",
		"-1 0x7ffe 0x7f00\n": "0 0x0 true",
		"16 0x3 0xc0206801 0x7ffe00 0x0 0x0 0x0 0x7ffc 0x7f00\n":         "3223349249 0x7ffe00 true",
		"16 0x3 0xffffffffc0206801 0x7ffe00 0x0 0x0 0x0 0x7ffc 0x7f00\n": "3223349249 0x7ffe00 true",
		"16 0x3 zzz 0x7ffe00 0x0 0x0 0x0 0x7ffc 0x7f00\n":                "0 0x7ffe00 true",
	} {
		cmd, arg, asleep := sleepingCall([]byte(text))
		assert.Equal(t, want, fmt.Sprintf("%d %#x %v", uint32(cmd), arg, asleep), text)
	}
}

func FuzzSleepingCall(f *testing.F) {
	f.Add([]byte("16 0x3 0xc0206801 0x7ffe00 0x0 0x0 0x0 0x7ffc 0x7f00\n"))
	f.Add([]byte("running\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if cmd, arg, asleep := sleepingCall(text); !asleep && (cmd != 0 || arg != 0) {
			t.Fail()
		}
	})
}

func TestProcessOf(t *testing.T) {
	assert.Equal(t, os.Getpid(), processOf(unix.Gettid()))
	assert.Equal(t, 1<<30, processOf(1<<30))
}
