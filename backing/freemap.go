package backing

import "math/bits"

// maxAlignOrder is the largest alignment, in page orders, that a freeMap can be asked for by search with a free length.
// The kernel's CONFIG_CMA_ALIGNMENT ends at the same number.
const maxAlignOrder = 12

// freeMap holds the free runs of a pool, in pages. It is a treap keyed by first page; every node carries what is the
// best run of its subtree, so that a search for the first fit at an alignment is one descent. A pool of any size costs
// one node until something is taken from it. Not safe for concurrent use: the Pool's mutex guards it.
//
// The page numbers are those in which alignment counts: page frame numbers for a CMA area, offsets for a coherent region.
type freeMap struct {
	root   *freeRun
	orders int    // the highest order kept in freeRun.longest
	pages  uint64 // free in all
	prio   uint64 // state of the priority sequence
}

// freeRun is one maximal free run: neighbours in the tree never touch.
type freeRun struct {
	left, right *freeRun
	prio        uint64
	start, n    uint64 // pages

	// Of the subtree: longest[k] is the largest number of pages that can be had from a start aligned to order k;
	// block is the highest order of which a naturally aligned block is free.
	longest [maxAlignOrder + 1]uint64
	block   int
}

func newFreeMap(start, n uint64, orders int) *freeMap {
	m := &freeMap{orders: orders}
	m.put(start, n)
	return m
}

// lowest finds the lowest start, aligned to order, of n free pages. order must not exceed m.orders.
func (m *freeMap) lowest(n uint64, order int) (start uint64, ok bool) {
	t := m.root
	if t == nil || t.longest[order] < n {
		return 0, false
	}
	for {
		if t.left != nil && t.left.longest[order] >= n {
			t = t.left
		} else if t.usable(order) >= n {
			return alignUp(t.start, order), true
		} else {
			t = t.right
		}
	}
}

// lowestBlock finds the lowest naturally aligned free block of 2^order pages, for any order.
func (m *freeMap) lowestBlock(order int) (start uint64, ok bool) {
	t := m.root
	if t == nil || t.block < order {
		return 0, false
	}
	for {
		if t.left != nil && t.left.block >= order {
			t = t.left
		} else if t.ownBlock() >= order {
			return alignUp(t.start, order), true
		} else {
			t = t.right
		}
	}
}

// highestBlock finds the highest naturally aligned free block of 2^order pages, for any order.
func (m *freeMap) highestBlock(order int) (start uint64, ok bool) {
	t := m.root
	if t == nil || t.block < order {
		return 0, false
	}
	for {
		if t.right != nil && t.right.block >= order {
			t = t.right
		} else if t.ownBlock() >= order {
			return (t.start+t.n)>>order<<order - 1<<order, true
		} else {
			t = t.left
		}
	}
}

// largest is the length of the longest free run in pages, whatever its alignment.
func (m *freeMap) largest() uint64 {
	if m.root == nil {
		return 0
	}
	return m.root.longest[0]
}

// take removes n pages at start, which must lie in one free run.
func (m *freeMap) take(start, n uint64) {
	r := m.root.floor(start)
	first, end := r.start, r.start+r.n
	m.pages -= n
	switch {
	case first == start && end == start+n:
		m.root = m.remove(m.root, first)
	case first == start:
		m.resize(m.root, first, start+n, end-start-n)
	default:
		m.resize(m.root, first, first, start-first)
		if end > start+n {
			m.add(start+n, end-start-n)
		}
	}
}

// put returns n pages at start, none of which may be free, and joins them with free neighbours.
func (m *freeMap) put(start, n uint64) {
	m.pages += n
	end := start + n
	below := m.root.floor(start)
	above := m.root.floor(end)
	joinsBelow := below != nil && below.start+below.n == start
	joinsAbove := above != nil && above.start == end
	switch {
	case joinsBelow && joinsAbove:
		first, total := below.start, below.n+n+above.n
		m.root = m.remove(m.root, end)
		m.resize(m.root, first, first, total)
	case joinsBelow:
		m.resize(m.root, below.start, below.start, below.n+n)
	case joinsAbove:
		m.resize(m.root, end, start, n+above.n)
	default:
		m.add(start, n)
	}
}

