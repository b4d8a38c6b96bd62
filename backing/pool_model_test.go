package backing

import "math/bits"

// bitmapPool is the reference: the placement rules over a plain bitmap, searched page by page, as the kernel's own code
// does it. It shares nothing with Pool but the rules.
type bitmapPool struct {
	cfg  PoolConfig
	used []bool
}

func newBitmapPool(cfg PoolConfig) *bitmapPool {
	return &bitmapPool{cfg: cfg, used: make([]bool, cfg.Size/cfg.PageSize)}
}

func (b *bitmapPool) basePage() int { return int(b.cfg.Base / b.cfg.PageSize) }

func (b *bitmapPool) isFree(at, n int) bool {
	if at < 0 || at+n > len(b.used) {
		return false
	}
	for i := at; i < at+n; i++ {
		if b.used[i] {
			return false
		}
	}
	return true
}

func (b *bitmapPool) mark(at, n int, used bool) {
	for i := at; i < at+n; i++ {
		b.used[i] = used
	}
}

func (b *bitmapPool) freePages() (total, longest int) {
	run := 0
	for _, u := range b.used {
		if u {
			run = 0
			continue
		}
		total++
		run++
		longest = max(longest, run)
	}
	return total, longest
}

// alloc gives the extents that Pool.Alloc must give, or false.
func (b *bitmapPool) alloc(pages int) ([]Extent, bool) {
	total, _ := b.freePages()
	if pages > total {
		return nil, false
	}
	switch b.cfg.Kind {
	case Scatter:
		return b.allocScatter(pages), true
	case Coherent:
		size := 1
		for size < pages {
			size *= 2
		}
		for at := 0; at+size <= len(b.used); at += size {
			if b.isFree(at, size) {
				b.mark(at, size, true)
				return []Extent{b.extent(at, pages)}, true
			}
		}
		return nil, false
	}
	align := 1
	for align < pages && align < 1<<b.cfg.AlignOrder {
		align *= 2
	}
	for at := range b.used {
		if (b.basePage()+at)%align == 0 && b.isFree(at, pages) {
			b.mark(at, pages, true)
			return []Extent{b.extent(at, pages)}, true
		}
	}
	return nil, false
}

func (b *bitmapPool) allocScatter(pages int) (out []Extent) {
	limit, prevEnd := 256, -1
	for pages > 0 {
		for _, size := range []int{256, 16, 1} {
			if size > limit || size > pages {
				continue
			}
			best, adjacent := -1, -1
			for at := len(b.used) - size; at >= 0 && best < 0; at-- {
				if (b.basePage()+at)%size != 0 || !b.isFree(at, size) {
					continue
				}
				if at == prevEnd {
					adjacent = at
				} else {
					best = at
				}
			}
			if best < 0 {
				best = adjacent
			}
			if best < 0 {
				continue
			}
			b.mark(best, size, true)
			out = append(out, b.extent(best, size))
			limit, prevEnd, pages = size, best+size, pages-size
			break
		}
	}
	return out
}

func (b *bitmapPool) release(extents []Extent) {
	for _, e := range extents {
		n := int(e.Len / b.cfg.PageSize)
		if b.cfg.Kind == Coherent {
			n = 1 << bits.Len(uint(n-1))
		}
		b.mark(int((e.Addr-b.cfg.Base)/b.cfg.PageSize), n, false)
	}
}

func (b *bitmapPool) extent(at, n int) Extent {
	return Extent{Addr: b.cfg.Base + uint64(at)*b.cfg.PageSize, Len: uint64(n) * b.cfg.PageSize}
}
