package ptrace

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
)

// sleeper starts a process that does nothing.
func sleeper(t *testing.T) *exec.Cmd {
	t.Helper()
	c := exec.Command("sleep", "1000")
	require.NoError(t, c.Start())
	t.Cleanup(func() {
		_ = c.Process.Kill() // may have ended
		_ = c.Wait()         // of the test's own signal
	})
	return c
}

// A number may be another thread's when the next order comes, and the kept handle of the one before finds nothing.
func TestAHandleOfAThreadThatEndedIsTakenAnew(t *testing.T) {
	before, now := sleeper(t), sleeper(t)
	var h handle
	defer h.close()
	stale := &session{order: order{TID: before.Process.Pid}, handle: &h}
	require.NoError(t, h.open(stale))
	require.NoError(t, before.Process.Kill())
	require.Error(t, before.Wait())
	h.tid = now.Process.Pid

	s := &session{order: order{TID: now.Process.Pid}, handle: &h}
	fd, err := s.copyOf(0)
	require.NoError(t, err)
	defer sys.Close(fd)
	theirs, err := sys.StatAt(unix.AT_FDCWD, "/dev/null")
	require.NoError(t, err)
	ours, err := sys.ID(fd)
	require.NoError(t, err)
	assert.Equal(t, theirs, ours, "sleep reads from nowhere")

	if !h.shared {
		kept := h.fd
		again, err := s.copyOf(0)
		require.NoError(t, err)
		sys.Close(again)
		assert.Equal(t, kept, h.fd)
	}
	_, err = (&session{order: order{TID: now.Process.Pid}, handle: &h}).copyOf(99)
	assert.ErrorIs(t, err, unix.EBADF)
}
