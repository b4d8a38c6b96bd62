package fs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/backing"
	"github.com/heapfs/heapfs/devices/board"
	"github.com/heapfs/heapfs/heapnodes"
	"github.com/heapfs/heapfs/heapnodes/events"
	"github.com/heapfs/heapfs/internal/sys"
	"github.com/heapfs/heapfs/uapi"
)

// The process that looks at the tree is the one that serves it. So files of it are opened by unix.Open only: os.Open asks the
// runtime's poller, which waits for the answer with a processor in its hands, and with one processor for ever.

// noFiles is an exporter of files that are never delivered.
type noFiles struct{ made, discarded int }

type noFile struct {
	of *noFiles
	n  int
}

func (x *noFiles) Export(heapnodes.ExportRequest) (heapnodes.Export, error) {
	x.made++
	return noFile{x, x.made}, nil
}

func (x *noFiles) Sweep()       {}
func (f noFile) ID() sys.FileID { return sys.FileID{Ino: uint64(f.n)} }
func (f noFile) FD() int        { return -1 }
func (f noFile) Delivered()     { panic("delivered by FUSE") }
func (f noFile) Discard()       { f.of.discarded++ }

// site is a mounted tree.
type site struct {
	dir   string
	tree  *Tree
	heaps *heapnodes.Heaps
	files *noFiles
	told  *events.Subscription
}

var fakeNodes = []board.Node{
	{Name: "system", Pool: "ram", Heap: "system", Kind: board.KindScatter, Mode: 0o600, UID: board.CMDOwner, GID: board.CMDOwner},
	{Name: "linux,cma", Pool: "ram", Heap: "linux,cma", Kind: board.KindScatter, Mode: 0o444, UID: board.CMDOwner, GID: 0},
	{Name: "memory@42000000", Pool: "ram", Heap: "memory@42000000", Kind: board.KindScatter, Mode: 0o660, UID: 0, GID: board.CMDOwner},
}

// owner is whose the nodes are; any number does for the one who mounted.
var owner = Owner{UID: 0, GID: 0}

func newTree(t *testing.T, change ...func(*heapnodes.Config)) *site {
	t.Helper()
	s := &site{files: &noFiles{}}
	stream := events.NewStream(events.Config{Instance: "test"})
	s.told = stream.Subscribe(1)
	cfg := heapnodes.Config{
		Nodes:    fakeNodes,
		Pools:    []backing.PoolConfig{{Name: "ram", Kind: backing.Scatter, Base: 1 << 30, Size: 1 << 20}},
		Exporter: s.files, Events: stream,
	}
	for _, f := range change {
		f(&cfg)
	}
	var err error
	s.heaps, err = heapnodes.New(cfg)
	require.NoError(t, err)
	s.tree = NewTree(s.heaps.Nodes(), owner)
	s.tree.Sets = s.heaps
	return s
}

// mounted is a tree that is mounted until the test ends.
func mounted(t *testing.T, change ...func(*heapnodes.Config)) *site {
	t.Helper()
	s := newTree(t, change...)
	s.mount(t)
	return s
}

func (s *site) mount(t *testing.T) {
	t.Helper()
	s.mountAs(t, func(fd int) (<-chan struct{}, error) { return Serve(fd, s.tree) })
}

// mountAs mounts what serve answers.
func (s *site) mountAs(t *testing.T, serve func(fd int) (<-chan struct{}, error)) {
	t.Helper()
	s.dir = t.TempDir()
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if os.Getenv("CI") != "true" {
		switch {
		case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
			t.Skip("no FUSE; to have it: modprobe fuse")
		case errors.Is(err, unix.EACCES):
			t.Skip("/dev/fuse is closed to this user; to open it: chmod 0666 /dev/fuse")
		}
	}
	require.NoError(t, err, "open /dev/fuse")
	data := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other", fd)
	err = unix.Mount("heapfs", s.dir, "fuse.heapfs-test", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, data)
	if err != nil {
		sys.Close(fd)
		require.NoError(t, err, "mount")
	}
	done, err := serve(fd)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, unix.Unmount(s.dir, 0))
		<-done
	})
}

// open opens a node until the test ends.
func (s *site) open(t *testing.T, name string, flags int) int {
	t.Helper()
	fd, err := unix.Open(filepath.Join(s.dir, name), flags|unix.O_CLOEXEC, 0)
	require.NoError(t, err, name)
	t.Cleanup(func() { sys.Close(fd) })
	return fd
}

// list reads the directory.
func (s *site) list(t *testing.T) []string {
	t.Helper()
	dir, err := unix.Open(s.dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	defer sys.Close(dir)
	var names []string
	buf := make([]byte, 8192)
	for {
		n, err := unix.ReadDirent(dir, buf)
		require.NoError(t, err)
		if n == 0 {
			return names
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names) // without . and ..
	}
}

// events is what was told since the last time.
func (s *site) events() []events.Event {
	var all []events.Event
	for e, ok := s.told.Poll(); ok; e, ok = s.told.Poll() {
		all = append(all, e)
	}
	return all
}

// ioctl is the raw call with a pointer to arg.
func ioctl(fd int, cmd uapi.Cmd, arg []byte) unix.Errno {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(cmd), uintptr(unsafe.Pointer(unsafe.SliceData(arg))))
	return errno
}
