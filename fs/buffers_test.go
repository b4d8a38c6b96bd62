package fs

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/backing"
	"github.com/heapfs/heapfs/heapnodes"
	"github.com/heapfs/heapfs/heapnodes/events"
	"github.com/heapfs/heapfs/internal/sys"
	"github.com/heapfs/heapfs/uapi"
)

// memfds are backing's, as an exporter.
type memfds struct{ *backing.Memfds }

func (m memfds) Export(r heapnodes.ExportRequest) (heapnodes.Export, error) {
	f, err := m.New(r.Size, r.AccMode, r.CPU, r.Gone)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// shop is an instance whose buffers are files of a Buffers.
type shop struct {
	*Buffers
	told *events.Subscription
}

const (
	shopPool = 1 << 20
	pageSize = 4096

	waitFor, tick = 30 * time.Second, time.Millisecond
)

func openShop(t *testing.T, passthrough bool) *shop {
	t.Helper()
	dev, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil && os.Getenv("CI") != "true" {
		t.Skip("no FUSE; to have it: modprobe fuse, chmod 0666 /dev/fuse")
	}
	require.NoError(t, err)
	b, err := NewBuffers(dev)
	require.NoError(t, err)
	var memory *backing.Memfds
	t.Cleanup(func() {
		b.Close()
		if memory != nil {
			memory.Close()
		}
		select {
		case <-b.Done():
		case <-time.After(10 * time.Second):
			t.Error("something still holds a buffer, or the mount")
		}
	})
	if passthrough {
		if err := b.CheckPassthrough(); err != nil {
			if sys.KernelAtLeast(6, 9) && os.Geteuid() == 0 && os.Getenv("CI") == "true" {
				require.NoError(t, err)
			}
			t.Skip(err.Error() + "; to have it: run the tests as root on Linux 6.9 or newer")
		}
		memory, err = backing.NewPassedMemfds()
		require.NoError(t, err)
		b.PassThrough(memfds{memory})
	}
	s := &shop{Buffers: b}
	files, err := backing.NewStandIns() // a machine with /dev/udmabuf would have the kernel's own
	require.NoError(t, err)
	t.Cleanup(files.Close)
	b.Sync, err = NewSyncFiles(b, files)
	require.NoError(t, err)
	stream := events.NewStream(events.Config{Instance: "test"})
	s.told = stream.Subscribe(1)
	nodes := append(fakeNodes[:1:1], fakeNodes[1])
	nodes[1].Kind = "protected"
	b.Heaps, err = heapnodes.New(heapnodes.Config{
		Nodes:    nodes,
		Pools:    []backing.PoolConfig{{Name: "ram", Kind: backing.Scatter, Base: 1 << 30, Size: shopPool}},
		Exporter: b, Sync: b.Sync, Events: stream,
	})
	require.NoError(t, err)
	b.Door = ownDoor{}
	return s
}

// bothWays runs a test with passthrough and without.
func bothWays(t *testing.T, test func(t *testing.T, s *shop)) {
	for _, passthrough := range []bool{true, false} {
		t.Run(fmt.Sprintf("passthrough=%v", passthrough), func(t *testing.T) { test(t, openShop(t, passthrough)) })
	}
}

// alloc is an ALLOC of this process.
func (s *shop) alloc(t *testing.T, node int, size uint64, fdFlags uint32) int {
	t.Helper()
	fd, err := s.tryAlloc(node, size, fdFlags)
	require.NoError(t, err)
	return fd
}

func (s *shop) tryAlloc(node int, size uint64, fdFlags uint32) (int, error) {
	c := &ownCaller{memory: request(size, 0, fdFlags, 0, 24)}
	if err := s.Heaps.Nodes()[node].Ioctl(context.Background(), c, uapi.HeapIoctlAlloc, 0); err != nil {
		return -1, err
	}
	return int(binary.LittleEndian.Uint32(c.memory[8:])), nil
}

// live is how many buffers are in the account.
func (s *shop) live() int { return len(s.Heaps.Buffers()) }

// freed waits for the free event of a buffer, without asking for one.
func (s *shop) freed(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), 30*time.Second)
	defer stop()
	for {
		e, err := s.told.Next(ctx)
		require.NoError(t, err, "no free event")
		if e.Event == events.Free {
			return
		}
	}
}

// ownCaller is this process; its argument lies at 0.
type ownCaller struct{ memory []byte }

