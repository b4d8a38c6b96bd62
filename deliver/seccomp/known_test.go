package seccomp

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/heapnodes"
	"github.com/heapfs/heapfs/internal/leaktest"
	"github.com/heapfs/heapfs/internal/sys"
)

func TestTheNextNumberIsGuessedFromTheLastTwo(t *testing.T) {
	rows := []struct {
		name string
		got  []int
		want int
	}{
		{"nothing to go by", nil, 0},
		{"the first says nothing of the next", []int{5}, 0},
		{"one at a time", []int{5, 5}, 5},
		{"a set", []int{5, 6}, 7},
		{"a gap", []int{5, 9}, 0},
		{"the number of one that was closed", []int{5, 6, 7, 5}, 0},
		{"a set after a gap", []int{5, 9, 10}, 11},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			var h habit
			for _, fd := range r.got {
				h.got(fd)
			}
			assert.Equal(t, r.want, h.next())
		})
	}
}

func TestCallsOnOneDescriptorAreCounted(t *testing.T) {
	var h habit
	for _, fd := range []uint32{0, 0, 7, 7, 7, 0} {
		h.uses(fd)
	}
	assert.Equal(t, 1, h.calls)
	h.uses(0)
	assert.Equal(t, learnAt, h.calls)
}

// scene is this thread, with a file that is a node and one that is none.
type scene struct {
	view        *thread
	node        *heapnodes.Node
	heap, other int
	learner     learner
}

func newScene(t *testing.T) *scene {
	t.Helper()
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	s := &scene{node: &heapnodes.Node{}, learner: newLearner()}
	var err error
	s.view, err = openThread(unix.Gettid())
	require.NoError(t, err)
	s.heap, err = sys.Memfd("heap")
	require.NoError(t, err)
	s.other, err = sys.Memfd("other")
	require.NoError(t, err)
	t.Cleanup(func() {
		sys.Close(s.heap)
		sys.Close(s.other)
		s.view.Close()
	})
	return s
}

func (s *scene) find(id sys.FileID) *heapnodes.Node {
	if heap, err := sys.StatFD(s.heap); err == nil && heap == id {
		return s.node
	}
	return nil
}

// learn has the view learn about a descriptor and waits until it has tried.
func (s *scene) learn(fd int) {
	s.learner.learn(s.view, uint32(fd), s.find)
	for range maxLearning {
		s.learner <- struct{}{}
	}
	for range maxLearning {
		<-s.learner
	}
}

func TestOnlyHeapNodesAreKnown(t *testing.T) {
	s := newScene(t)
	path, err := unix.Open(sys.FDPath(s.heap), unix.O_PATH|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	defer sys.Close(path)
	before := leaktest.Descriptors()
	for name, fd := range map[string]int{"no descriptor": 999, "another file": s.other, "an O_PATH open of a node": path} {
		s.learn(fd)
		assert.Nil(t, s.view.recall(uint32(fd)), name)
		assert.Equal(t, before, leaktest.Descriptors(), name)
	}
}

func TestAKnownDescriptorIsKnownAsLongAsItIsTheSameOpen(t *testing.T) {
	s := newScene(t)
	fd := uint32(s.heap)
	assert.Nil(t, s.view.recall(fd))
	s.learn(s.heap)
	assert.Same(t, s.node, s.view.recall(fd))
	assert.Nil(t, s.view.recall(fd+1), "another number")

	kept, err := unix.FcntlInt(uintptr(s.heap), unix.F_DUPFD_CLOEXEC, 0)
	require.NoError(t, err)
	defer sys.Close(kept)
	for name, now := range map[string]int{"another file": s.other, "another open of the node": reopen(t, s.heap)} {
		require.NoError(t, unix.Dup3(now, s.heap, unix.O_CLOEXEC))
		assert.Nil(t, s.view.recall(fd), name)
		require.NoError(t, unix.Dup3(kept, s.heap, unix.O_CLOEXEC))
		assert.Same(t, s.node, s.view.recall(fd), "the same open again")
	}
}

func TestAViewKnowsOneDescriptorAndClosesItsCopy(t *testing.T) {
	s := newScene(t)
	before := len(leaktest.Descriptors())
	s.learn(s.heap)
	require.Len(t, leaktest.Descriptors(), before+1)
	s.learn(s.heap)
	assert.Len(t, leaktest.Descriptors(), before+1, "learned twice")
	s.view.forget(nil)
	assert.Len(t, leaktest.Descriptors(), before)
	assert.Nil(t, s.view.recall(uint32(s.heap)))

	s.view.forget(ended)
	s.learn(s.heap)
	assert.Nil(t, s.view.recall(uint32(s.heap)), "nothing is learned behind the end")
	assert.Len(t, leaktest.Descriptors(), before)
}

func TestNoMoreThanAFewAttemptsGoOnAtOnce(t *testing.T) {
	s := newScene(t)
	before := leaktest.Descriptors()
	for range maxLearning {
		s.learner <- struct{}{}
	}
	s.learner.learn(s.view, uint32(s.heap), s.find)
	time.Sleep(10 * time.Millisecond) // nothing is to happen
	assert.Nil(t, s.view.recall(uint32(s.heap)))
	assert.Equal(t, before, leaktest.Descriptors())
}

func reopen(t *testing.T, fd int) int {
	t.Helper()
	again, err := sys.Reopen(fd, unix.O_RDWR)
	require.NoError(t, err)
	t.Cleanup(func() { sys.Close(again) })
	return again
}
