package fs

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/heapnodes"
	"github.com/heapfs/heapfs/heapnodes/events"
	"github.com/heapfs/heapfs/uapi"
)

type fuseAttr = fuse.AttrOut

// request is a struct dma_heap_allocation_data, with a tail up to size bytes.
func request(length uint64, fd, fdFlags uint32, heapFlags uint64, size int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, length)
	b = binary.LittleEndian.AppendUint32(b, fd)
	b = binary.LittleEndian.AppendUint32(b, fdFlags)
	b = binary.LittleEndian.AppendUint64(b, heapFlags)
	return append(b, bytes.Repeat([]byte{0xEE}, size-len(b))...)
}

func TestANodeIsNoFileToReadWriteSeekOrShare(t *testing.T) {
	s := mounted(t)
	fd := s.open(t, "system", unix.O_RDWR)
	buf := make([]byte, 16)
	_, err := unix.Read(fd, buf)
	assert.Equal(t, unix.EINVAL, err, "read")
	_, err = unix.Write(fd, buf)
	assert.Equal(t, unix.EINVAL, err, "write")
	_, err = unix.Pread(fd, buf, 0)
	assert.Equal(t, unix.ESPIPE, err, "pread")
	_, err = unix.Pwrite(fd, buf, 0)
	assert.Equal(t, unix.ESPIPE, err, "pwrite")
	for _, whence := range []int{unix.SEEK_SET, unix.SEEK_CUR, unix.SEEK_END} {
		_, err = unix.Seek(fd, 0, whence)
		assert.Equal(t, unix.ESPIPE, err, "lseek whence %d", whence)
	}
	for _, prot := range []int{unix.PROT_READ, unix.PROT_READ | unix.PROT_WRITE} {
		_, err = unix.Mmap(fd, 0, 4096, prot, unix.MAP_SHARED)
		assert.Equal(t, unix.ENODEV, err, "mmap prot %d", prot)
	}
	assert.Equal(t, unix.EINVAL, unix.Fsync(fd), "fsync")
	assert.Equal(t, unix.EINVAL, unix.Fdatasync(fd), "fdatasync")
	assert.Equal(t, unix.ENODEV, unix.Fallocate(fd, 0, 0, 4096), "fallocate")
	assert.Equal(t, unix.EINVAL, unix.Ftruncate(fd, 4096), "ftruncate")
	assert.Empty(t, s.events())
}

func TestANodeOpensWithEveryAccess(t *testing.T) {
	s := mounted(t)
	for _, flags := range []int{unix.O_RDONLY, unix.O_WRONLY, unix.O_RDWR, unix.O_RDWR | unix.O_TRUNC, unix.O_RDWR | unix.O_APPEND, unix.O_RDWR | unix.O_NONBLOCK} {
		fd := s.open(t, "system", flags)
		assert.Equal(t, unix.EINVAL, ioctl(fd, 0xC0184801, request(4096, 0, 0, 0, 24)), "flags %#x", flags)
	}
	_, err := unix.Open(filepath.Join(s.dir, "system"), unix.O_RDONLY|unix.O_DIRECTORY, 0)
	assert.Equal(t, unix.ENOTDIR, err)
	_, err = unix.Open(filepath.Join(s.dir, "system"), unix.O_RDONLY|unix.O_CREAT|unix.O_EXCL, 0o600)
	assert.Equal(t, unix.EEXIST, err)
}

func TestANodeHasNoAttributesAndNoDirectIO(t *testing.T) {
	s := mounted(t)
	path := filepath.Join(s.dir, "system")
	_, err := unix.Open(path, unix.O_RDWR|unix.O_DIRECT|unix.O_CLOEXEC, 0)
	assert.Equal(t, unix.EINVAL, err)
	assert.Equal(t, unix.EPERM, unix.Setxattr(path, "user.x", []byte("1"), 0))
	assert.Equal(t, unix.EPERM, unix.Removexattr(path, "user.x"))
	_, err = unix.Getxattr(path, "user.x", make([]byte, 8))
	assert.Equal(t, unix.ENODATA, err)
	n, err := unix.Listxattr(path, make([]byte, 8))
	assert.NoError(t, err)
	assert.Zero(t, n)
}

func TestNumbersFromOneAreInvalid(t *testing.T) {
	s := mounted(t)
	fd := s.open(t, "system", unix.O_RDWR)
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	assert.Equal(t, unix.EINVAL, err, "isatty")
	for _, cmd := range []uapi.Cmd{0xC0184801, 0x40184801, 0x4801, 0xC0086202, 0xC0105805} {
		assert.Equal(t, unix.EINVAL, ioctl(fd, cmd, request(4096, 0, 0, 0, 24)), "command %#x", uint32(cmd))
	}
	assert.Zero(t, s.files.made)
	assert.Empty(t, s.events())
}

