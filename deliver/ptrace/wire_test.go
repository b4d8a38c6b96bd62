package ptrace

import (
	"errors"
	"fmt"
	"io"
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
	for _, b := range [][]byte{nil, {msgOrder}, make([]byte, orderSize), append(order{}.encode(), 0)} {
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
	o := order{TID: 4711, Filters: 2, Cmd: 0xC0184800, Arg: 1<<63 + 5, Node: sys.FileID{Dev: 1 << 40, Ino: 3}, Cloexec: true, file: -1}
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

func TestATenantWaitsForAPlaceOfItsOwn(t *testing.T) {
	ts := tenants{all: map[string]*tenant{}}
	var all []*tenant
	for range maxPerTenant {
		mine, err := ts.enter("1000 /", 0)
		require.NoError(t, err)
		all = append(all, mine)
	}
	for _, mine := range all {
		ts.giveUp(mine)
	}
	_, err := ts.enter("1000 /", time.Millisecond)
	assert.ErrorIs(t, err, heapnodes.ErrBusy, "none of the places will be free in time")
	for _, mine := range all {
		ts.leaveStuck(mine)
	}
	for i := range all {
		all[i], err = ts.enter("1000 /", 0)
		require.NoError(t, err)
	}

	other, err := ts.enter("1001 /", 0)
	require.NoError(t, err, "another tenant has places of its own")
	ts.leave(other)

	entered := make(chan error)
	go func() {
		_, err := ts.enter("1000 /", time.Minute)
		entered <- err
	}()
	ts.leave(all[0])
	require.NoError(t, <-entered)
	for _, mine := range all {
		ts.leave(mine)
	}
	assert.Empty(t, ts.all, "nothing is kept of who has left")
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
