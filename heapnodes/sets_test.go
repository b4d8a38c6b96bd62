package heapnodes

import (
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/backing"
	"github.com/heapfs/heapfs/devices"
	"github.com/heapfs/heapfs/heapnodes/events"
)

// withSets gives an instance devices that may be in sets.
func withSets(more ...devices.Device) func(*Config) {
	return func(c *Config) {
		c.Platform = devices.Platform{
			Heaps: []devices.Heap{
				{Name: "system", Base: 0x40000000, Size: 1024 * kib, Chunks: []devices.Bytes{1024 * kib, 64 * kib, 4 * kib}},
				{Name: "default_cma_region", Base: 0x50000000, Size: 256 * kib, Quota: 128 * kib},
				{Name: "protected,secure-video", Base: 0x60000000, Size: 64 * kib, Protected: true},
			},
			Devices: append([]devices.Device{
				{Name: "codec", Constraints: devices.Constraints{Contiguous: true, MaxSize: 64 * kib}},
				{Name: "display", Constraints: devices.Constraints{MaxSegments: 3}},
				{Name: "gpu"},
				{Name: "tee", Constraints: devices.Constraints{Protected: devices.ProtectedRequires}},
			}, more...),
		}
	}
}

// nobody must not be asked who it is.
func nobody() Identity { panic("asked") }

func TestASetThatHasNoNodeIsToldWithTheReason(t *testing.T) {
	rows := map[string]string{
		"gpu":                   "1 devices: a set has 2 to 8",
		"+":                     `device "": no such device`,
		"gpu+":                  `device "": no such device`,
		"gpu+nosuch":            `device "nosuch": no such device`,
		"gpu+gpu":               `device "gpu": given twice`,
		"gpu+system":            `device "system": no such device`, // a heap is no device
		"a+b+c+d+e+f+g+h+i":     "9 devices: a set has 2 to 8",
		"tee+gpu":               "no heap serves all; system: tee requires memory without a CPU mapping",
		"tee+gpu+codec+display": "default_cma_region: tee requires memory without a CPU mapping; protected,secure-video: codec refuses",
	}
	for name, reason := range rows {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, withSets())
			n, err := s.Set(name, "fuse", func() Identity { return Identity{PID: 7, TID: 8, UID: 0, Comm: "client"} })
			assert.Nil(t, n)
			require.ErrorIs(t, err, ErrNoSet)
			assert.Equal(t, syscall.ENOENT, Errno(err))
			all := s.events()
			require.Len(t, all, 1)
			e := all[0]
			assert.Equal(t, events.LookupFailed, e.Event)
			assert.Equal(t, []any{name, "fuse", "ENOENT", 7, 8, 0, "client"}, []any{e.Heap, e.Door, e.Errno, e.PID, e.TID, *e.UID, e.Comm})
			assert.Contains(t, e.Reason, reason)
		})
	}
}

func TestASetIsAViewOfTheHeapThatServesAll(t *testing.T) {
	s := newSite(t, withSets())
	n, err := s.Set("gpu+codec", "fuse", nobody)
	require.NoError(t, err)
	again, err := s.Set("codec+gpu", "fuse", nobody)
	require.NoError(t, err)
	assert.Same(t, n, again, "the order is no difference")
	assert.Equal(t, []any{"codec+gpu", "codec+gpu", "cma", "default_cma_region", "", uint64(128 * kib)},
		[]any{n.Name, n.ExpName, n.Pool, n.Heap, n.Device, n.Quota})
	assert.NotContains(t, s.Nodes(), n)
	name, ok := s.CanonicalSet("gpu+codec")
	assert.True(t, ok)
	assert.Equal(t, "codec+gpu", name)
	_, ok = s.CanonicalSet("gpu+codec+")
	assert.False(t, ok)

	other, err := s.Set("gpu+display", "fuse", nobody)
	require.NoError(t, err)
	assert.Equal(t, "ram", other.Pool)
	assert.Empty(t, s.events())

	// The quota is that of the heap, whatever the node.
	s.live("linux,cma", 96*kib)
	require.NoError(t, s.allocOn(n, 32*kib))
	assert.ErrorIs(t, s.allocOn(n, 4*kib), ErrQuota)
	assert.ErrorIs(t, s.alloc("default_cma_region", 4*kib), ErrQuota)
	assert.Equal(t, "codec+gpu", s.Buffers()[1].Node().Name)
	last := s.events()
	assert.Equal(t, "codec+gpu", last[1].Heap)
	for _, e := range s.exporter.made {
		e.gone()
	}
	s.untouched()
}

