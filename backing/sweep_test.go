package backing

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
)

// An ALLOC that finds no room sweeps and tries again: by then every buffer that nobody holds must have been given back, also one
// that a hint is about to end.
func TestASweepLeavesNobodyHalfGone(t *testing.T) {
	m := newMemfds(t)
	for i := range 2000 {
		fd, gone, _ := deliver(t, m, 4096, unix.O_RDWR)
		sys.Close(fd)
		time.Sleep(time.Duration(i%40) * 50 * time.Microsecond) // until about when the hint is looked at
		m.Sweep()
		select {
		case <-gone:
		default:
			require.FailNow(t, "nobody holds the buffer, and after a sweep it is not gone", "round %d", i)
		}
	}
}