// foreign is number 0 of a type that no filter traps.
func foreign(dir, size uint32) uapi.Cmd { return uapi.IOC(dir, 'X', 0, size) }

func TestNumberZeroOfAnotherTypeIsAnAllocThatCantBeDelivered(t *testing.T) {
	s := mounted(t)
	fd := s.open(t, "linux,cma", unix.O_RDONLY)
	for _, size := range []int{24, 48, 200} {
		arg := request(5000, 0, unix.O_RDWR, 0, size)
		assert.Equal(t, unix.ENOMEM, ioctl(fd, foreign(3, uint32(size)), arg), "%d bytes", size)
		all := s.events()
		require.Len(t, all, 3)
		assert.Equal(t, []string{events.Alloc, events.Free, events.AllocFailed}, []string{all[0].Event, all[1].Event, all[2].Event})
		e := all[2]
		assert.Equal(t, "ENOMEM", e.Errno)
		assert.Equal(t, "fuse", e.Door)
		assert.Equal(t, "linux,cma", e.Heap)
		assert.ErrorContains(t, heapnodes.ErrNoInstaller, strings.Split(e.Reason, ":")[0])
		assert.Contains(t, e.Reason, "no filter trapped the command")
		assert.EqualValues(t, 5000, e.Len)
		require.NotNil(t, e.UID)
		assert.Equal(t, os.Geteuid(), *e.UID)
		comm, err := os.ReadFile("/proc/self/comm")
		require.NoError(t, err)
		assert.Equal(t, strings.TrimSuffix(string(comm), "\n"), e.Comm)
	}
	assert.Equal(t, s.files.made, s.files.discarded)
	_, stats := s.heaps.Nodes()[0].PoolStats()
	assert.Zero(t, stats.Used)
}

func TestOrderOfChecksByThisDoor(t *testing.T) {
	s := mounted(t)
	fd := s.open(t, "system", unix.O_RDWR)
	rows := []struct {
		name string
		arg  []byte
		want unix.Errno
	}{
		{"no memory", nil, unix.EFAULT},
		{"a descriptor on the way in", request(4096, 1, 0, 0, 24), unix.EINVAL},
		{"fd_flags", request(4096, 0, unix.O_NONBLOCK, 0, 24), unix.EINVAL},
		{"heap_flags", request(4096, 0, 0, 1, 24), unix.EINVAL},
		{"no length", request(0, 0, 0, 0, 24), unix.EINVAL},
		{"no such pool", request(1<<40, 0, 0, 0, 24), unix.ENOMEM},
	}
	for _, r := range rows {
		assert.Equal(t, r.want, ioctl(fd, foreign(3, 24), r.arg), r.name)
	}
	assert.Zero(t, s.files.made)
}

func TestARefusalLeavesTheCallersBytesAlone(t *testing.T) {
	s := mounted(t)
	fd := s.open(t, "system", unix.O_RDWR)
	for _, cmd := range []uapi.Cmd{uapi.IOC(3, 'X', 1, 24), uapi.IOC(2, 'X', 1, 24), uapi.IOC(3, 'X', 5, 24), foreign(3, 24), foreign(2, 24)} {
		arg := request(4096, 7, 0, 0, 24)
		want := bytes.Clone(arg)
		assert.Equal(t, unix.EINVAL, ioctl(fd, cmd, arg))
		assert.Equal(t, want, arg, "command %#x", uint32(cmd))
	}
}

func TestReplyHoldsNobodyElsesBytes(t *testing.T) {
	s := mounted(t)
	fd := s.open(t, "system", unix.O_RDWR)
	secret := bytes.Repeat([]byte{0xA5}, 4000)
	for range 20 { // the buffers of requests and replies are used again
		assert.Equal(t, unix.EINVAL, ioctl(fd, foreign(3, uint32(len(secret))), secret))
	}
	got := make([]byte, 4000)
	for range 20 {
		assert.Equal(t, unix.EINVAL, ioctl(fd, foreign(2, uint32(len(got))), got))
		assert.NotContains(t, got, byte(0xA5))
	}
}

// A fault on demand has no FUSE of its own.
func TestFaultsActByThisDoor(t *testing.T) {
	s := mounted(t, func(c *heapnodes.Config) {
		f, err := heapnodes.ParseFault("system:alloc=EINTR@1")
		require.NoError(t, err)
		c.Faults = []heapnodes.Fault{f}
	})
	fd := s.open(t, "system", unix.O_RDWR)
	assert.Equal(t, unix.EINTR, ioctl(fd, foreign(3, 24), request(4096, 0, 0, 0, 24)))
	assert.Equal(t, unix.ENOMEM, ioctl(fd, foreign(3, 24), request(4096, 0, 0, 0, 24)))
}