// each calls f for every free run, lowest first. f must not change the map.
func (m *freeMap) each(f func(start, n uint64)) { m.root.each(f) }

func (t *freeRun) each(f func(start, n uint64)) {
	if t == nil {
		return
	}
	t.left.each(f)
	f(t.start, t.n)
	t.right.each(f)
}

// floor is the run with the highest start that is not above page, or nil.
func (t *freeRun) floor(page uint64) (found *freeRun) {
	for t != nil {
		if t.start <= page {
			found, t = t, t.right
		} else {
			t = t.left
		}
	}
	return found
}

// usable is how many pages of t's own run follow its first page aligned to order.
func (t *freeRun) usable(order int) uint64 {
	aligned, end := alignUp(t.start, order), t.start+t.n
	if aligned >= end {
		return 0
	}
	return end - aligned
}

// ownBlock is the highest order of which t's own run holds a naturally aligned block.
func (t *freeRun) ownBlock() int {
	// 2^k pages always hold an aligned block of order k-1, so this looks at two orders at most.
	order := bits.Len64(t.n) - 1
	for t.usable(order) < 1<<order {
		order--
	}
	return order
}

// pull recomputes what t carries for its subtree from its children and its own run.
func (m *freeMap) pull(t *freeRun) {
	t.block = t.ownBlock()
	for k := 0; k <= m.orders; k++ {
		t.longest[k] = t.usable(k)
	}
	for _, c := range [2]*freeRun{t.left, t.right} {
		if c == nil {
			continue
		}
		t.block = max(t.block, c.block)
		for k := 0; k <= m.orders; k++ {
			t.longest[k] = max(t.longest[k], c.longest[k])
		}
	}
}

// add inserts a run that touches no other.
func (m *freeMap) add(start, n uint64) {
	// The priorities are a fixed sequence: the same calls give the same tree, in every process.
	m.prio++
	m.root = m.insert(m.root, &freeRun{prio: mix64(m.prio), start: start, n: n})
}

func (m *freeMap) insert(t, x *freeRun) *freeRun {
	if t == nil || x.prio > t.prio {
		x.left, x.right = m.split(t, x.start)
		m.pull(x)
		return x
	}
	if x.start < t.start {
		t.left = m.insert(t.left, x)
	} else {
		t.right = m.insert(t.right, x)
	}
	m.pull(t)
	return t
}

// remove takes the run that starts at start out of t.
func (m *freeMap) remove(t *freeRun, start uint64) *freeRun {
	switch {
	case t.start == start:
		return m.merge(t.left, t.right)
	case start < t.start:
		t.left = m.remove(t.left, start)
	default:
		t.right = m.remove(t.right, start)
	}
	m.pull(t)
	return t
}

// resize changes the run that starts at start, in place: its order among its neighbours must stay the same.
func (m *freeMap) resize(t *freeRun, start, newStart, newN uint64) {
	switch {
	case t.start == start:
		t.start, t.n = newStart, newN
	case start < t.start:
		m.resize(t.left, start, newStart, newN)
	default:
		m.resize(t.right, start, newStart, newN)
	}
	m.pull(t)
}

// split divides t into the runs below start and those above it.
func (m *freeMap) split(t *freeRun, start uint64) (below, above *freeRun) {
	if t == nil {
		return nil, nil
	}
	if t.start < start {
		t.right, above = m.split(t.right, start)
		m.pull(t)
		return t, above
	}
	below, t.left = m.split(t.left, start)
	m.pull(t)
	return below, t
}

// merge joins two trees, every run of below being lower than every run of above.
func (m *freeMap) merge(below, above *freeRun) *freeRun {
	switch {
	case below == nil:
		return above
	case above == nil:
		return below
	case below.prio > above.prio:
		below.right = m.merge(below.right, above)
		m.pull(below)
		return below
	default:
		above.left = m.merge(below, above.left)
		m.pull(above)
		return above
	}
}

// alignUp is the first multiple of 2^order that is not below page. Page numbers stay under 2^52 and orders under 52, so
// the sum cannot wrap.
func alignUp(page uint64, order int) uint64 {
	mask := uint64(1)<<order - 1
	return (page + mask) &^ mask
}

// mix64 is the finalizer of splitmix64: a fixed bijection that scatters consecutive numbers.
func mix64(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
