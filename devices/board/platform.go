package board

import (
	"maps"
	"slices"

	"github.com/heapfs/heapfs/devices"
)

// scatterChunks are the pieces of a buffer from a scatter pool (orders[] in drivers/dma-buf/heaps/system_heap.c).
var scatterChunks = []devices.Bytes{1 << 20, 64 << 10, PageSize}

// The ways of keeping the memory of a pool coherent. The CPU's mapping of a coherent pool is uncached; a program that brackets its
// access all the same does no harm. Nothing is mapped of a protected pool.
var (
	cachedWays   = []devices.Coherency{devices.CoherencySnoops, devices.CoherencySync}
	uncachedWays = []devices.Coherency{devices.CoherencyUncached, devices.CoherencySync}
)

// kindRank is the order of preference: plentiful memory before scarce one, what belongs to a device last.
var kindRank = []Kind{KindScatter, KindContiguous, KindCoherent, KindProtected}

// Platform gives what a valid board brings to a negotiation: its heaps by rank and its devices in the order of declaration.
//
// The rank is scatter, contiguous, coherent, protected; within a kind the heap named system and the default CMA heap come first, then
// the order of declaration. Aliases are not listed. A coherent pool that no heap is declared over goes by the first device node
// over it. The error is an ErrorList.
//
// A device's heap is the one of its node, see Nodes. A device without an IOMMU needs contiguous memory, unless it takes several
// segments, is given a scatter heap (then it has an MMU of its own), or has a driver that takes lists. An IOMMU's granule is its devices'.
func (b *Board) Platform() (devices.Platform, error) {
	nodes, err := b.Nodes()
	if err != nil {
		return devices.Platform{}, err
	}
	specs, err := b.PoolSpecs()
	if err != nil {
		return devices.Platform{}, err
	}
	pools := map[string]*PoolSpec{}
	for i := range specs {
		pools[specs[i].Name] = &specs[i]
	}
	p := devices.Platform{Policy: maps.Clone(b.Policy)}
	heapOf := map[string]string{} // device → heap
	pooled := map[string]string{} // pool without a heap → the node it goes by
	for _, n := range b.ranked(nodes) {
		switch {
		case n.Alias:
		case n.Heap == "" && pooled[n.Pool] != "":
			heapOf[n.Device] = pooled[n.Pool]
		case n.Heap == "":
			pooled[n.Pool], heapOf[n.Device] = n.Name, n.Name
			p.Heaps = append(p.Heaps, heapOfPool(&n, pools[n.Pool]))
		case n.Device != "":
			heapOf[n.Device] = n.Heap
		default:
			p.Heaps = append(p.Heaps, heapOfPool(&n, pools[n.Pool]))
		}
	}
	granules := map[string]devices.Bytes{}
	for _, u := range b.IOMMUs {
		granules[u.Name] = max(u.Granule, PageSize)
	}
	for i := range b.Devices {
		d := &b.Devices[i]
		p.Devices = append(p.Devices, devices.Device{Name: d.Name, Heap: heapOf[d.Name], Constraints: b.effective(d, granules)})
	}
	return p, nil
}

// effective gives the constraints of a device with what follows from the board.
func (b *Board) effective(d *Device, granules map[string]devices.Bytes) devices.Constraints {
	c := devices.Constraints{}
	if d.Constraints != nil {
		c = *d.Constraints
	}
	switch {
	case d.IOMMU != "":
		if c.IOMMUGranule == 0 {
			c.IOMMUGranule = granules[d.IOMMU]
		}
	case d.DriverClass.TakesLists():
	case c.MaxSegments > 1 || d.Heap != "" && b.kindOf(b.heapNamed(d.Heap)) == KindScatter:
	default:
		c.Contiguous = true
	}
	return c
}

func (b *Board) kindOf(h *Heap) Kind {
	for _, p := range b.Pools {
		if h != nil && p.Name == h.Pool {
			return p.Kind
		}
	}
	return ""
}

// ranked gives the nodes by the rank of their heaps.
func (b *Board) ranked(nodes []Node) []Node {
	nodes = slices.Clone(nodes)
	cma := b.DefaultCMA()
	rank := func(n Node) int {
		first := 1
		if n.Heap == systemHeap || cma != nil && n.Heap == cma.Name {
			first = 0
		}
		return 2*slices.Index(kindRank, n.Kind) + first
	}
	slices.SortStableFunc(nodes, func(x, y Node) int { return rank(x) - rank(y) })
	return nodes
}

func heapOfPool(n *Node, s *PoolSpec) devices.Heap {
	h := devices.Heap{Name: n.Name, Base: devices.Address(s.Base), Size: devices.Bytes(s.Size), Quota: devices.Bytes(n.Quota)}
	switch n.Kind {
	case KindScatter:
		h.Chunks, h.Coherency = scatterChunks, cachedWays
		if n.Uncached {
			h.Coherency = uncachedWays
		}
	case KindContiguous:
		h.Coherency = cachedWays
		if n.Uncached {
			h.Coherency = uncachedWays
		}
	case KindCoherent:
		h.Coherency = uncachedWays
	case KindProtected:
		h.Protected = true
	}
	return h
}
