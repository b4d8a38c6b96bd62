package board

import (
	"fmt"
	"slices"
	"sort"

	"github.com/heapfs/heapfs/devices"
)

// PoolSpec is a pool with its place: what an allocator needs to know. All
// numbers are in bytes.
type PoolSpec struct {
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
	// Base is the physical address, a multiple of PageSize.
	Base uint64 `json:"base"`
	// Size is a multiple of PageSize and never zero.
	Size uint64 `json:"size"`
	// AlignCap limits the natural alignment of an extent: a power of two of at
	// least one page.
	AlignCap uint64 `json:"align_cap"`
	// PageSize of the store: 4096 or 2 MiB.
	PageSize uint64 `json:"page_size"`
}

// defaultCMAAlign is CONFIG_CMA_ALIGNMENT 8: 256 pages.
const defaultCMAAlign = 1 << 20

// PoolSpecs gives the pools of a valid board in the order of declaration, each
// with a physical address. Pools with a base keep it; those without are placed
// in the order of declaration at the lowest free address of their region that
// is a multiple of their alignment; those without a size take, last and in the
// order of declaration, the largest free part (the lowest of equals). The same
// board always gives the same places. The error is an ErrorList.
func (b *Board) PoolSpecs() ([]PoolSpec, error) {
	if err := b.Validate(); err != nil {
		return nil, err
	}
	var c checker
	return c.place(b), nil
}

// pools checks each pool alone.
func (c *checker) pools(b *Board) {
	names := unique{c: c, what: "pools"}
	regions := regionsOf(b)
	for i, p := range b.Pools {
		at := fmt.Sprintf("pools[%d]", i)
		names.add(at+".name", p.Name)
		known(c, at+".kind", p.Kind, Kinds())
		if p.Pages != 0 && p.Pages != Pages4K && p.Pages != Pages2M {
			c.fail(at+".pages", "%d bytes are neither 4K nor 2M", uint64(p.Pages))
			continue
		}
		unit := uint64(max(p.Pages, Pages4K))
		c.power(at+".align", p.Align, PageSize)
		if p.Base != nil && uint64(*p.Base)%unit != 0 {
			c.fail(at+".base", "%v is not a multiple of %v", *p.Base, devices.Bytes(unit))
		}
		r := regions.of(b, &p)
		switch {
		case r == nil && p.Region == "":
			c.fail(at, "missing key \"region\": the board has not exactly one memory")
			continue
		case r == nil:
			c.fail(at+".region", "no memory or reserved region is named %s", quote(p.Region))
			continue
		case p.Size == 0 && p.Base != nil:
			c.fail(at, "missing key \"size\": a pool with a base needs one")
			continue
		case p.Size == 0 && p.Kind != KindScatter && !r.reserved:
			c.fail(at, "missing key \"size\": only a scatter pool or a pool of a reserved region takes what is left")
			continue
		case p.Size == 0:
			continue
		}
		if !c.length(at+".size", p.Size, unit) {
			continue
		}
		if uint64(p.Size) > r.size() {
			c.fail(at+".size", "%v is more than the %v of %s", p.Size, devices.Bytes(r.size()), quote(r.name))
			continue
		}
		// Sizes are bounded by the region's, so that the sum cannot wrap.
		if base := p.Base; base != nil && (uint64(*base) < r.base || uint64(*base) > r.end-uint64(p.Size)) {
			c.fail(at+".base", "%v + %v is not inside %s (%#x-%#x)", *base, p.Size, quote(r.name), r.base, r.end-1)
		}
	}
}

// region is a memory or reserved region with what is taken in it.
type region struct {
	place
	reserved bool
	taken    []place // sorted by base
}

func (r *region) size() uint64 { return r.end - r.base }

type regions map[string]*region

func regionsOf(b *Board) regions {
	rs := regions{}
	add := func(name string, base devices.Address, size devices.Bytes, reserved bool) *region {
		r := &region{place: place{"", name, uint64(base), uint64(base) + uint64(size)}, reserved: reserved}
		rs[name] = r
		return r
	}
	for _, m := range b.Memory {
		r := add(m.Name, m.Base, m.Size, false)
		for _, s := range m.Reserved {
			r.take(place{"", s.Name, uint64(s.Base), uint64(s.Base) + uint64(s.Size)})
			add(s.Name, s.Base, s.Size, true)
		}
	}
	return rs
}