func (*ownCaller) Door() string { return "test" }
func (*ownCaller) Identity() heapnodes.Identity {
	return heapnodes.Identity{PID: os.Getpid(), TID: os.Getpid()}
}
func (*ownCaller) Check() error { return nil }
func (c *ownCaller) Read(p []byte, addr uint64) error {
	copy(p, c.memory[addr:])
	return nil
}
func (c *ownCaller) Write(p []byte, addr uint64) error {
	copy(c.memory[addr:], p)
	return nil
}
func (*ownCaller) Install(fd int, _ bool) (int, error) {
	return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
}
func (*ownCaller) Describe(fd int32) (string, []byte, error) {
	link, err := os.Readlink(sys.FDPath(int(fd)))
	if err != nil {
		return "", nil, heapnodes.ErrBadFD
	}
	info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd))
	return link, info, err
}

// ownDoor gives what FUSE does not, for ioctls of this process.
type ownDoor struct{}

type ownCall struct {
	ownCaller
	Request
}

func (ownDoor) Call(r Request) Call           { return &ownCall{Request: r} }
func (c *ownCall) Wrote() bool                { return false }
func (c *ownCall) End(error)                  {}
func (c *ownCall) Write([]byte, uint64) error { return nil }
func (c *ownCall) Read(p []byte, addr uint64) error {
	if n, err := sys.ReadVM(os.Getpid(), p, addr); err != nil || n < len(p) {
		return heapnodes.ErrFault
	}
	return nil
}

func TestABufferIsFoundByNobodyElse(t *testing.T) {
	bothWays(t, func(t *testing.T, s *shop) {
		fd := s.alloc(t, 0, pageSize, unix.O_RDWR)
		defer sys.Close(fd)
		for _, flags := range []int{unix.O_RDONLY, unix.O_RDWR, unix.O_RDWR | unix.O_TRUNC} {
			_, err := unix.Open(sys.FDPath(fd), flags|unix.O_CLOEXEC, 0)
			assert.Equal(t, unix.ENXIO, err, "flags %#x", flags)
		}
		_, err := unix.Openat(s.root, "dmabuf:2", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		assert.Equal(t, unix.ENOENT, err, "by name")
		mounts, err := os.ReadFile("/proc/self/mountinfo")
		require.NoError(t, err)
		assert.NotContains(t, string(mounts), "heapfs-buffers")
	})
}

func TestABufferRefusesWhatADmaBufRefuses(t *testing.T) {
	bothWays(t, func(t *testing.T, s *shop) {
		fd := s.alloc(t, 0, pageSize+1, unix.O_RDWR)
		defer sys.Close(fd)
		buf := make([]byte, 16)
		if s.files != nil {
			_, err := unix.Read(fd, buf)
			assert.Equal(t, unix.EINVAL, err, "read")
			_, err = unix.Pread(fd, buf, pageSize)
			assert.Equal(t, unix.EINVAL, err, "pread")
			_, err = unix.Write(fd, buf)
			assert.Equal(t, unix.EINVAL, err, "write")
		}
		assert.Equal(t, unix.EINVAL, unix.Ftruncate(fd, 0), "ftruncate")
		assert.Equal(t, unix.ENODEV, unix.Fallocate(fd, 0, 0, pageSize), "fallocate")
		assert.Equal(t, unix.EINVAL, unix.Fsync(fd), "fsync")
		assert.Equal(t, unix.EPERM, unix.Fsetxattr(fd, "user.x", []byte("y"), 0), "fsetxattr")
		_, err := unix.Fgetxattr(fd, "user.x", buf)
		assert.Equal(t, unix.ENODATA, err, "fgetxattr")
		_, err = unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS)
		assert.Equal(t, unix.ENOTTY, err, "FS_IOC_GETFLAGS")
		_, err = unix.Seek(fd, 0, unix.SEEK_DATA)
		assert.Equal(t, unix.EINVAL, err, "lseek SEEK_DATA")
		assert.Equal(t, unix.ENOTTY, ioctl(fd, 0x4008_6209, buf), "no such ioctl")
		assert.Equal(t, unix.ENOTTY, ioctl(fd, uapi.HeapIoctlAlloc, make([]byte, 24)), "ALLOC")
		assert.Equal(t, unix.EINVAL, ioctl(fd, uapi.BufIoctlSync, []byte{8, 0, 0, 0, 0, 0, 0, 0}), "SYNC flags")
	})
}

