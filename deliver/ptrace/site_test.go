package ptrace

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/backing"
	"github.com/heapfs/heapfs/devices/board"
	"github.com/heapfs/heapfs/fs"
	"github.com/heapfs/heapfs/heapnodes"
	"github.com/heapfs/heapfs/heapnodes/events"
	"github.com/heapfs/heapfs/internal/sys"
)

// agentsEndIn is when an agent that should end is taken to hang: to find that out here tells more than a test run that stands still.
const agentsEndIn = time.Minute

const fsType = "fuse.heapfs-ptrace-test"

// files is an exporter of plain memfds that are never seen to end.
type files struct {
	made, discarded, delivered atomic.Int32
}

type file struct {
	of *files
	fd int
	id sys.FileID
}

func (x *files) Export(r heapnodes.ExportRequest) (heapnodes.Export, error) {
	fd, err := sys.Memfd("buffer")
	if err != nil {
		return nil, err
	}
	if err := sys.Truncate(fd, int64(r.Size)); err != nil {
		return nil, err
	}
	id, _, err := sys.Stat(fd)
	x.made.Add(1)
	return &file{x, fd, id}, err
}

func (x *files) Sweep()        {}
func (f *file) ID() sys.FileID { return f.id }
func (f *file) FD() int        { return f.fd }
func (f *file) Delivered()     { sys.Close(f.fd); f.of.delivered.Add(1) }
func (f *file) Discard()       { sys.Close(f.fd); f.of.discarded.Add(1) }

// site is a mounted heap tree with this door.
type site struct {
	dir   string
	heaps *heapnodes.Heaps
	files *files
	door  *Door
	told  *events.Subscription
}

// throughFS is what launch does.
type throughFS struct {
	door *Door
	dev  uint64
}

func (d *throughFS) Call(r fs.Request) fs.Call {
	return d.door.Call(Request{
		TID: r.TID, UID: r.UID, Cmd: r.Cmd, Arg: r.Arg, Node: sys.FileID{Dev: d.dev, Ino: r.Ino}, In: r.In, Out: r.Out, Reply: r.Reply,
		Interrupted: r.Interrupted,
	})
}

func config(x heapnodes.Exporter, stream *events.Stream) heapnodes.Config {
	return heapnodes.Config{
		Nodes:    []board.Node{{Name: "system", Pool: "ram", Heap: "system", Kind: board.KindScatter, Mode: 0o666}},
		Pools:    []backing.PoolConfig{{Name: "ram", Kind: backing.Scatter, Base: 1 << 30, Size: 1 << 30}},
		Exporter: x, Events: stream,
	}
}

// mount mounts a tree at dir and serves it.
func mount(dir string, heaps *heapnodes.Heaps, door *Door) (done <-chan struct{}, err error) {
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	data := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other", fd)
	if err := unix.Mount("heapfs", dir, fsType, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, data); err != nil {
		sys.Close(fd)
		return nil, err
	}
	tree := fs.NewTree(heaps.Nodes(), fs.Owner{})
	through := &throughFS{door: door}
	tree.Door = through
	if done, err = fs.Serve(fd, tree); err != nil {
		return nil, err
	}
	id, err := sys.StatAt(unix.AT_FDCWD, filepath.Join(dir, "system"))
	through.dev = id.Dev
	return done, err
}

type change struct {
	reached  func(step, int)
	stopIn   time.Duration
	patience time.Duration
	serve    func(far int) // instead of an agent in this process
}

// open mounts a tree until the test ends. The agent is in this process, so its callers must not be waited for before their sessions
// are over.
func open(t testing.TB, c change) *site {
	t.Helper()
	s := &site{dir: t.TempDir(), files: &files{}}
	stream := events.NewStream(events.Config{Instance: "test"})
	s.told = stream.Subscribe(1)
	var err error
	s.heaps, err = heapnodes.New(config(s.files, stream))
	require.NoError(t, err)

	var agents sync.WaitGroup
	s.door = Open(Config{Start: func() (int, error) {
		near, far, err := Control()
		if err != nil {
			return -1, err
		}
		agents.Go(func() {
			if c.serve != nil {
				c.serve(far)
				return
			}
			a := newAgent(c.reached)
			if c.stopIn != 0 {
				a.stopIn = c.stopIn
			}
			a.serve(far)
		})
		return near, nil
	}})
	if c.patience != 0 {
		s.door.patience = c.patience
	}

	done, err := mount(s.dir, s.heaps, s.door)
	if errors.Is(err, unix.ENOENT) && os.Getenv("CI") != "true" {
		t.Skip("no FUSE; to have it: modprobe fuse")
	}
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, unix.Unmount(s.dir, 0))
		<-done
		s.door.Close()
		over := make(chan struct{})
		go func() {
			defer close(over)
			agents.Wait()
		}()
		select {
		case <-over:
		case <-time.After(agentsEndIn):
			stacks := make([]byte, 1<<20)
			t.Errorf("the agent has not ended:\n%s", stacks[:runtime.Stack(stacks, true)])
		}
	})
	return s
}

// events is what was told since the last time.
func (s *site) events() []events.Event {
	var all []events.Event
	for e, ok := s.told.Poll(); ok; e, ok = s.told.Poll() {
		all = append(all, e)
	}
	return all
}

// reason is why the last ALLOC failed, "" if none has.
func (s *site) reason() string {
	reason := ""
	for _, e := range s.events() {
		if e.Event == events.AllocFailed {
			reason = e.Errno + ": " + e.Reason
		}
	}
	return reason
}

// soon waits for a count: a transaction ends after its caller has been let go.
func soon(t *testing.T, want int32, count func() int32) {
	t.Helper()
	assert.Eventually(t, func() bool { return count() == want }, 30*time.Second, time.Millisecond, "%d", want)
}
