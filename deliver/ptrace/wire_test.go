package ptrace

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/heapnodes"
	"github.com/heapfs/heapfs/internal/sys"
)

func TestWhatIsNoMessageIsAnError(t *testing.T) {
	for _, b := range [][]byte{
		nil, {msgOrder}, make([]byte, orderSize), order{Left: left{fds: make([]int, maxTheirs+1)}}.encode(),
		order{Left: left{fds: []int{1}}}.encode()[:orderSize+3], order{Reply: make([]byte, maxReply+1)}.encode(),
	} {
		_, err := decodeOrder(b)
		assert.Error(t, err, "%q", b)
	}
	for _, b := range [][]byte{nil, {msgInstalled}, {msgInstalled, 1, 2, 3, 4, 5}} {
		_, err := decodeNumber(b)
		assert.Error(t, err, "%q", b)
	}
	whole := finish{writes: []write{{1, []byte("xy")}}}.encode()
	for n := range whole {
		if n == 5 {
			continue // an end without writes
		}
		_, err := decodeFinish(whole[:n])
		assert.Error(t, err, "%q", whole[:n])
	}
	for _, b := range [][]byte{nil, {msgFailed}, {msgFailed, 200, 'x'}} {
		assert.ErrorIs(t, decodeFailure(b), heapnodes.ErrNoInstaller, "%q", b)
	}
}

func TestMessagesArriveAsTheyWereSent(t *testing.T) {
	o := order{TID: 4711, Serial: 1 << 50, Filters: 2, Cmd: 0xC0184800, Arg: 1<<63 + 5, Node: sys.FileID{Dev: 1 << 40, Ino: 3}, Cloexec: true,
		Left: left{file: sys.FileID{Dev: 5, Ino: 6}, fds: []int{0, 1 << 20}}, Reply: []byte("reply"),
	}
	got, err := decodeOrder(o.encode())
	require.NoError(t, err)
	assert.Equal(t, o, got)

	n, err := decodeNumber(numbered(msgInstalled, 1023))
	require.NoError(t, err)
	assert.Equal(t, 1023, n)

	f := finish{errno: unix.EMFILE, writes: []write{{1<<63 + 1, []byte("fd")}, {7, []byte("x")}}}
	end, err := decodeFinish(f.encode())
	require.NoError(t, err)
	assert.Equal(t, f, end)

	for _, outcome := range outcomes {
		sent := fmt.Errorf("%w: because", outcome)
		err := decodeFailure(failure(sent))
		assert.ErrorIs(t, err, outcome)
		assert.EqualError(t, err, sent.Error())
		assert.Equal(t, heapnodes.Errno(sent), heapnodes.Errno(err))
	}
	assert.ErrorIs(t, decodeFailure(failure(errors.New("anything else"))), heapnodes.ErrNoInstaller)
	assert.Len(t, failure(errors.New(strings.Repeat("x", 5000))), maxMessage)
}

func TestASocketTellsLatenessFromTheEnd(t *testing.T) {
	near, far, err := pair(10 * time.Millisecond)
	require.NoError(t, err)
	defer sys.Close(near)
	buf := make([]byte, maxMessage)
	_, _, err = receive(near, buf)
	assert.ErrorIs(t, err, errLate)

	file, err := sys.Memfd("file")
	require.NoError(t, err)
	defer sys.Close(file)
	require.NoError(t, send(far, []byte("x"), file, near))
	b, fds, err := receive(near, buf)
	require.NoError(t, err)
	assert.Equal(t, "x", string(b))
	require.Len(t, fds, 2)
	defer closeAll(fds)
	ours, _, err := sys.Stat(file)
	require.NoError(t, err)
	theirs, _, err := sys.Stat(fds[0])
	require.NoError(t, err)
	assert.Equal(t, ours, theirs)
	require.NoError(t, send(far, []byte("y")))
	_, fds2, err := receive(near, buf)
	require.NoError(t, err)
	assert.Empty(t, fds2)

	sys.Close(far)
	_, _, err = receive(near, buf)
	assert.ErrorIs(t, err, io.EOF)
	assert.Error(t, send(near, []byte("x")))
}

func TestACallWaitsForAPlaceOfItsTenant(t *testing.T) {
	d := Open(Config{})
	defer d.Close()
	call := func() *Call { return d.Call(Request{TID: os.Getpid(), UID: 1000}) }
	var all []*Call
	for range maxPerTenant {
		c := call()
		require.NoError(t, c.enter())
		all = append(all, c)
	}
	entered := make(chan error)
	enter := func() {
		c := call()
		err := c.enter()
		c.End(heapnodes.ErrBusy)
		entered <- err
	}
	go enter()
	all[0].End(nil)
	require.NoError(t, <-entered)

	all[0] = call()
	require.NoError(t, all[0].enter())
	for _, c := range all {
		d.tenants.GiveUp(c.tenant)
	}
	go enter()
	assert.ErrorIs(t, <-entered, heapnodes.ErrBusy, "no place will be free")
	other := d.Call(Request{TID: os.Getpid(), UID: 1001})
	assert.NoError(t, other.enter(), "another tenant has places of its own")
	other.End(nil)
	for _, c := range all {
		d.leave(c.tenant, true)
		c.tenant = nil
		c.End(nil)
	}
	go enter()
	assert.NoError(t, <-entered)
}

