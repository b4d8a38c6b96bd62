package backing

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// twin drives a Pool and the reference together and holds every answer of the one against the other's.
type twin struct {
	t    testing.TB
	pool *Pool
	ref  *bitmapPool
	live [][]Extent
}

func newTwin(t testing.TB, cfg PoolConfig) *twin {
	p := newPool(t, cfg)
	return &twin{t: t, pool: p, ref: newBitmapPool(p.Config())}
}

func (w *twin) alloc(pages int) {
	got, err := w.pool.Alloc(uint64(pages) * page)
	want, ok := w.ref.alloc(pages)
	if !ok {
		require.ErrorIs(w.t, err, ErrNoSpace)
		return
	}
	require.NoError(w.t, err)
	require.Equal(w.t, want, got)
	w.live = append(w.live, got)
}

func (w *twin) free(i int) {
	last := len(w.live) - 1
	e := w.live[i]
	w.live[i] = w.live[last]
	w.live = w.live[:last]
	require.NoError(w.t, w.pool.Free(e))
	require.ErrorIs(w.t, w.pool.Free(e), ErrNotLive)
	w.ref.release(e)
}

func (w *twin) check() {
	total, longest := w.ref.freePages()
	extents := 0
	for _, e := range w.live {
		extents += len(e)
	}
	s := w.pool.Stats()
	require.Equal(w.t, uint64(total)*page, s.Free)
	require.Equal(w.t, uint64(longest)*page, s.LargestRun)
	require.Equal(w.t, extents, s.Extents)
	require.Equal(w.t, s.Size, s.Used+s.Withheld+s.Free)
	checkFreeMap(w.t, w.pool.free)
}

func TestPoolPlacesAsTheBitmapModelDoes(t *testing.T) {
	configs := []PoolConfig{
		{Kind: Contiguous, Base: 0x4000_0000, Size: 1500 * page},
		{Kind: Contiguous, Base: 0x4000_5000, Size: 1237 * page, AlignOrder: 4},
		{Kind: Contiguous, Base: 0x40ff_f000, Size: 3001 * page, AlignOrder: 12},
		{Kind: Protected, Base: 0x7000, Size: 700 * page, AlignOrder: 1},
		{Kind: Scatter, Base: 0x1_0000_0000, Size: 2048 * page},
		{Kind: Scatter, Base: 0x1_0000_3000, Size: 1777 * page},
		{Kind: Scatter, Base: 0, Size: 300 * page},
		{Kind: Coherent, Base: 0x5000_0000, Size: 1024 * page},
		{Kind: Coherent, Base: 0x5000_3000, Size: 1733 * page},
	}
	for _, cfg := range configs {
		for seed := range uint64(4) {
			t.Run(fmt.Sprintf("%s at %#x seed %d", cfg.Kind, cfg.Base, seed), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, cfg.Base))
				w := newTwin(t, cfg)
				largest := int(cfg.Size / page / 8)
				for step := range 600 {
					// Fill for a while, drain for a while: both a full and an airy pool are met.
					filling := step/100%2 == 0
					if len(w.live) == 0 || rng.IntN(10) < 3 == !filling {
						w.alloc(1 + rng.IntN(1+rng.IntN(largest)))
					} else {
						w.free(rng.IntN(len(w.live)))
					}
					w.check()
				}
				for len(w.live) > 0 {
					w.free(rng.IntN(len(w.live)))
				}
				w.check()
				require.Equal(t, cfg.Size, w.pool.Stats().LargestRun)
			})
		}
	}
}

// FuzzPoolOperations reads its input as a pool and a sequence of calls: two bytes each, the first bit saying which.
func FuzzPoolOperations(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 17, 0, 5, 128, 0, 0, 1})
	f.Add([]byte{1, 3, 255, 1, 16, 1, 0, 0, 17, 128, 1, 128, 0, 0, 200})
	f.Add([]byte{2, 1, 77, 0, 3, 0, 100, 128, 0, 1, 0})
	f.Add([]byte{1, 0, 17, 0, 16, 0, 1, 0, 1})
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) < 3 {
			return
		}
		kind := []Kind{Contiguous, Scatter, Coherent, Protected}[in[0]%4]
		w := newTwin(t, PoolConfig{
			Kind: kind, AlignOrder: int(in[0]/4) % 13,
			Base: uint64(in[1]) * page, Size: (1 + 3*uint64(in[2])) * page,
		})
		for in = in[3:]; len(in) >= 2; in = in[2:] {
			arg := int(in[0]&0x7f)<<8 | int(in[1])
			if in[0]&0x80 == 0 {
				w.alloc(1 + arg%1024)
			} else if len(w.live) > 0 {
				w.free(arg % len(w.live))
			}
			w.check()
		}
	})
}
