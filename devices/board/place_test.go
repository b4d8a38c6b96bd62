package board

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPoolsArePlacedWithoutOverlapAndAlwaysAlike(t *testing.T) {
	want := []PoolSpec{
		// The largest gap of low: after the reserved region and the 64 MiB pool.
		{Name: "rest", Kind: KindScatter, Base: 0x48000000, Size: 0x38000000, AlignCap: 4096, PageSize: 4096},
		// 32 MiB before the reserved region are too few.
		{Name: "cma", Kind: KindContiguous, Base: 0x44000000, Size: 64 << 20, AlignCap: 64 << 10, PageSize: 4096},
		{Name: "dma", Kind: KindCoherent, Base: 0x42000000, Size: 32 << 20, AlignCap: 32 << 20, PageSize: 4096},
		{Name: "secure", Kind: KindProtected, Base: 0x100000000, Size: 16 << 20, AlignCap: 4096, PageSize: 2 << 20},
		{Name: "huge", Kind: KindScatter, Base: 0x101000000, Size: 0x3f000000, AlignCap: 4096, PageSize: 2 << 20},
	}
	for range 3 {
		specs, err := parse(t, everything).PoolSpecs()
		require.NoError(t, err)
		assert.Equal(t, want, specs)
	}
}

func TestAPoolIsPlacedAtItsAlignment(t *testing.T) {
	b := parse(t, head+"memory: [{name: m, base: 0x1000, size: 64MiB}]\n"+
		"pools: [{name: a, kind: contiguous, size: 1MiB}, {name: b, kind: scatter}, {name: c, kind: coherent, size: 12KiB}]\n")
	specs, err := b.PoolSpecs()
	require.NoError(t, err)
	assert.Equal(t, []PoolSpec{
		{Name: "a", Kind: KindContiguous, Base: 0x100000, Size: 1 << 20, AlignCap: 1 << 20, PageSize: 4096},
		{Name: "b", Kind: KindScatter, Base: 0x200000, Size: 0x3e01000, AlignCap: 4096, PageSize: 4096},
		{Name: "c", Kind: KindCoherent, Base: 0x2000, Size: 12 << 10, AlignCap: 8 << 10, PageSize: 4096},
	}, specs)
}

func TestTheGenericBoardHasA256MiBContiguousPool(t *testing.T) {
	b, err := Load("generic")
	require.NoError(t, err)
	specs, err := b.PoolSpecs()
	require.NoError(t, err)
	assert.Equal(t, []PoolSpec{
		{Name: "cma", Kind: KindContiguous, Base: 0x40000000, Size: 256 << 20, AlignCap: 1 << 20, PageSize: 4096},
		{Name: "system", Kind: KindScatter, Base: 0x50000000, Size: 0xf0000000, AlignCap: 4096, PageSize: 4096},
	}, specs)
}