// deaf is a Door whose agent never answers; it gives the agent's ends of the conversations.
func deaf(t *testing.T, patience time.Duration) (*Door, <-chan int) {
	t.Helper()
	workers, over := make(chan int, 2*maxPerTenant), make(chan struct{})
	d := Open(Config{Start: func() (int, error) {
		near, far, err := Control()
		if err != nil {
			return -1, err
		}
		go func() {
			defer close(over)
			defer sys.Close(far)
			buf := make([]byte, maxMessage)
			for {
				b, fds, err := receive(far, buf)
				switch {
				case err != nil:
					return
				case b[0] == msgWorker:
					workers <- fds[0]
				default:
					closeAll(fds)
				}
			}
		}()
		return near, nil
	}})
	d.patience = patience
	t.Cleanup(func() {
		d.Close()
		<-over
		close(workers)
		for sock := range workers {
			sys.Close(sock)
		}
		assert.Empty(t, d.calls)
		assert.Empty(t, d.sessions)
	})
	return d, workers
}

func noReply() (int, []byte) { return 0, nil }

func TestWhoeverKeepsTheAgentHasThePlacesOfItsTenant(t *testing.T) {
	const patience = 20 * time.Millisecond
	d, workers := deaf(t, patience)
	call := func(uid int) *Call { return d.Call(Request{TID: os.Getpid(), UID: uid, Reply: noReply}) }
	enter := func(uid int) error {
		c := call(uid)
		defer c.End(nil)
		return c.enter()
	}
	for range maxPerTenant {
		c := call(1000)
		_, err := c.Install(0, true)
		require.ErrorIs(t, err, heapnodes.ErrNoInstaller)
		c.End(err)
	}
	assert.Len(t, d.calls, maxPerTenant)
	time.Sleep(patience)
	assert.ErrorIs(t, enter(1000), heapnodes.ErrBusy, "all of its places are taken for good")
	assert.Empty(t, d.sessions, "for others there is room")
	assert.NoError(t, enter(1001))

	sock := <-workers // a caller lets the agent go after all
	require.NoError(t, send(sock, failure(heapnodes.ErrGone)))
	require.NoError(t, send(sock, []byte{msgDone}))
	assert.NoError(t, enter(1000))
	assert.Len(t, d.idle, 1, "its worker is of use again")
	sys.Close(sock)

	sock = <-workers // the agent has died in another
	sys.Close(sock)
	d.look()
	assert.NoError(t, enter(1000))
	assert.Len(t, d.calls, maxPerTenant-2)
}

func TestWhoWaitsBehindCallersThatKeepTheAgentIsRefused(t *testing.T) {
	const patience = 20 * time.Millisecond
	d, _ := deaf(t, patience)
	call := func() *Call { return d.Call(Request{TID: os.Getpid(), UID: 1000, Reply: noReply}) }
	for range maxPerTenant {
		c := call()
		_, err := c.Install(0, true)
		c.End(err)
	}
	c := call()
	defer c.End(nil)
	assert.ErrorIs(t, c.enter(), heapnodes.ErrBusy)
}

func TestAllTenantsTogetherHaveABound(t *testing.T) {
	d := Open(Config{})
	defer d.Close()
	var all []*Call
	call := func(uid int) *Call { return d.Call(Request{TID: os.Getpid(), UID: uid}) }
	for n := range maxCalls {
		c := call(n / maxPerTenant)
		require.NoError(t, c.enter())
		all = append(all, c)
	}
	late := call(maxCalls)
	assert.ErrorIs(t, late.enter(), heapnodes.ErrBusy)
	late.End(nil)
	all[0].End(nil)
	late = call(maxCalls)
	assert.NoError(t, late.enter())
	late.End(nil)
	for _, c := range all[1:] {
		c.End(nil)
	}
	assert.Empty(t, d.calls)
}

func TestWhatAKilledAgentHasLeftIsNotForWhoHasTheNumberLater(t *testing.T) {
	d := Open(Config{})
	defer d.Close()
	of := left{fds: []int{5}, at: monotonic()}
	d.left[1] = of
	assert.Equal(t, of, d.leftIn(1))
	assert.Empty(t, d.leftIn(1), "it is asked once")
	of.at -= freshFor + 1
	d.left[1] = of
	assert.Empty(t, d.leftIn(1))
}

func TestAMessageWithoutADescriptorIsSeen(t *testing.T) {
	b := message(0x1000)
	assert.Equal(t, -1, receivedFD(b), "as it was before the call")
	b[atMsghdr+40] = 20
	b[atControl] = 20
	b[atControl+8] = unix.SOL_SOCKET
	assert.Equal(t, -1, receivedFD(b), "of another type")
	b[atControl+12] = unix.SCM_RIGHTS
	b[atControl+16] = 9
	assert.Equal(t, 9, receivedFD(b))
	b[atMsghdr+40] = 0
	assert.Equal(t, -1, receivedFD(b), "cut off")
}

func TestTheProcessorOfAThreadWhateverItsName(t *testing.T) {
	rest := strings.Repeat(" 0", 39-4) + " 17" + strings.Repeat(" 0", 52-39)
	for _, name := range []string{"sh", "a) R 1 (b", "", ") "} {
		cpu, err := processorIn([]byte("4711 (" + name + ") S" + rest + "\n"))
		require.NoError(t, err, name)
		assert.Equal(t, 17, cpu, name)
	}
	for _, bad := range []string{"", "1 (sh) S 1 2", "1 (sh) S" + strings.Replace(rest, "17", "x", 1)} {
		_, err := processorIn([]byte(bad))
		assert.Error(t, err, bad)
	}
	cpu, err := processorOf(os.Getpid())
	require.NoError(t, err)
	assert.GreaterOrEqual(t, cpu, 0)
}
