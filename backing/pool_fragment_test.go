package backing

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFragmentMakesTheHistoricCase(t *testing.T) {
	// A CMA area of 4096 pages, 1540 of them free, in which 151 in a row are not to be had.
	for seed := range uint64(20) {
		p := newPool(t, PoolConfig{Kind: Contiguous, Base: 0x4000_0000, Size: 4096 * page})
		withheld := p.Fragment(seed, 0, 1540*page)
		require.Equal(t, (4096-1540)*page, withheld)
		_, err := p.Alloc(151 * page)
		ns := requireNoSpace(t, err)
		assert.Equal(t, 1540*page, ns.Free)
		assert.LessOrEqual(t, ns.LargestRun, 150*page)
		alloc(t, p, 32*page)
		checkFreeMap(t, p.free)
	}
}

func TestFragmentKeepsItsPromises(t *testing.T) {
	for _, kind := range []Kind{Contiguous, Scatter, Coherent} {
		for _, maxRun := range []uint64{0, 1, page, 2 * page, 7*page + 1, 150 * page, 9000 * page} {
			for _, keep := range []uint64{0, 1, page, 100 * page, 2500 * page, 4900 * page, 1 << 40} {
				t.Run(fmt.Sprintf("%s maxRun %d keep %d", kind, maxRun, keep), func(t *testing.T) {
					p := newPool(t, PoolConfig{Kind: kind, Base: 0x4000_3000, Size: 5003 * page})
					held := alloc(t, p, 64*page)
					before := p.Stats()
					withheld := p.Fragment(42, maxRun, keep)
					s := p.Stats()
					checkFreeMap(t, p.free)

					longest := max(maxRun/page, 1)
					if maxRun == 0 {
						longest = 150
					}
					assert.Equal(t, withheld, s.Withheld)
					assert.Equal(t, before.Free-withheld, s.Free)
					assert.Equal(t, before.Used, s.Used)
					assert.LessOrEqual(t, s.LargestRun, longest*page)

					half := (longest + 1) / 2
					single := before.Free / page * half / (half + 1) * page
					if keep == 0 || keep > before.Free {
						assert.GreaterOrEqual(t, s.Free, single)
					} else {
						assert.LessOrEqual(t, s.Free, keep)
						if keep <= single {
							assert.Equal(t, keep/page*page, s.Free, "exactly keep")
						}
					}
					require.NoError(t, p.Free(held), "live buffers are not touched")
				})
			}
		}
	}
}

func TestFragmentIsDeterministic(t *testing.T) {
	runs := func(seed uint64) (out []pageRun) {
		p := newPool(t, PoolConfig{Kind: Contiguous, Base: 0x4000_0000, Size: 256 * mib})
		p.Fragment(seed, 0, 0)
		p.free.each(func(start, n uint64) { out = append(out, pageRun{start, n}) })
		return out
	}
	assert.Equal(t, runs(7), runs(7))
	assert.NotEqual(t, runs(7), runs(8))
	assert.Equal(t, pageRun{0x40000, 85}, runs(7)[0], "a seed means the same with every build")
}

func TestFragmentedPoolNeverGrowsALongRunAgain(t *testing.T) {
	p := newPool(t, PoolConfig{Kind: Contiguous, Base: 0x4000_0000, Size: 16 * mib})
	p.Fragment(1, 64*page, 0)
	free := p.Stats()
	var all []Extent
	for {
		e, err := p.Alloc(page)
		if err != nil {
			break
		}
		all = append(all, e...)
	}
	assert.Zero(t, p.Stats().Free)
	require.NoError(t, p.Free(all))
	assert.Equal(t, free, p.Stats())
	assert.Zero(t, p.Fragment(2, 64*page, 0), "nothing is left to do")
}

func TestFragmentOfAScatterPoolLeavesNoLargeChunks(t *testing.T) {
	p := newPool(t, PoolConfig{Kind: Scatter, Base: 0x1_0000_0000, Size: 64 * mib})
	p.Fragment(3, 0, 0)
	for _, e := range alloc(t, p, 8*mib) {
		require.LessOrEqual(t, e.Len, uint64(64<<10))
	}
}

func TestFragmentOfAHugePoolIsBounded(t *testing.T) {
	p := newPool(t, PoolConfig{Kind: Contiguous, Base: 4 * gib, Size: 4 * tib})
	p.Fragment(3, 0, 0)
	runs := 0
	p.free.each(func(uint64, uint64) { runs++ })
	assert.Less(t, runs, 2*fragmentPieces+2)
	assert.Greater(t, runs, fragmentPieces/2)
}
