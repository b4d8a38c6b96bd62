package heapnodes

import (
	"context"
	"errors"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/heapnodes/events"
	"github.com/heapfs/heapfs/uapi"
)

func TestAFailedAllocChangesNothing(t *testing.T) {
	fails := func(err error) func(*site, *fakeCaller) {
		return func(_ *site, c *fakeCaller) { c.install = func() (int, error) { return -1, err } }
	}
	failed, undone := []string{events.AllocFailed}, []string{events.Alloc, events.Free, events.AllocFailed}
	rows := []struct {
		name    string
		fail    func(*site, *fakeCaller)
		want    syscall.Errno
		discard bool
		kinds   []string
	}{
		{"no file", func(s *site, _ *fakeCaller) { s.exporter.err = syscall.EMFILE }, syscall.ENOMEM, false, failed},
		{"no file for an argument of the server's own", func(s *site, _ *fakeCaller) { s.exporter.err = syscall.EINVAL }, syscall.ENOMEM, false, failed},
		{"the answer can't be written", func(_ *site, c *fakeCaller) { c.writes = func(int) error { return ErrFault } }, syscall.EFAULT, true, failed},
		{"not permitted to write", func(_ *site, c *fakeCaller) { c.writes = func(int) error { return ErrDenied } }, syscall.ENOMEM, true, failed},
		{"gone before the answer", func(_ *site, c *fakeCaller) { c.writes = func(int) error { return ErrGone } }, syscall.EINTR, true, nil},
		{"the caller's descriptors", fails(ErrCallerFiles), syscall.EMFILE, true, undone},
		{"the system's descriptors", fails(ErrSystemFiles), syscall.ENFILE, true, undone},
		{"no installer", fails(ErrNoInstaller), syscall.ENOMEM, true, undone},
		{"an installer's own trouble", fails(ErrExport), syscall.ENOMEM, true, undone},
		{"an error without an errno", fails(errors.New("boom")), syscall.EIO, true, undone},
		{"gone before the descriptor", fails(ErrGone), syscall.EINTR, true, []string{events.Alloc, events.Free}},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			s := newSite(t)
			c := newCaller(request(64*kib, 0, 0, 0))
			r.fail(s, c)
			err := s.node("linux,cma").Ioctl(context.Background(), c, uapi.HeapIoctlAlloc, argument)
			assert.Equal(t, r.want, Errno(err), "%v", err)
			assert.Empty(t, c.installed)
			s.untouched()
			for _, e := range s.exporter.made {
				assert.Equal(t, 1, e.discarded)
				assert.Zero(t, e.delivered)
			}
			assert.Len(t, s.exporter.made, map[bool]int{true: 1}[r.discard])
			assert.Equal(t, r.kinds, s.kinds())
			assert.Equal(t, request(64*kib, 0, 0, 0), c.data)

			c = newCaller(request(128*kib, 0, 0, 0))
			s.exporter.err = nil
			assert.NoError(t, s.node("linux,cma").Ioctl(context.Background(), c, uapi.HeapIoctlAlloc, argument), "the whole quota is there")
		})
	}
}

func TestABufferThatEndsDuringDeliveryEndsOnce(t *testing.T) {
	for name, verdict := range map[string]error{"delivered": nil, "not delivered": ErrGone} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			c := newCaller(request(4096, 0, 0, 0))
			c.install = func() (int, error) {
				s.exporter.made[0].gone()
				return -1, verdict
			}
			err := s.node("linux,cma").Ioctl(context.Background(), c, uapi.HeapIoctlAlloc, argument)
			assert.ErrorIs(t, err, verdict)
			assert.Equal(t, []string{events.Alloc, events.Free}, s.kinds())
			assert.Zero(t, s.exporter.made[0].discarded, "the exporter knows already")
			s.untouched()
		})
	}
}

// usedAtFree looks at a pool while a free event is told.
type usedAtFree struct {
	node *Node
	used []uint64
}

func (u *usedAtFree) Write(line []byte) (int, error) {
	_, stats := u.node.PoolStats()
	u.used = append(u.used, stats.Used, u.node.heap.used.Load())
	return len(line), nil
}

func TestAFreeIsToldBeforeItsExtentsAreUsedAgain(t *testing.T) {
	s := newSite(t)
	b := s.live("linux,cma", 64*kib)
	sink := &usedAtFree{node: s.node("linux,cma")}
	s.stream.AddSink(sink)
	s.exporter.made[0].gone()
	assert.Equal(t, []uint64{64 * kib, 64 * kib}, sink.used, "pool and quota when the event was told")
	s.untouched()
	all := s.events()
	require.Len(t, all, 2)
	assert.Equal(t, events.Free, all[1].Event)
	assert.Equal(t, all[0].Extents, all[1].Extents)
	assert.Equal(t, b.ID, all[1].Buffer)
	assert.Nil(t, s.Buffer(s.exporter.made[0].id))
}

func TestGoneTwiceFreesOnce(t *testing.T) {
	s := newSite(t)
	s.live("system", 4096)
	second := s.live("system", 4096)
	s.exporter.made[0].gone()
	s.exporter.made[0].gone()
	assert.Equal(t, []*Buffer{second}, s.Buffers())
	assert.Equal(t, []string{events.Alloc, events.Alloc, events.Free}, s.kinds())
}