func TestABufferIsWhatWasAskedFor(t *testing.T) {
	bothWays(t, func(t *testing.T, s *shop) {
		fd := s.alloc(t, 0, pageSize+1, unix.O_RDWR)
		defer sys.Close(fd)
		var st unix.Stat_t
		require.NoError(t, unix.Fstat(fd, &st))
		assert.EqualValues(t, 2*pageSize, st.Size)
		end, err := unix.Seek(fd, 0, unix.SEEK_END)
		require.NoError(t, err)
		assert.EqualValues(t, 2*pageSize, end)
		assert.Zero(t, ioctl(fd, uapi.BufIoctlSync, []byte{3, 0, 0, 0, 0, 0, 0, 0}))
		polled := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN | unix.POLLOUT}}
		n, err := unix.Poll(polled, 0)
		require.NoError(t, err)
		assert.Equal(t, 1, n)
		assert.EqualValues(t, unix.POLLIN|unix.POLLOUT, polled[0].Revents)
		set, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		require.NoError(t, err)
		defer sys.Close(set)
		assert.NoError(t, unix.EpollCtl(set, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN}))
	})
}

func TestAccessModesAreThoseOfTheRequest(t *testing.T) {
	const none = unix.Errno(0)
	rows := []struct {
		mode        uint32
		read, write unix.Errno // of mmap
	}{
		{unix.O_RDONLY, none, unix.EACCES},
		{unix.O_WRONLY, unix.EACCES, unix.EACCES},
		{unix.O_RDWR, none, none},
		{unix.O_ACCMODE, unix.EACCES, unix.EACCES},
	}
	bothWays(t, func(t *testing.T, s *shop) {
		h := startHolder(t)
		for _, r := range rows {
			fd := s.alloc(t, 0, pageSize, r.mode)
			flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
			require.NoError(t, err)
			assert.EqualValues(t, r.mode, flags&unix.O_ACCMODE)
			kept := h.keep(fd)
			for prot, want := range map[int]unix.Errno{unix.PROT_READ: r.read, unix.PROT_READ | unix.PROT_WRITE: r.write} {
				m, errno := h.tryMap(kept, pageSize, prot, unix.MAP_SHARED)
				assert.Equal(t, want, errno, "mode %d, prot %d", r.mode, prot)
				if errno == none {
					h.unmap(m)
				}
			}
			h.close(kept)
			s.freed(t)
			assert.Zero(t, s.live(), "mode %d", r.mode)
		}
	})
}

func TestProtectedMemoryIsNotMapped(t *testing.T) {
	bothWays(t, func(t *testing.T, s *shop) {
		fd := s.alloc(t, 1, pageSize, unix.O_RDWR)
		_, err := unix.Write(fd, []byte("x"))
		assert.Equal(t, unix.EINVAL, err)
		h := startHolder(t)
		kept := h.keep(fd)
		for _, flag := range []int{unix.MAP_SHARED, unix.MAP_PRIVATE} {
			_, errno := h.tryMap(kept, pageSize, unix.PROT_READ, flag)
			assert.Equal(t, unix.EACCES, errno)
		}
		h.close(kept)
		s.freed(t)
	})
}

func TestMappingsAreZeroedAndCoherent(t *testing.T) {
	bothWays(t, func(t *testing.T, s *shop) {
		const size = 4 * pageSize
		h, other := startHolder(t), startHolder(t)
		fd := s.alloc(t, 0, size, unix.O_RDWR)
		again, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		require.NoError(t, err)
		here, there := h.keep(fd), other.keep(again)
		a, b := h.mmap(here, size, unix.PROT_READ|unix.PROT_WRITE), other.mmap(there, size, unix.PROT_READ)
		for off := 0; off < size; off += pageSize {
			assert.Equal(t, "\x00\x00", h.peek(a, off, 2))
			h.poke(a, off, "hi")
			assert.Equal(t, "hi", other.peek(b, off, 2))
		}
		// What was written is there after all mappings and all but one descriptor are gone.
		h.unmap(a)
		other.unmap(b)
		h.close(here)
		c := other.mmap(there, size, unix.PROT_READ)
		assert.Equal(t, "hi", other.peek(c, size-pageSize, 2))
		other.unmap(c)
		other.close(there)
		s.freed(t)
	})
}

