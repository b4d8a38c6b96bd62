package launch

import (
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/leaktest"
	"github.com/heapfs/heapfs/internal/sys"
)

func newPair(t *testing.T) (a, b channel) {
	t.Helper()
	a, b, err := newChannel()
	require.NoError(t, err)
	t.Cleanup(a.close)
	t.Cleanup(b.close)
	return a, b
}

// openFiles are descriptors of this process, each of a file of its own.
func openFiles(t *testing.T, n int) []int {
	t.Helper()
	fds := make([]int, n)
	for i := range fds {
		fd, err := sys.Memfd("test")
		require.NoError(t, err)
		t.Cleanup(func() { sys.Close(fd) })
		fds[i] = fd
	}
	return fds
}

func TestADeadPeerIsTheEndOfTheChannel(t *testing.T) {
	a, b, err := newChannel()
	require.NoError(t, err)
	defer a.close()
	b.close()
	_, err = a.receive()
	assert.ErrorIs(t, err, io.EOF)
	assert.ErrorIs(t, a.send(message{Kind: msgGo}, -1), unix.EPIPE, "an error, no signal")

	a, b = newPair(t)
	b.shutdown()
	_, err = a.receive()
	assert.ErrorIs(t, err, io.EOF)
}

func TestAPeerThatLeftAMessageUnreadIsTheEndToo(t *testing.T) {
	a, b, err := newChannel()
	require.NoError(t, err)
	defer a.close()
	require.NoError(t, a.send(message{Kind: msgGo}, -1))
	b.close()
	_, err = a.receive()
	assert.ErrorIs(t, err, io.EOF)
}

func TestADamagedMessageIsAnErrorAndItsDescriptorsAreClosed(t *testing.T) {
	rows := []struct {
		name string
		data string
		fds  int
		want string
	}{
		{"no JSON", "go", 1, "damaged"},
		{"half a message", `{"Kind":"mounted`, 1, "damaged"},
		{"two messages", `{"Kind":"go"}{"Kind":"go"}`, 1, "damaged"},
		{"another type", `{"Kind":7}`, 1, "damaged"},
		{"a list", `[]`, 1, "damaged"},
		{"longer than a datagram may be", `{"Kind":"failed","Text":"` + strings.Repeat("x", maxMessage) + `"}`, 1, "truncated"},
		{"more descriptors than fit", `{"Kind":"mounted"}`, 20, "truncated"},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			a, b := newPair(t)
			rights := unix.UnixRights(openFiles(t, r.fds)...)
			before := leaktest.Descriptors()
			require.NoError(t, unix.Sendmsg(a.fd, []byte(r.data), rights, nil, 0))
			_, err := b.receive()
			assert.ErrorContains(t, err, r.want)
			assert.Equal(t, before, leaktest.Descriptors())
		})
	}
}

func TestAnEmptyDatagramIsTheEnd(t *testing.T) {
	a, b := newPair(t)
	require.NoError(t, unix.Send(a.fd, nil, 0))
	_, err := b.receive()
	assert.ErrorIs(t, err, io.EOF)
}

func TestOfManyDescriptorsOneIsKept(t *testing.T) {
	a, b := newPair(t)
	fds := openFiles(t, 3)
	before := leaktest.Descriptors()
	require.NoError(t, unix.Sendmsg(a.fd, []byte(`{"Kind":"mounted"}`), unix.UnixRights(fds...), nil, 0))
	m, err := b.receive()
	require.NoError(t, err)
	assert.Len(t, leaktest.Descriptors(), len(before)+1)
	sys.Close(m.fd)
	assert.Equal(t, before, leaktest.Descriptors())
}

func TestAnotherKindThanExpectedIsAnErrorAndItsDescriptorIsClosed(t *testing.T) {
	a, b := newPair(t)
	fd := openFiles(t, 1)[0]
	before := leaktest.Descriptors()
	require.NoError(t, a.send(message{Kind: msgMounted}, fd))
	_, err := b.expect(msgGo)
	assert.EqualError(t, err, `got message "mounted" instead of "go"`)
	assert.Equal(t, before, leaktest.Descriptors())
}

func TestMessagesArriveWhole(t *testing.T) {
	rows := []message{
		{Kind: msgGo},
		{Kind: msgStarted, PID: 4711},
		{Kind: msgEnded, Status: syscall.WaitStatus(9), Final: true},
		{Kind: msgFailed, Code: 126, Text: "execute /x: permission denied; \u2019quoted\u2019 \"so\""},
		{Kind: msgTrapped, Dir: sys.FileID{Dev: 1<<63 + 1, Ino: 1<<64 - 1}},
	}
	a, b := newPair(t)
	for _, m := range rows {
		require.NoError(t, a.send(m, -1))
	}
	for _, m := range rows {
		got, err := b.expect(m.Kind)
		require.NoError(t, err)
		m.fd = -1
		assert.Equal(t, m, got)
	}
}

func TestADescriptorComesAlong(t *testing.T) {
	a, b := newPair(t)
	fd := openFiles(t, 1)[0]
	require.NoError(t, a.send(message{Kind: msgMounted}, fd))
	m, err := b.receive()
	require.NoError(t, err)
	defer sys.Close(m.fd)
	want, err := sys.StatFD(fd)
	require.NoError(t, err)
	got, err := sys.StatFD(m.fd)
	require.NoError(t, err)
	assert.Equal(t, want, got)
	flags, err := unix.FcntlInt(uintptr(m.fd), unix.F_GETFD, 0)
	require.NoError(t, err)
	assert.Equal(t, unix.FD_CLOEXEC, flags)
}

func TestALongTextIsCutAndArrives(t *testing.T) {
	a, b := newPair(t)
	long := strings.Repeat("x", 2*maxMessage)
	require.NoError(t, a.send(message{Kind: msgFailed, Text: long}, -1))
	m, err := b.receive()
	require.NoError(t, err)
	assert.NotEmpty(t, m.Text)
	assert.True(t, strings.HasPrefix(long, m.Text))
}

func TestAChannelDoesNotSurviveExecve(t *testing.T) {
	a, b := newPair(t)
	for _, c := range []channel{a, b} {
		flags, err := unix.FcntlInt(uintptr(c.fd), unix.F_GETFD, 0)
		require.NoError(t, err)
		assert.Equal(t, unix.FD_CLOEXEC, flags)
	}
}

func TestOnlyDescriptorsThatCameFromOutsideAreCMDs(t *testing.T) {
	fds := openFiles(t, 3)
	for _, fd := range fds[1:] {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
		require.NoError(t, err)
	}
	p := &plan{Self: fds[1], Sock: -1, Events: -1}
	got := inheritedFDs(p)
	assert.NotContains(t, got, fds[0], "opened here")
	assert.NotContains(t, got, fds[1], "named by the plan")
	assert.Contains(t, got, fds[2])
	for _, fd := range []int{0, 1, 2} {
		assert.NotContains(t, got, fd)
	}
}
