package dtb

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

const (
	pageSize   = 4096
	maxAddress = 1 << 52 // what a board may have

	// cmaAlign is what the kernel aligns dynamic CMA regions to at least: a page block (CMA_MIN_ALIGNMENT_BYTES), 2 MiB with 4 KiB
	// pages.
	cmaAlign = 2 << 20

	// low is the end of the addresses that a device with a 32-bit mask reaches. A dynamic region that may lie anywhere is put below
	// it where there is room.
	low = 4 << 30
)

// carving says what becomes of a reserved region.
type carving int

const (
	keptOut  carving = iota // nobody's but the firmware's or a driver's
	cma                     // a CMA area: rmem_cma_setup in kernel/dma/contiguous.c
	coherent                // a pool of the devices that name it: rmem_dma_setup in kernel/dma/coherent.c
)

// span is a named range of physical memory, end exclusive.
type span struct {
	name      string
	base, end uint64
}

func (s span) size() uint64 { return s.end - s.base }

// carved is a region of /reserved-memory that becomes a pool.
type carved struct {
	span
	node      *Node
	as        carving
	isDefault bool // linux,cma-default
}

// memory is the physical memory of a tree: the banks, what is set aside in them, and the regions of that which become pools.
type memory struct {
	banks   []span // sorted, apart
	taken   []span // sorted, apart, each inside one bank
	regions []carved
	assumed bool // the tree has no memory, or none with a size
	notes   []string
	names   map[string]int // of banks and regions → the next number to tell another one by
}

// memory reads /memory and /reserved-memory. given replaces the tree's banks.
func (t *Tree) memory(given []Range) *memory {
	m := &memory{}
	m.addBanks(t, given)
	var dynamic []*Node
	if reserved := t.Root.child("reserved-memory"); reserved != nil {
		// Regions that become pools come first: where two overlap, the pool is kept whole.
		for _, pools := range []bool{true, false} {
			for _, n := range reserved.Children {
				if (carvingOf(n) != keptOut) != pools || !n.Enabled() {
					continue
				}
				regs := n.regs("reg")
				if len(regs) == 0 && n.Has("size") {
					dynamic = append(dynamic, n)
				}
				for i, r := range regs {
					m.reserve(n, r, pools && i == 0)
				}
			}
		}
	}
	for _, r := range t.Reserved {
		m.keepOut(fmt.Sprintf("memreserve@%x", r.Base), r)
	}
	// Regions without an address are placed last (fdt_init_reserved_mem), those with less freedom first.
	sort.SliceStable(dynamic, func(i, j int) bool { return dynamic[i].Has("alloc-ranges") && !dynamic[j].Has("alloc-ranges") })
	for _, n := range dynamic {
		m.allocate(n)
	}
	sort.SliceStable(m.regions, func(i, j int) bool { return m.regions[i].base < m.regions[j].base })
	return m
}

// carvingOf reads what a region is for. A pool is either reusable or not mapped, never both.
func carvingOf(n *Node) carving {
	switch {
	case !slices.Contains(n.Compatible(), "shared-dma-pool"):
		return keptOut
	case n.Has("reusable") && !n.Has("no-map"):
		return cma
	case n.Has("reusable"):
		return keptOut
	default:
		return coherent
	}
}