func TestTheEndIsThatOfTheLastHolder(t *testing.T) {
	holders := map[string]func(t *testing.T, fd int) (release func()){
		"a duplicate": func(t *testing.T, fd int) func() {
			other, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
			require.NoError(t, err)
			return func() { sys.Close(other) }
		},
		"a mapping": func(t *testing.T, fd int) func() {
			h, m := mapped(t, fd, unix.PROT_READ|unix.PROT_WRITE)
			h.poke(m, pageSize, "x")
			return func() { h.unmap(m) }
		},
		"a mapping for reading": func(t *testing.T, fd int) func() {
			h, m := mapped(t, fd, unix.PROT_READ)
			assert.Equal(t, "\x00", h.peek(m, pageSize, 1))
			return func() { h.unmap(m) }
		},
		"a message": func(t *testing.T, fd int) func() {
			pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			require.NoError(t, err)
			require.NoError(t, unix.Sendmsg(pair[0], []byte{1}, unix.UnixRights(fd), nil, 0))
			return func() {
				sys.Close(pair[0])
				sys.Close(pair[1])
			}
		},
	}
	for name, hold := range holders {
		t.Run(name, func(t *testing.T) {
			bothWays(t, func(t *testing.T, s *shop) {
				fd := s.alloc(t, 0, 2*pageSize, unix.O_RDWR)
				release := hold(t, fd)
				sys.Close(fd)
				require.Equal(t, 1, s.live())
				release()
				s.freed(t)
				assert.Zero(t, s.live())
			})
		})
	}
}

// mapped is a process that has a mapping of a buffer of two pages, and no descriptor.
func mapped(t *testing.T, fd, prot int) (h *holder, mapping int) {
	t.Helper()
	again, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	require.NoError(t, err)
	h = startHolder(t)
	kept := h.keep(again)
	mapping = h.mmap(kept, 2*pageSize, prot)
	h.close(kept)
	return h, mapping
}

// The kernel tells of the end a moment later; whoever asks for space must not be refused for that.
func TestSpaceIsThereAsSoonAsItIsLetGo(t *testing.T) {
	bothWays(t, func(t *testing.T, s *shop) {
		for range 200 {
			fd := s.alloc(t, 0, shopPool, unix.O_RDWR)
			_, err := s.tryAlloc(0, pageSize, unix.O_RDWR)
			require.ErrorIs(t, err, backing.ErrNoSpace)
			sys.Close(fd)
		}
		assert.Zero(t, s.live())
	})
}

func TestWhatIsNotDeliveredIsGone(t *testing.T) {
	bothWays(t, func(t *testing.T, s *shop) {
		for range 3 {
			x, err := s.Export(heapnodes.ExportRequest{
				Size: pageSize, AccMode: unix.O_RDWR, CPU: true, Gone: func() { t.Error("gone after Discard") },
			})
			require.NoError(t, err)
			require.GreaterOrEqual(t, x.FD(), 0)
			x.Discard()
			s.Sweep()
		}
		assert.Eventually(t, func() bool {
			if s.ready != nil {
				s.ready.Drop() // what lies ready is nobody's
			}
			return len(s.all()) == 0
		}, waitFor, tick)
	})
}

func TestANameIsReadFromTheCallersMemory(t *testing.T) {
	bothWays(t, func(t *testing.T, s *shop) {
		fd := s.alloc(t, 0, pageSize, unix.O_RDWR)
		defer sys.Close(fd)
		name := append([]byte("a name of more than 8 bytes"), 0)
		assert.Zero(t, ioctl(fd, uapi.BufIoctlSetNameB, name))
		assert.Equal(t, "a name of more than 8 bytes", s.Heaps.Buffers()[0].Name())
		assert.Equal(t, unix.EINVAL, ioctl(fd, uapi.BufIoctlSetNameB, []byte("this has no end within thirty-two bytes")))
		// struct dma_buf_import_sync_file with something that is none
		arg := binary.LittleEndian.AppendUint32(nil, 3)
		arg = binary.LittleEndian.AppendUint32(arg, uint32(fd))
		assert.Equal(t, unix.EINVAL, ioctl(fd, uapi.BufIoctlImportSyncFile, arg))
	})
}

func TestManyAllocateAtOnce(t *testing.T) {
	bothWays(t, func(t *testing.T, s *shop) {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 25 {
					fd, err := s.tryAlloc(0, pageSize, unix.O_RDWR)
					if assert.NoError(t, err) {
						sys.Close(fd)
					}
				}
			})
		}
		wg.Wait()
		assert.Zero(t, s.live())
	})
}
