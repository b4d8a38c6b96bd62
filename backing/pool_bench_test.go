package backing

import (
	"fmt"
	"testing"
)

// BenchmarkAllocFree takes and returns one buffer in a pool with so many live extents, every second page between them
// free. ns/op must grow as the logarithm of their number.
func BenchmarkAllocFree(b *testing.B) {
	cases := []struct {
		kind  Kind
		pages uint64
	}{{Contiguous, 1}, {Contiguous, 64}, {Scatter, 1}, {Scatter, 64}, {Coherent, 1}, {Coherent, 64}}
	for _, c := range cases {
		for _, live := range []uint64{10, 1000, 100000} {
			b.Run(fmt.Sprintf("%s/pages=%d/live=%d", c.kind, c.pages, live), func(b *testing.B) {
				p := newPool(b, PoolConfig{Kind: c.kind, Base: 4 * gib, Size: 4 * gib})
				var all []Extent
				for range 2 * live {
					all = append(all, alloc(b, p, page)...)
				}
				for i := uint64(0); i < 2*live; i += 2 {
					if err := p.Free(all[i : i+1]); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportAllocs()
				for b.Loop() {
					e, err := p.Alloc(c.pages * page)
					if err != nil {
						b.Fatal(err)
					}
					if err := p.Free(e); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
