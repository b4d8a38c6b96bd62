package backing

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Sweeps come now and then, so that an end alone does not tell whether a close was heeded: the watch does.
func TestAPassedFileIsWatchedWhereAMappingOutlivesTheClose(t *testing.T) {
	m, err := NewPassedMemfds()
	require.NoError(t, err)
	defer m.Close()
	watched := func(f *Memfd) bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.watch >= 0
	}
	gone := make(chan struct{})
	f, err := m.New(4096, unix.O_RDWR, true, func() { close(gone) })
	require.NoError(t, err)
	mapping, err := unix.Mmap(f.FD(), 0, 4096, unix.PROT_READ, unix.MAP_SHARED)
	require.NoError(t, err)
	f.Delivered()
	assert.False(t, watched(f))
	f.Closed()
	require.Eventually(t, func() bool { return watched(f) }, 30*time.Second, time.Millisecond)
	select {
	case <-gone:
		t.Fatal("it is mapped still")
	default:
	}
	require.NoError(t, unix.Munmap(mapping))
	<-gone

	gone = make(chan struct{})
	f, err = m.New(4096, unix.O_RDWR, true, func() { close(gone) })
	require.NoError(t, err)
	f.Delivered()
	f.Closed()
	<-gone
	assert.False(t, watched(f), "nothing held it")
}