func (m *memory) addBanks(t *Tree, given []Range) {
	ranges := given
	start, known := uint64(0), false
	for _, n := range t.Root.Children {
		if v, _ := n.Value("device_type"); text(v) != "memory" || !n.Enabled() || len(given) > 0 {
			continue
		}
		regs := n.regs("linux,usable-memory")
		if len(regs) == 0 {
			regs = n.regs("reg")
		}
		for _, r := range regs {
			if r.Size == 0 && (!known || r.Base < start) {
				start, known = r.Base, true
			}
		}
		ranges = append(ranges, regs...)
	}
	for _, r := range ranges {
		base, end := clip(r)
		base, end = (base+pageSize-1)&^(pageSize-1), end&^(pageSize-1)
		if base < end {
			m.banks = append(m.banks, span{"", base, end})
		}
	}
	if len(m.banks) == 0 {
		m.assumed = true
		if !known {
			start = t.lowestRange()
		}
		start &^= pageSize - 1
		if start >= maxAddress-assumedMemory {
			start = 0
		}
		m.banks = []span{{"", start, start + assumedMemory}}
	}
	// As in memblock, banks that touch are one.
	sort.Slice(m.banks, func(i, j int) bool { return m.banks[i].base < m.banks[j].base })
	merged := m.banks[:1]
	for _, b := range m.banks[1:] {
		if last := &merged[len(merged)-1]; b.base <= last.end {
			last.end = max(last.end, b.end)
			continue
		}
		merged = append(merged, b)
	}
	if len(merged) > maxRegions {
		m.note("%d memory banks, of which the first %d are taken", len(merged), maxRegions)
		merged = merged[:maxRegions]
	}
	m.banks = merged
	for i := range m.banks {
		m.banks[i].name = m.unique(fmt.Sprintf("memory@%x", m.banks[i].base))
	}
}

// assumedMemory is how much there is where only the boot loader knows, in bytes.
const assumedMemory = 2 << 30

// lowestRange gives the lowest address that a bus of the tree reaches, as the likeliest start of memory.
func (t *Tree) lowestRange() uint64 {
	lowest, found := uint64(0), false
	for n := range t.Root.all {
		v, _ := n.Value("dma-ranges")
		if len(v) == 0 {
			continue
		}
		for _, r := range n.dmaRanges(cells(v)) {
			if !found || r.CPU < lowest {
				lowest, found = r.CPU, true
			}
		}
	}
	return lowest
}

func (n *Node) mustValue(name string) []byte {
	v, _ := n.Value(name)
	return v
}

// clip keeps a range inside what a board may have.
func clip(r Range) (base, end uint64) {
	base = min(r.Base, maxAddress)
	return base, base + min(r.Size, maxAddress-base)
}

// reserve takes a region with an address.
func (m *memory) reserve(n *Node, r Range, pool bool) {
	if !pool {
		m.keepOut(n.Name, r)
		return
	}
	base, end := clip(r)
	if m.full() {
		return
	}
	if base%pageSize != 0 || end%pageSize != 0 || base >= end {
		m.note("%s: %#x + %#x are no whole pages: left out", n.Path(), r.Base, r.Size)
		return
	}
	s := span{n.Name, base, end}
	if m.bankOf(s) == nil && !m.addBank(s) {
		m.note("%s: %#x-%#x is only in part inside the memory: left out", n.Path(), base, end-1)
		return
	}
	if over := overlap(m.taken, s); over != nil {
		m.note("%s: %#x-%#x overlaps %s: left out", n.Path(), base, end-1, over.name)
		return
	}
	m.carve(s, n)
}

func (m *memory) carve(s span, n *Node) {
	s.name = m.unique(s.name)
	m.take(s)
	m.regions = append(m.regions, carved{s, n, carvingOf(n), n.Has("linux,cma-default")})
}

// full says, once, that there are more regions than a board may list.
func (m *memory) full() bool {
	if len(m.taken) == maxRegions {
		m.note("more than %d reserved regions: the rest is left out", maxRegions)
	}
	return len(m.taken) >= maxRegions
}

// keepOut sets a range aside, rounded to whole pages, as far as it is memory and nobody else's.
func (m *memory) keepOut(name string, r Range) {
	base, end := clip(r)
	base, end = base&^(pageSize-1), min((end+pageSize-1)&^(pageSize-1), maxAddress)
	for _, b := range m.banks {
		lo, hi := max(base, b.base), min(end, b.end)
		if lo >= hi {
			continue
		}
		for _, free := range m.gaps(span{"", lo, hi}) {
			if m.full() {
				return
			}
			free.name = m.unique(name)
			m.take(free)
		}
	}
}