// of gives the region of a pool: nil when it does not exist, or is not named
// and the board has not exactly one memory.
func (rs regions) of(b *Board, p *Pool) *region {
	if p.Region == "" && len(b.Memory) == 1 {
		return rs[b.Memory[0].Name]
	}
	return rs[p.Region]
}

func (r *region) take(p place) {
	i := sort.Search(len(r.taken), func(i int) bool { return r.taken[i].base > p.base })
	r.taken = slices.Insert(r.taken, i, p)
}

// gaps calls yield with each free range from the lowest.
func (r *region) gaps(yield func(base, end uint64) bool) {
	at := r.base
	for _, t := range r.taken {
		if t.base > at && !yield(at, t.base) {
			return
		}
		at = max(at, t.end)
	}
	if at < r.end {
		yield(at, r.end)
	}
}

// place finds an address for every pool and reports those that have none. Its
// result counts only when nothing was reported.
func (c *checker) place(b *Board) []PoolSpec {
	rs := regionsOf(b)
	specs := make([]PoolSpec, len(b.Pools))
	fixed := func(p *Pool) bool { return p.Base != nil }
	sized := func(p *Pool) bool { return p.Base == nil && p.Size != 0 }
	rest := func(p *Pool) bool { return p.Size == 0 }
	for _, turn := range []func(*Pool) bool{fixed, sized, rest} {
		for i := range b.Pools {
			p := &b.Pools[i]
			r := rs.of(b, p)
			if !turn(p) || r == nil {
				continue
			}
			at := fmt.Sprintf("pools[%d]", i)
			base, size, ok := c.find(at, p, r)
			if !ok {
				continue
			}
			r.take(place{at, p.Name, base, base + size})
			specs[i] = PoolSpec{
				Name: p.Name, Kind: p.Kind, Base: base, Size: size,
				AlignCap: p.alignCap(size), PageSize: uint64(max(p.Pages, Pages4K)),
			}
		}
	}
	return specs
}

func (c *checker) find(at string, p *Pool, r *region) (base, size uint64, ok bool) {
	size = uint64(p.Size)
	unit := uint64(max(p.Pages, Pages4K))
	align := max(p.alignCap(size), unit)
	switch {
	case p.Base != nil:
		base = uint64(*p.Base)
		for _, t := range r.taken {
			if base < t.end && t.base < base+size {
				c.fail(at+".base", "%#x-%#x overlaps %s (%#x-%#x)", base, base+size-1, quote(t.name), t.base, t.end-1)
				return 0, 0, false
			}
		}
		return base, size, true
	case size != 0:
		for lo, hi := range r.gaps {
			lo = roundUp(lo, align)
			if lo < hi && hi-lo >= size {
				return lo, size, true
			}
		}
		c.fail(at+".size", "%v do not fit what is free of %s", p.Size, quote(r.name))
		return 0, 0, false
	default:
		for lo, hi := range r.gaps {
			lo, hi = roundUp(lo, unit), hi/unit*unit
			if lo < hi && hi-lo > size {
				base, size = lo, hi-lo
			}
		}
		if size == 0 {
			c.fail(at, "nothing is free of %s: give a size to the pools before", quote(r.name))
		}
		return base, size, size != 0
	}
}

func roundUp(n, unit uint64) uint64 { return (n + unit - 1) / unit * unit }

// alignCap gives Align or its default for a pool of size bytes.
func (p *Pool) alignCap(size uint64) uint64 {
	switch {
	case p.Align != 0:
		return uint64(p.Align)
	case p.Kind == KindContiguous:
		return defaultCMAAlign
	case p.Kind == KindCoherent:
		// dma_alloc_from_dev_coherent aligns to the order of the buffer: the
		// largest that fits the pool.
		limit := uint64(PageSize)
		for limit*2 <= size {
			limit *= 2
		}
		return limit
	default:
		return PageSize
	}
}
