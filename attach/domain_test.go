package attach

import (
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/devices"
)

// pair is two devices behind one IOMMU, and a third one behind another.
func pair(t *testing.T) (a, b, other *Device) {
	t.Helper()
	second := *domainOf(4*kib, gib, gib)
	second.Name = "second"
	s, err := New([]devices.Importer{
		{Name: "a", Domain: domainOf(4*kib, gib, 8*mib)}, {Name: "b", Domain: domainOf(4*kib, gib, 8*mib)}, {Name: "other", Domain: &second},
	})
	require.NoError(t, err)
	require.Len(t, s.Devices(), 3)
	assert.True(t, s.Device("a").Translated())
	return s.Device("a"), s.Device("b"), s.Device("other")
}

func TestABufferHasOnePlaceInADomain(t *testing.T) {
	a, b, other := pair(t)
	first, second := buffer(gib, mib), with(buffer(2*gib, mib), func(b *Buffer) { b.ID = 2 })
	m1, err := a.Map(first, 0)
	require.NoError(t, err)
	m2, err := b.Map(first, 0)
	require.NoError(t, err)
	assert.Equal(t, m1.Addr, m2.Addr)
	m3, err := a.Map(second, 0)
	require.NoError(t, err)
	assert.NotEqual(t, m1.Addr, m3.Addr)
	m4, err := other.Map(second, 0)
	require.NoError(t, err)
	assert.Equal(t, uint64(gib), m4.Addr, "another domain has addresses of its own")

	m1.End()
	assert.Len(t, a.domain.live, 2, "b has it still")
	m2.End()
	m3.End()
	m4.End()
	assert.Empty(t, a.domain.live)
	assert.Empty(t, other.domain.live)
	again, err := a.Map(second, 0)
	require.NoError(t, err)
	assert.Equal(t, uint64(gib), again.Addr)
}

func TestAFullApertureHasRoomAgainWhenSomethingEnds(t *testing.T) {
	a, _, _ := pair(t)
	var all []*Mapping
	for id := uint64(1); ; id++ {
		m, err := a.Map(with(buffer(gib, mib), func(b *Buffer) { b.ID = id }), 0)
		if err != nil {
			break
		}
		all = append(all, m)
	}
	assert.Len(t, all, 8)
	all[3].End()
	m, err := a.Map(with(buffer(gib, mib), func(b *Buffer) { b.ID = 100 }), 0)
	require.NoError(t, err)
	assert.Equal(t, all[3].Addr, m.Addr)
}

func TestMappingsOfManyGoroutinesDoNotOverlap(t *testing.T) {
	a, b, _ := pair(t)
	var mu sync.Mutex
	taken := map[uint64]uint64{} // address → buffer
	var wg sync.WaitGroup
	for g := range uint64(8) {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(g, 0))
			for i := range uint64(200) {
				id := g<<32 | i
				buf := with(buffer(gib, 4*kib*(1+random.Uint64N(8))), func(b *Buffer) { b.ID = id })
				m, err := []*Device{a, b}[i%2].Map(buf, 0)
				if err != nil {
					continue
				}
				mu.Lock()
				for at := m.Addr; at < m.Addr+buf.Len; at += 4 * kib {
					assert.Zero(t, taken[at])
					taken[at] = id + 1
				}
				mu.Unlock()
				mu.Lock()
				for at := m.Addr; at < m.Addr+buf.Len; at += 4 * kib {
					delete(taken, at)
				}
				mu.Unlock()
				m.End()
			}
		})
	}
	wg.Wait()
	assert.Empty(t, a.domain.live)
}
