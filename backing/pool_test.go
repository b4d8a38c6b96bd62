package backing

import (
	"math"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	page = uint64(4096)
	mib  = uint64(1 << 20)
	gib  = uint64(1 << 30)
	tib  = uint64(1 << 40)
)

func newPool(t testing.TB, cfg PoolConfig) *Pool {
	t.Helper()
	if cfg.Name == "" {
		cfg.Name = "pool"
	}
	p, err := NewPool(cfg)
	require.NoError(t, err)
	return p
}

func alloc(t testing.TB, p *Pool, n uint64) []Extent {
	t.Helper()
	e, err := p.Alloc(n)
	require.NoError(t, err)
	return e
}

func requireNoSpace(t testing.TB, err error) *NoSpaceError {
	t.Helper()
	require.ErrorIs(t, err, ErrNoSpace)
	var ns *NoSpaceError
	require.ErrorAs(t, err, &ns)
	return ns
}

func TestNewPoolRefusesWhatIsNoPool(t *testing.T) {
	good := PoolConfig{Name: "p", Kind: Contiguous, Base: 0x4000_0000, Size: mib}
	cases := []struct {
		name   string
		change func(*PoolConfig)
		says   string
	}{
		{"no name", func(c *PoolConfig) { c.Name = "" }, "no name"},
		{"no kind", func(c *PoolConfig) { c.Kind = "" }, "kind"},
		{"unknown kind", func(c *PoolConfig) { c.Kind = "carveout" }, `"carveout"`},
		{"odd base", func(c *PoolConfig) { c.Base = 0x4000_0800 }, "base"},
		{"no size", func(c *PoolConfig) { c.Size = 0 }, "size"},
		{"odd size", func(c *PoolConfig) { c.Size = 5000 }, "size 5000"},
		{"wraps", func(c *PoolConfig) { c.Base, c.Size = math.MaxUint64-page+1, page }, "address space"},
		{"small pages", func(c *PoolConfig) { c.PageSize = 2048 }, "page size 2048"},
		{"crooked pages", func(c *PoolConfig) { c.PageSize = 12288 }, "page size 12288"},
		{"align below the range", func(c *PoolConfig) { c.AlignOrder = -2 }, "align order -2"},
		{"align above the range", func(c *PoolConfig) { c.AlignOrder = 13 }, "align order 13"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cfg := good
			c.change(&cfg)
			_, err := NewPool(cfg)
			require.ErrorIs(t, err, ErrBadPool)
			assert.ErrorContains(t, err, c.says)
		})
	}
	p, err := NewPool(good)
	require.NoError(t, err)
	assert.Equal(t, DefaultAlignOrder, p.Config().AlignOrder)
	assert.Equal(t, uint64(DefaultPageSize), p.Config().PageSize)
	assert.Equal(t, Stats{Size: mib, Free: mib, LargestRun: mib}, p.Stats())
}

func TestAllocRefusesBadLengthsAndNeverWraps(t *testing.T) {
	for _, kind := range []Kind{Contiguous, Scatter, Coherent, Protected} {
		p := newPool(t, PoolConfig{Kind: kind, Base: 0x8000_0000, Size: mib})
		for _, n := range []uint64{0, 1, page - 1, page + 1, mib - 1} {
			_, err := p.Alloc(n)
			require.ErrorIs(t, err, ErrBadLength, "%s %d", kind, n)
		}
		for _, n := range []uint64{
			mib + 1, mib + page, 1 << 52, 1 << 63, 1<<63 + page, math.MaxUint64 - page + 1, math.MaxUint64 - page, math.MaxUint64,
		} {
			_, err := p.Alloc(n)
			ns := requireNoSpace(t, err)
			assert.Equal(t, n, ns.Want)
			assert.Equal(t, mib, ns.Free)
			assert.Equal(t, mib, ns.LargestRun)
		}
		assert.Equal(t, Stats{Size: mib, Free: mib, LargestRun: mib}, p.Stats())
	}
}

func TestContiguousAlignsThePhysicalAddress(t *testing.T) {
	cases := []struct {
		name  string
		base  uint64
		order int
		n     uint64
		want  uint64
	}{
		{"one page", 0x4000_1000, 0, page, 0x4000_1000},
		{"three pages as four", 0x4000_1000, 0, 3 * page, 0x4000_4000},
		{"sixteen pages", 0x4000_1000, 0, 16 * page, 0x4001_0000},
		{"1 MiB", 0x4000_1000, 0, mib, 0x4010_0000},
		{"4 MiB is capped at 1 MiB", 0x4030_0000, 0, 4 * mib, 0x4030_0000},
		{"a cap of 16 pages", 0x4001_0000, 4, mib, 0x4001_0000},
		{"the largest cap", 0x4010_0000, 12, 16 * mib, 0x4100_0000},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := newPool(t, PoolConfig{Kind: Contiguous, Base: c.base, Size: 64 * mib, AlignOrder: c.order})
			assert.Equal(t, []Extent{{Addr: c.want, Len: c.n}}, alloc(t, p, c.n))
		})
	}
}

