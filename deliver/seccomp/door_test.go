package seccomp

import (
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/backing"
	"github.com/heapfs/heapfs/devices/board"
	"github.com/heapfs/heapfs/heapnodes"
	"github.com/heapfs/heapfs/heapnodes/events"
	"github.com/heapfs/heapfs/internal/sys"
)

// files gives heapnodes the files that backing makes.
type files struct{ *backing.Memfds }

func (f files) Export(r heapnodes.ExportRequest) (heapnodes.Export, error) {
	m, err := f.New(r.Size, r.AccMode, r.CPU, r.Gone)
	if err != nil {
		return nil, err
	}
	return m, nil
}

// played is what the server knows after a scene.
type played struct {
	events []events.Event
	state  *os.ProcessState
}

// play runs a scene in a process of its own against a door, and sees the door through to its end.
func play(t *testing.T, scene string) played {
	t.Helper()
	memfds, err := backing.NewMemfds()
	require.NoError(t, err)
	syncs, err := backing.NewSyncFiles()
	require.NoError(t, err)
	defer syncs.Close()
	stream := events.NewStream(events.Config{Instance: "test"})
	heaps, err := heapnodes.New(heapnodes.Config{
		Nodes:    []board.Node{{Name: "system", Pool: "ram", Heap: "system", Kind: board.KindScatter}},
		Pools:    []backing.PoolConfig{{Name: "ram", Kind: backing.Scatter, Base: 1 << 30, Size: 1 << 20}},
		Exporter: files{memfds}, Sync: syncs, Events: stream,
	})
	require.NoError(t, err)

	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer sys.Close(pair[0])
	heap, err := sys.Memfd("heap")
	require.NoError(t, err)
	other, err := sys.Memfd("other")
	require.NoError(t, err)
	id, err := sys.StatFD(heap)
	require.NoError(t, err)

	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), callerRole+"="+scene)
	cmd.Stderr = os.Stderr
	for _, fd := range []int{pair[1], heap, other} { // callerSock and what follows it
		f := os.NewFile(uintptr(fd), "inherited")
		defer f.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	listener, err := takeListener(pair[0])
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		require.NoError(t, err, "no listener came")
	}
	door := Open(listener, Config{Heaps: heaps, Node: func(got sys.FileID) *heapnodes.Node {
		if got == id {
			return heaps.Nodes()[0]
		}
		return nil
	}})
	_, err = unix.Write(pair[0], []byte{1})
	require.NoError(t, err)
	said, err := io.ReadAll(out)
	require.NoError(t, err)
	_ = cmd.Wait() // the state says it
	<-door.Done()
	assert.Empty(t, string(said), "what the caller found wrong")

	// A buffer may be seen to its end by another goroutine: its free event is waited for, and then that goroutine.
	p := played{state: cmd.ProcessState}
	sub := stream.Subscribe(1)
	for live := len(heaps.Buffers()); ; {
		e, ok := sub.Poll()
		if !ok && p.count(events.Alloc) == p.count(events.Free) {
			break
		}
		if !ok {
			e, err = sub.Next(t.Context())
			require.NoError(t, err, "%d buffers outlived their last holder", live)
		}
		p.events = append(p.events, e)
	}
	memfds.Close()
	assert.Empty(t, heaps.Buffers())
	_, stats := heaps.Nodes()[0].PoolStats()
	assert.Zero(t, stats.Used)
	return p
}

func takeListener(sock int) (int, error) {
	buf, oob := make([]byte, 16), make([]byte, unix.CmsgSpace(4))
	_, oobn, _, _, err := unix.Recvmsg(sock, buf, oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return -1, err
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(msgs) != 1 {
		return -1, unix.EPROTO
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil || len(fds) != 1 {
		return -1, unix.EPROTO
	}
	return fds[0], nil
}

// count is how many events of a kind there are.
func (p played) count(kind string) (n int) {
	for _, e := range p.events {
		if e.Event == kind {
			n++
		}
	}
	return n
}

func TestWhatIsNotOursGoesToTheKernel(t *testing.T) {
	p := play(t, "nothing of ours")
	assert.Zero(t, p.state.ExitCode())
	assert.Empty(t, p.events)
}

func TestRefusalsReachTheCaller(t *testing.T) {
	p := play(t, "refusals")
	assert.Zero(t, p.state.ExitCode())
	assert.Len(t, p.events, 7)
	for _, e := range p.events {
		assert.Equal(t, events.AllocFailed, e.Event)
		assert.Equal(t, "seccomp", e.Door)
		assert.Equal(t, p.state.Pid(), e.PID)
		assert.Equal(t, os.Geteuid(), *e.UID)
		assert.NotEmpty(t, e.Comm)
	}
}

func TestBuffersReachTheCallerAndEnd(t *testing.T) {
	p := play(t, "buffers")
	assert.Zero(t, p.state.ExitCode())
	assert.Equal(t, 4+5+1+200, p.count(events.Alloc))
	assert.Equal(t, p.count(events.Alloc), p.count(events.Free))
	assert.Zero(t, p.count(events.AllocFailed))
}

func TestADescriptorIsWhatItIsNow(t *testing.T) {
	p := play(t, "habits")
	assert.Zero(t, p.state.ExitCode())
	assert.Equal(t, 3*3*200+8+3+1, p.count(events.Alloc))
	assert.Equal(t, 1, p.count(events.AllocFailed))
}

func TestCallsOnBuffers(t *testing.T) {
	p := play(t, "calls on buffers")
	assert.Zero(t, p.state.ExitCode())
	assert.Equal(t, 1, p.count(events.SetName))
	last := p.events[len(p.events)-1]
	assert.Equal(t, events.Free, last.Event)
	assert.Equal(t, "camera", last.Name)
}

func TestCallsOnSyncFiles(t *testing.T) {
	assert.Zero(t, play(t, "sync files").state.ExitCode())
}

func TestTheCallersLimitOfDescriptorsIsEMFILE(t *testing.T) {
	p := play(t, "descriptors")
	assert.Zero(t, p.state.ExitCode())
	require.Equal(t, 1, p.count(events.AllocFailed))
	assert.Equal(t, 2, p.count(events.Free), "the one that could not be delivered, and the one that was")
}

func TestAKilledCallerLeavesNothing(t *testing.T) {
	p := play(t, "an early end")
	assert.Equal(t, -1, p.state.ExitCode())
	assert.Equal(t, 1, p.count(events.Alloc))
	assert.Equal(t, 1, p.count(events.Free))
}