// allocate places a region that has a size only, as high as its ranges and other regions allow (memblock allocates downwards).
func (m *memory) allocate(n *Node) {
	if n.Parent == nil || m.full() {
		return
	}
	addrCells, sizeCells := n.Parent.childCells()
	if !translatable(addrCells, sizeCells) {
		return
	}
	one := func(name string) uint64 {
		c := cells(n.mustValue(name))
		return number(c[:min(len(c), sizeCells)])
	}
	size, align := one("size"), max(one("alignment"), pageSize)
	if as := carvingOf(n); as == cma {
		align = max(align, cmaAlign)
	}
	size = min(size, maxAddress)
	size = (size + pageSize - 1) &^ (pageSize - 1)
	if size == 0 || align&(align-1) != 0 || align > maxAddress {
		m.note("%s: size %#x, alignment %#x: left out", n.Path(), size, align)
		return
	}
	within := n.regs("alloc-ranges")
	if len(within) == 0 {
		within = []Range{{0, low}, {0, maxAddress}}
	}
	for _, w := range within {
		base, end := clip(w)
		if at, ok := m.highest(base, end, size, align); ok {
			s := span{n.Name, at, at + size}
			if carvingOf(n) == keptOut {
				s.name = m.unique(s.name)
				m.take(s)
				return
			}
			m.carve(s, n)
			return
		}
	}
	m.note("%s: no room for %d bytes where it may lie: left out", n.Path(), size)
}

// highest gives the highest place for size bytes in base to end.
func (m *memory) highest(base, end, size, align uint64) (uint64, bool) {
	for i := len(m.banks) - 1; i >= 0; i-- {
		b := m.banks[i]
		lo, hi := max(base, b.base), min(end, b.end)
		if lo >= hi {
			continue
		}
		free := m.gaps(span{"", lo, hi})
		for j := len(free) - 1; j >= 0; j-- {
			if free[j].size() < size {
				continue
			}
			if at := (free[j].end - size) &^ (align - 1); at >= free[j].base {
				return at, true
			}
		}
	}
	return 0, false
}

// gaps gives what is free of a range inside one bank, from the lowest.
func (m *memory) gaps(in span) []span {
	var free []span
	at := in.base
	for _, t := range m.taken {
		if t.end <= at || t.base >= in.end {
			continue
		}
		if t.base > at {
			free = append(free, span{"", at, t.base})
		}
		at = max(at, t.end)
	}
	if at < in.end {
		free = append(free, span{"", at, in.end})
	}
	return free
}

func (m *memory) bankOf(s span) *span {
	for i := range m.banks {
		if b := &m.banks[i]; s.base >= b.base && s.end <= b.end {
			return b
		}
	}
	return nil
}

// maxRegions is how many entries a list of a board file may have at most, divided by two for safety's sake.
const maxRegions = 512

// addBank makes a bank of a pool's region that is memory of its own, such as SRAM; false when it is so in part only.
func (m *memory) addBank(s span) bool {
	if overlap(m.banks, s) != nil {
		return false
	}
	bank := s
	bank.name = m.unique(fmt.Sprintf("memory@%x", s.base))
	i := sort.Search(len(m.banks), func(i int) bool { return m.banks[i].base > s.base })
	m.banks = slices.Insert(m.banks, i, bank)
	return true
}

func (m *memory) take(s span) {
	i := sort.Search(len(m.taken), func(i int) bool { return m.taken[i].base > s.base })
	m.taken = slices.Insert(m.taken, i, s)
}

// unique makes a name that no bank or region has.
func (m *memory) unique(name string) string {
	if m.names == nil {
		m.names = map[string]int{}
	}
	try := name
	for m.names[try] > 0 {
		m.names[name]++
		try = fmt.Sprintf("%s.%d", name, m.names[name])
	}
	m.names[try]++
	return try
}

func (m *memory) note(format string, args ...any) {
	m.notes = append(m.notes, strings.ToValidUTF8(fmt.Sprintf(format, args...), "?"))
}

func overlap(spans []span, s span) *span {
	for i := range spans {
		if spans[i].base < s.end && s.base < spans[i].end {
			return &spans[i]
		}
	}
	return nil
}