func TestContiguousFailsByFragmentationThoughTheTotalWouldDo(t *testing.T) {
	p := newPool(t, PoolConfig{Kind: Contiguous, Base: 0x4000_0000, Size: mib})
	var all [][]Extent
	for range 256 {
		all = append(all, alloc(t, p, page))
	}
	_, err := p.Alloc(page)
	assert.Zero(t, requireNoSpace(t, err).Free)
	for i := 0; i < 256; i += 2 {
		require.NoError(t, p.Free(all[i]))
	}
	_, err = p.Alloc(2 * page)
	ns := requireNoSpace(t, err)
	assert.Equal(t, mib/2, ns.Free)
	assert.Equal(t, page, ns.LargestRun)
	assert.EqualError(t, err, `pool "pool": alloc 8192 bytes (reserves 8192, aligned to 8192): `+
		`no space in the pool: 524288 bytes free, longest run 4096`)
	assert.Equal(t, all[0], alloc(t, p, page), "lowest address first")
}

func TestContiguousFailsByAlignmentAlone(t *testing.T) {
	p := newPool(t, PoolConfig{Kind: Contiguous, Base: 0x4000_1000, Size: mib})
	_, err := p.Alloc(mib)
	ns := requireNoSpace(t, err)
	assert.Equal(t, mib, ns.LargestRun, "the run is long enough but starts a page late")
	assert.Equal(t, mib, ns.Align)
}

func TestScatterIsGreedyAndNeverLooksContiguous(t *testing.T) {
	const base = uint64(0x1_0000_0000)
	p := newPool(t, PoolConfig{Kind: Scatter, Base: base, Size: 64 * mib})
	end := base + 64*mib
	got := alloc(t, p, 2*mib+64<<10+2*page)
	assert.Equal(t, []Extent{
		{end - mib, mib}, {end - 2*mib, mib}, {end - 2*mib - 64<<10, 64 << 10},
		{end - 2*mib - 64<<10 - page, page}, {end - 2*mib - 64<<10 - 2*page, page},
	}, got)
	for _, n := range []uint64{page, 64 << 10, mib} {
		assert.Len(t, alloc(t, p, n), 1, "a buffer of one chunk is one extent")
	}
}

func TestScatterAvoidsAPlaceRightAfterTheLastChunk(t *testing.T) {
	// 17 pages free at the top, the lower 16 of them a chunk: the page above it would continue the buffer.
	cfg := PoolConfig{Kind: Scatter, Base: 0x1_0000_0000, Size: 33 * page}
	p := newPool(t, cfg)
	got := alloc(t, p, 17*page)
	assert.Equal(t, []Extent{{cfg.Base + 16*page, 16 * page}, {cfg.Base + 15*page, page}}, got)

	cfg.Size = 17 * page
	p = newPool(t, cfg)
	got = alloc(t, p, 17*page)
	assert.Equal(t, []Extent{{cfg.Base, 16 * page}, {cfg.Base + 16*page, page}}, got, "no other place is left")
}

func TestScatterFailsOnlyWhenTheTotalIsShort(t *testing.T) {
	p := newPool(t, PoolConfig{Kind: Scatter, Base: 0x1_0000_0000, Size: 4 * mib})
	var all []Extent
	for range 1024 {
		all = append(all, alloc(t, p, page)...)
	}
	for i := 0; i < len(all); i += 2 {
		require.NoError(t, p.Free(all[i:i+1]))
	}
	before := p.Stats()
	_, err := p.Alloc(2*mib + page)
	assert.Equal(t, 2*mib, requireNoSpace(t, err).Free)
	assert.Equal(t, before, p.Stats())
	got := alloc(t, p, 2*mib)
	assert.Len(t, got, 512)
	assert.Zero(t, p.Stats().Free)
	require.NoError(t, p.Free(got))
	assert.Equal(t, before, p.Stats())
}

func TestCoherentReservesAPowerOfTwoFromTheStartOfItsRegion(t *testing.T) {
	const base = uint64(0x4000_1000) // aligned to one page only: the offsets count, not the addresses
	p := newPool(t, PoolConfig{Kind: Coherent, Base: base, Size: 2 * mib})
	first := alloc(t, p, 150*page)
	assert.Equal(t, []Extent{{base, 150 * page}}, first)
	assert.Equal(t, Stats{Size: 2 * mib, Used: mib, Free: mib, LargestRun: mib, Extents: 1}, p.Stats())
	assert.Equal(t, []Extent{{base + mib, 3 * page}}, alloc(t, p, 3*page))
	_, err := p.Alloc(130 * page)
	ns := requireNoSpace(t, err)
	assert.Equal(t, mib, ns.Reserve)
	assert.Equal(t, 252*page, ns.Free)
	require.NoError(t, p.Free(first))
	assert.Equal(t, first, alloc(t, p, 150*page))
}

