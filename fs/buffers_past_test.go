package fs

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
)

func TestTheKernelForgetsBuffersThatAreGone(t *testing.T) {
	bothWays(t, func(t *testing.T, s *shop) {
		s.past.max = 16
		kept := s.alloc(t, 0, pageSize, unix.O_RDWR|unix.O_CLOEXEC)
		defer sys.Close(kept)
		name := func() string {
			link, err := os.Readlink(sys.FDPath(kept))
			require.NoError(t, err)
			return link
		}
		before := name()
		for range 40 * s.past.max {
			sys.Close(s.alloc(t, 0, pageSize, unix.O_RDWR|unix.O_CLOEXEC))
		}
		s.Sweep()
		// Two batches at the most wait, or are under way; some buffers lie ready.
		assert.Eventually(t, func() bool { return int(s.past.known.Load()) <= 4*s.past.max+maxReady }, waitFor, tick)
		assert.Positive(t, s.past.known.Load())
		assert.Equal(t, before, name(), "a living one is no deleted file")
		require.NoError(t, unix.Fstat(kept, new(unix.Stat_t)))
	})
}

func TestSizesCountForBuffersInThePageCache(t *testing.T) {
	s := openShop(t, false)
	s.past.maxBytes = 16 * pageSize
	for range 200 {
		sys.Close(s.alloc(t, 0, pageSize, unix.O_RDWR|unix.O_CLOEXEC))
	}
	s.Sweep()
	// Two look-ups a buffer; two batches wait, or are under way.
	assert.Eventually(t, func() bool { return s.past.known.Load() <= 2*2*16 }, waitFor, tick)
}