func TestAnAllocBeyondALimitOfAMemberChangesNothing(t *testing.T) {
	s := newSite(t, withSets())
	fails := func(set string, length uint64, reason string) {
		t.Helper()
		n, err := s.Set(set, "fuse", nobody)
		require.NoError(t, err)
		err = s.allocOn(n, length)
		require.ErrorIs(t, err, devices.ErrLimit)
		assert.Equal(t, syscall.ENOMEM, Errno(err))
		all := s.events()
		require.Len(t, all, 1)
		assert.Equal(t, []any{events.AllocFailed, "ENOMEM", reason}, []any{all[0].Event, all[0].Errno, all[0].Reason})
		s.untouched()
	}
	fails("gpu+codec", 64*kib+1, `device "codec" takes 64KiB at the most, not 68KiB`)
	fails("gpu+display", 256*kib, `device "display" takes 3 segments at the most, not 4`)

	n, err := s.Set("gpu+display", "fuse", nobody)
	require.NoError(t, err)
	assert.NoError(t, s.allocOn(n, 192*kib))
	n, err = s.Set("codec+display", "fuse", nobody)
	require.NoError(t, err)
	assert.NoError(t, s.allocOn(n, 64*kib), "one segment of each of its 16 pages")
}

func TestADevicesOwnNodeHasItsLimits(t *testing.T) {
	s := newSite(t, func(c *Config) {
		c.Nodes[3].Limits = []devices.Limits{{Device: "38300000.video-codec", MaxSize: 4096}}
	})
	assert.ErrorIs(t, s.alloc("38300000.video-codec", 4097), devices.ErrLimit)
	assert.NoError(t, s.alloc("38300000.video-codec", 4096))
	assert.NoError(t, s.alloc("linux,cma", 4097), "the heap's other nodes have none")
}

func TestNeighbouringExtentsAreOneSegment(t *testing.T) {
	s := newSite(t)
	n := s.node("system")
	n.Limits = []devices.Limits{{Device: "d", MaxSegments: 1}}
	require.NoError(t, s.alloc("system", 4096))
	assert.ErrorIs(t, s.alloc("system", 8192), devices.ErrLimit)
	count := uint64(0)
	for range ranges([]backing.Extent{{Addr: 0, Len: 1}, {Addr: 1, Len: 1}}) {
		count++
	}
	assert.EqualValues(t, 2, count)
	assert.EqualValues(t, 1, n.Limits[0].Segments(ranges([]backing.Extent{{Addr: 0, Len: 1}, {Addr: 1, Len: 1}})))
}

func TestFaultsOfAHeapStrikeItsSets(t *testing.T) {
	s := newSite(t, withSets(), withFaults("default_cma_region:alloc=EINTR@2"))
	n, err := s.Set("gpu+codec", "fuse", nobody)
	require.NoError(t, err)
	require.NoError(t, s.allocOn(n, 4096))
	assert.ErrorIs(t, s.alloc("linux,cma", 4096), ErrInterrupted, "counted over all nodes")
}

func TestThereAreOnlySoManySets(t *testing.T) {
	var many []devices.Device
	for i := range MaxSets + 2 {
		many = append(many, devices.Device{Name: fmt.Sprint("d", i)})
	}
	s := newSite(t, withSets(many...))
	for i := range MaxSets {
		_, err := s.Set(fmt.Sprintf("gpu+d%d", i), "fuse", nobody)
		require.NoError(t, err)
	}
	_, err := s.Set(fmt.Sprintf("gpu+d%d", MaxSets), "fuse", func() Identity { return Identity{} })
	assert.ErrorIs(t, err, ErrNoSet)
	assert.ErrorContains(t, err, "128 sets have nodes already")
	_, err = s.Set("d0+gpu", "fuse", nobody)
	assert.NoError(t, err, "those that there are stay")
}

func TestRefusedLookUpsAreTold(t *testing.T) {
	var s sets
	told := func(at time.Duration) (int, bool) { return s.tell(time.Unix(1000, 0).Add(at)) }
	for i := range tellBurst {
		untold, ok := told(time.Duration(i))
		assert.True(t, ok)
		assert.Zero(t, untold)
	}
	for range 5 {
		_, ok := told(999 * time.Millisecond)
		assert.False(t, ok, "too many at once")
	}
	untold, ok := told(1001 * time.Millisecond)
	assert.True(t, ok, "one a second")
	assert.Equal(t, 5, untold)
	_, ok = told(1002 * time.Millisecond)
	assert.False(t, ok)
	for range tellBurst { // after a rest as many as at the start
		untold, ok = told(time.Hour)
		assert.True(t, ok)
	}
	assert.Zero(t, untold)
	_, ok = told(time.Hour)
	assert.False(t, ok)
}

func TestManyLookUpsOfOneSetGiveOneNode(t *testing.T) {
	s := newSite(t, withSets())
	found := make([]*Node, 50)
	var wg sync.WaitGroup
	for i := range found {
		wg.Go(func() {
			found[i], _ = s.Set(strings.Split("gpu+codec codec+gpu", " ")[i%2], "fuse", nobody)
		})
	}
	wg.Wait()
	for _, n := range found {
		require.NotNil(t, n)
		assert.Same(t, found[0], n)
	}
}
