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
	for _, b := range [][]byte{nil, {msgOrder}, make([]byte, orderSize), append(order{}.encode(), 0), append(order{}.encode(), make([]byte, 4*maxTheirs+4)...)} {
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
	o := order{TID: 4711, Filters: 2, Cmd: 0xC0184800, Arg: 1<<63 + 5, Node: sys.FileID{Dev: 1 << 40, Ino: 3}, Cloexec: true, file: -1,
		Left: left{file: sys.FileID{Dev: 5, Ino: 6}, fds: []int{0, 1 << 20}}}
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
	require.NoError(t, send(far, []byte("x"), file))
	b, fd, err := receive(near, buf)
	require.NoError(t, err)
	assert.Equal(t, "x", string(b))
	ours, _, err := sys.Stat(file)
	require.NoError(t, err)
	theirs, _, err := sys.Stat(fd)
	require.NoError(t, err)
	assert.Equal(t, ours, theirs)
	sys.Close(fd)

	sys.Close(far)
	_, _, err = receive(near, buf)
	assert.ErrorIs(t, err, io.EOF)
	assert.Error(t, send(near, []byte("x"), -1))
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
