package stock

import (
	"errors"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/internal/leaktest"
)

// TestMain fails on what the tests leave behind.
func TestMain(m *testing.M) { os.Exit(leaktest.Run(m)) }

// maker makes sizes, and counts those that are neither taken nor dropped.
type maker struct {
	mu   sync.Mutex
	made int
	out  int
	err  error
}

func (m *maker) make(size uint64) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return 0, m.err
	}
	m.made++
	m.out++
	return size, nil
}

func (m *maker) drop(uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.out--
}

func (m *maker) count() (made, out int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.made, m.out
}

// settle waits until so many of a size lie ready.
func settle(t *testing.T, s *Sized[uint64], size uint64, ready int) {
	t.Helper()
	const long = 30 * time.Second
	for late := time.Now().Add(long); ; runtime.Gosched() {
		s.mu.Lock()
		of, n := s.of, len(s.ready)
		s.mu.Unlock()
		if of == size && n == ready {
			return
		}
		require.True(t, time.Now().Before(late), "%d of size %d lie ready after %v, not %d of size %d", n, of, long, ready, size)
	}
}

// takeUntilLow takes things of a size until more are to be made, and says how many.
func takeUntilLow(t *testing.T, s *Sized[uint64], size uint64) (taken int) {
	t.Helper()
	for low := false; !low; taken++ {
		s.mu.Lock()
		low = s.isLow()
		s.mu.Unlock()
		v, ok := s.Take(size)
		require.True(t, ok)
		assert.Equal(t, size, v)
	}
	return taken
}

func TestTheSizeThatIsAskedForTwiceIsKeptReady(t *testing.T) {
	m := &maker{}
	s := NewSized(4, m.make, m.drop)
	for _, size := range []uint64{1, 2, 1} {
		_, ok := s.Take(size)
		assert.False(t, ok)
	}
	made, _ := m.count()
	assert.Zero(t, made, "no size came twice in a row")
	_, ok := s.Take(1)
	assert.False(t, ok)
	settle(t, s, 1, 4)
	v, ok := s.Take(1)
	require.True(t, ok)
	assert.EqualValues(t, 1, v)
	_, ok = s.Take(2)
	assert.False(t, ok, "those are of another size")
	_, ok = s.Take(2)
	assert.False(t, ok)
	settle(t, s, 2, 4)
	taken := 1 + takeUntilLow(t, s, 2)
	settle(t, s, 2, 4)
	s.Close()
	_, out := m.count()
	assert.Equal(t, taken, out, "what was taken is the taker's, the rest was dropped")
}

func TestMoreIsKeptOfASizeThatRunsLow(t *testing.T) {
	m := &maker{}
	s := NewSized(20, m.make, m.drop)
	s.Take(1)
	s.Take(1)
	settle(t, s, 1, first)
	for _, next := range []int{2 * first, 20, 20} {
		takeUntilLow(t, s, 1)
		settle(t, s, 1, next)
	}
	s.Take(2)
	s.Take(2)
	settle(t, s, 2, first) // another size begins with few
	s.Close()
}

func TestDropGivesAllUp(t *testing.T) {
	m := &maker{}
	s := NewSized(3, m.make, m.drop)
	s.Take(7)
	s.Take(7)
	settle(t, s, 7, 3)
	assert.Equal(t, 3, s.Drop())
	assert.Zero(t, s.Drop())
	_, out := m.count()
	assert.Zero(t, out)
	s.Take(7) // it came before that, too
	settle(t, s, 7, 3)
	s.Close()
	_, out = m.count()
	assert.Zero(t, out)
}

func TestAFailureLeavesTheStockAsItIs(t *testing.T) {
	m := &maker{err: errors.New("no descriptors")}
	s := NewSized(2, m.make, m.drop)
	s.Take(1)
	s.Take(1)
	m.mu.Lock()
	m.err = nil
	m.mu.Unlock()
	for ok := false; !ok; _, ok = s.Take(1) { // each who asks an empty one has it filled
	}
	s.Close()
}
