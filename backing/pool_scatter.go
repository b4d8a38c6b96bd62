package backing

// scatterOrders are the chunks of the system heap, largest first: 1 MiB, 64 KiB and 4 KiB with 4 KiB pages
// (system_heap.c, orders[]).
var scatterOrders = [...]int{8, 4, 0}

// placeScatter builds a buffer of chunks as system_heap_allocate does: the largest order that still fits into what
// remains and is to be had, and never again a larger one than the chunk before. A chunk is an extent of its own.
//
// The kernel's chunks lie wherever the page allocator finds them. Here they go from the top downwards, and no chunk
// starts where the one before ends unless nothing else is left: an importer that joins neighbours must not find a
// scattered buffer contiguous by luck.
func (p *Pool) placeScatter(pages uint64) ([]Extent, error) {
	var out []Extent
	remaining, limit := pages, scatterOrders[0]
	prevEnd := uint64(0) // no chunk starts at the page after none; page 0 only as the last choice, which is no loss
	for remaining > 0 {
		start, order, ok := p.nextChunk(remaining, limit, prevEnd)
		if !ok {
			// Alloc saw enough free pages and a page is always a chunk, so this is not reached; if it ever is, the
			// caller gets its error and the pool its pages.
			for _, e := range out {
				delete(p.live, e.Addr>>p.shift)
				p.free.put(e.Addr>>p.shift, e.Len>>p.shift)
			}
			return nil, p.noSpace(pages<<p.shift, pages<<p.shift, 0)
		}
		size := uint64(1) << order
		out = append(out, p.claim(start, size))
		remaining -= size
		limit, prevEnd = order, start+size
	}
	return out, nil
}

// nextChunk mirrors alloc_largest_available, with the place chosen as placeScatter describes.
func (p *Pool) nextChunk(remaining uint64, limit int, prevEnd uint64) (start uint64, order int, ok bool) {
	for _, order := range scatterOrders {
		if order > limit || remaining < 1<<order {
			continue
		}
		start, ok := p.free.highestBlock(order)
		if !ok {
			continue
		}
		if start == prevEnd {
			start = p.elsewhere(start, order)
		}
		return start, order, true
	}
	return 0, 0, false
}

// elsewhere is the highest free block of the order other than the one at start, or start when there is none.
func (p *Pool) elsewhere(start uint64, order int) uint64 {
	p.free.take(start, 1<<order)
	other, ok := p.free.highestBlock(order)
	p.free.put(start, 1<<order)
	if !ok {
		return start
	}
	return other
}
