package heapnodes

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/backing"
	"github.com/heapfs/heapfs/devices/board"
	"github.com/heapfs/heapfs/heapnodes/events"
	"github.com/heapfs/heapfs/internal/sys"
	"github.com/heapfs/heapfs/uapi"
)

func TestAnInstanceOfABadConfigIsRefused(t *testing.T) {
	rows := []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"a pool that is none", func(c *Config) { c.Pools[0].Size = 1 }, `"ram"`},
		{"a node without a pool", func(c *Config) { c.Nodes = append(c.Nodes, board.Node{Name: "x", Pool: "nowhere"}) }, `node "x": no pool "nowhere"`},
		{"a fault that hits nothing", withFaults("nosuch:alloc=ENOMEM"), `fault "nosuch:alloc=ENOMEM": no heap "nosuch" on this board; it has ["system" `},
	}
	for _, r := range rows {
		cfg := fakeBoard()
		r.change(&cfg)
		_, err := New(cfg)
		assert.ErrorContains(t, err, r.want, r.name)
	}
}

func TestQuotaIsOverAllNodesOfAHeap(t *testing.T) {
	s := newSite(t) // 128 KiB of 256 KiB
	s.live("default_cma_region", 64*kib)
	s.live("linux,cma", 32*kib)
	s.live("38300000.video-codec", 28*kib)
	for _, node := range []string{"default_cma_region", "linux,cma", "38300000.video-codec"} {
		err := s.alloc(node, 8*kib)
		require.ErrorIs(t, err, ErrQuota, node)
		assert.Equal(t, syscall.ENOMEM, Errno(err))
		assert.ErrorContains(t, err, "126976 of 131072 bytes are in use")
	}
	assert.NoError(t, s.alloc("system", 8*kib), "another heap's quota is its own")
	assert.NoError(t, s.alloc("linux,cma", 4*kib), "to the last byte")
	s.exporter.made[0].gone()
	assert.NoError(t, s.alloc("38300000.video-codec", 64*kib))
}

func TestALengthBeyondTheQuotaWrapsNothing(t *testing.T) {
	s := newSite(t)
	for _, length := range []uint64{129 * kib, 1 << 62, 1<<63 + 1, ^uint64(0) - page + 1} {
		assert.ErrorIs(t, s.alloc("linux,cma", length), ErrQuota, "length %#x", length)
		assert.ErrorIs(t, s.alloc("system", length*8|1<<40), backing.ErrNoSpace, "length %#x", length)
	}
	s.untouched()
}

func TestViewsOfAPoolWithoutAHeapShareIt(t *testing.T) {
	s := newSite(t)
	s.live("a", 64*kib)
	assert.ErrorIs(t, s.alloc("b", 4096), backing.ErrNoSpace)
	s.exporter.made[0].gone()
	assert.NoError(t, s.alloc("b", 64*kib))
}

func TestHoldersAreAskedBeforeAnAllocFails(t *testing.T) {
	for name, length := range map[string]uint64{"linux,cma": 128 * kib, "a": 64 * kib} { // a quota, a pool
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.live(name, length)
			assert.Zero(t, s.exporter.sweeps, "nobody is asked while there is room")
			assert.Equal(t, syscall.ENOMEM, Errno(s.alloc(name, length)))
			assert.Equal(t, 1, s.exporter.sweeps)

			s.exporter.onSweep = func() { s.exporter.made[0].gone() }
			assert.NoError(t, s.alloc(name, length))
			assert.Equal(t, []string{events.Alloc, events.AllocFailed, events.Free, events.Alloc}, s.kinds())
		})
	}
}

func TestBuffersAreListedOldestFirstAndOnlyWhileHeld(t *testing.T) {
	s := newSite(t)
	assert.Empty(t, s.Buffers())
	var all []*Buffer
	for range 5 {
		all = append(all, s.live("system", 4096))
	}
	s.exporter.onSweep = func() { s.exporter.made[2].gone() }
	assert.Equal(t, []*Buffer{all[0], all[1], all[3], all[4]}, s.Buffers())
	assert.Nil(t, s.Buffer(sys.FileID{Dev: 7, Ino: 99}))
	assert.Equal(t, all[0], s.Buffer(s.exporter.made[0].id))
	assert.Equal(t, "system", all[0].Node().Name)
	assert.Equal(t, newCaller(nil).id, all[0].Owner)
}

func TestCloseEndsTheAccountAndLeavesTheMemory(t *testing.T) {
	s := newSite(t)
	s.live("system", 4096)
	s.live("linux,cma", 4096)
	s.Close()
	all := s.events()
	require.Len(t, all, 4)
	for _, e := range all[2:] {
		assert.Equal(t, events.Free, e.Event)
		assert.NotEmpty(t, e.Reason)
	}
	assert.Equal(t, syscall.ENOMEM, Errno(s.alloc("system", 4096)))
	for _, e := range s.exporter.made {
		assert.Zero(t, e.discarded, "its holder keeps it")
		e.gone()
	}
	s.Close()
	assert.Equal(t, []string{events.AllocFailed}, s.kinds(), "no second free")
	s.untouched()
}

func TestManyCallersAtOnce(t *testing.T) {
	s := newSite(t, func(c *Config) { c.Exporter = &lockedExporter{} })
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			for j := range 20 {
				c := newCaller(request(uint64(4096*(1+(i+j)%8)), 0, 0, 0))
				if (i+j)%3 == 0 {
					c.install = func() (int, error) { return -1, ErrCallerFiles }
				}
				_ = s.node([]string{"system", "linux,cma"}[i%2]).Ioctl(context.Background(), c, uapi.HeapIoctlAlloc, argument)
			}
		})
	}
	wg.Wait()
	s.untouched()
	live := map[uint64]bool{}
	for _, e := range s.events() {
		switch e.Event {
		case events.Alloc:
			live[e.Buffer] = true
		case events.Free:
			assert.True(t, live[e.Buffer], "free before alloc")
			delete(live, e.Buffer)
		}
	}
	assert.Empty(t, live)
}

// lockedExporter makes files that nobody holds for long: each is gone as soon as it is delivered.
type lockedExporter struct {
	mu   sync.Mutex
	next uint64
}

type shortExport struct {
	fakeExport
}

func (e *shortExport) Delivered() { e.gone() }

func (x *lockedExporter) Export(r ExportRequest) (Export, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.next++
	return &shortExport{fakeExport{id: sys.FileID{Dev: 7, Ino: x.next}, size: r.Size, accMode: r.AccMode, cpu: r.CPU, gone: r.Gone}}, nil
}

func (x *lockedExporter) Sweep() {}

func TestIdentifiersAreNotUsedAgain(t *testing.T) {
	s := newSite(t)
	seen := map[uint64]bool{}
	for i := range 10 {
		b := s.live("system", 4096)
		assert.False(t, seen[b.ID], fmt.Sprint(b.ID))
		seen[b.ID] = true
		s.exporter.made[i].gone()
	}
}