func TestCoherentRegionThatIsNoPowerOfTwo(t *testing.T) {
	p := newPool(t, PoolConfig{Kind: Coherent, Base: 0, Size: 3 * mib})
	_, err := p.Alloc(2*mib + page)
	requireNoSpace(t, err) // 4 MiB would be reserved
	assert.Equal(t, []Extent{{0, 2 * mib}}, alloc(t, p, 2*mib))
	_, err = p.Alloc(2 * mib)
	requireNoSpace(t, err)
	assert.Equal(t, []Extent{{2 * mib, mib}}, alloc(t, p, mib))
}

func TestFreeRefusesWhatIsNotLiveAndChangesNothing(t *testing.T) {
	for _, kind := range []Kind{Contiguous, Scatter, Coherent, Protected} {
		t.Run(string(kind), func(t *testing.T) {
			p := newPool(t, PoolConfig{Kind: kind, Base: 0x4000_0000, Size: 16 * mib})
			gone := alloc(t, p, 4*page)
			keep := alloc(t, p, mib)
			require.NoError(t, p.Free(gone))
			before := p.Stats()
			e := keep[0]
			cases := map[string][]Extent{
				"double free":          gone,
				"twice in one call":    {e, e},
				"foreign":              {e, {Addr: 0x1000, Len: page}},
				"below the pool":       {{Addr: 0, Len: page}},
				"end of address space": {{Addr: math.MaxUint64 - page + 1, Len: page}},
				"shorter":              {{Addr: e.Addr, Len: e.Len - page}},
				"longer":               {{Addr: e.Addr, Len: e.Len + page}},
				"inside":               {{Addr: e.Addr + page, Len: e.Len - page}},
				"not on a page":        {{Addr: e.Addr + 1, Len: e.Len}},
				"empty":                {{Addr: e.Addr}},
			}
			for name, extents := range cases {
				require.ErrorIs(t, p.Free(extents), ErrNotLive, name)
				require.Equal(t, before, p.Stats(), name)
			}
			require.NoError(t, p.Free(nil))
			require.NoError(t, p.Free(keep))
			assert.Equal(t, Stats{Size: 16 * mib, Free: 16 * mib, LargestRun: 16 * mib}, p.Stats())
		})
	}
}

func TestHugePoolsCostNothingUpFront(t *testing.T) {
	for _, kind := range []Kind{Contiguous, Scatter, Coherent} {
		p := newPool(t, PoolConfig{Kind: kind, Base: 1 << 62, Size: 1 << 62})
		a := alloc(t, p, tib/256)
		require.NoError(t, p.Free(a))
		require.Equal(t, uint64(1<<62), p.Stats().LargestRun)
	}
	p := newPool(t, PoolConfig{Kind: Scatter, Base: 4 * gib, Size: tib})
	got := alloc(t, p, 4*gib)
	assert.Len(t, got, 4096)
	for i := 1; i < len(got); i++ {
		require.NotEqual(t, got[i-1].End(), got[i].Addr)
	}
	require.NoError(t, p.Free(got))
}

func TestOrdersCountInThePoolsOwnPages(t *testing.T) {
	p := newPool(t, PoolConfig{Kind: Scatter, Base: 0, Size: 64 * mib, PageSize: 16384})
	_, err := p.Alloc(page)
	require.ErrorIs(t, err, ErrBadLength)
	got := alloc(t, p, 4*mib+16384)
	assert.Equal(t, []Extent{{60 * mib, 4 * mib}, {60*mib - 16384, 16384}}, got)
}

func TestPoolIsSafeForConcurrentUse(t *testing.T) {
	for _, kind := range []Kind{Contiguous, Scatter, Coherent} {
		p := newPool(t, PoolConfig{Kind: kind, Base: 0x4000_0000, Size: 8 * mib})
		var wg sync.WaitGroup
		for g := range uint64(8) {
			wg.Go(func() {
				for i := range uint64(200) {
					e, err := p.Alloc((1 + (g*31+i*7)%300) * page)
					if err != nil {
						assert.ErrorIs(t, err, ErrNoSpace)
						continue
					}
					p.Stats()
					assert.NoError(t, p.Free(e))
				}
			})
		}
		wg.Wait()
		assert.Equal(t, Stats{Size: 8 * mib, Free: 8 * mib, LargestRun: 8 * mib}, p.Stats())
	}
}

func TestExtentPrintsAsARange(t *testing.T) {
	assert.Equal(t, "[0x1000-0x2fff]", Extent{0x1000, 0x2000}.String())
	assert.Equal(t, "[0x1000-)", Extent{Addr: 0x1000}.String())
}
