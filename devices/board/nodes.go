package board

import "github.com/heapfs/heapfs/devices"

// Node is one entry of /dev/dma_heap.
type Node struct {
	// Name of the node.
	Name string `json:"name"`
	// ExpName is what a buffer's fdinfo says: the name of the node, of the
	// kernel heap of that name or of the device.
	ExpName string `json:"exp_name"`
	// Pool is where its buffers come from.
	Pool string `json:"pool"`
	// Heap is the declared heap whose quota, mode and owner count; empty for a
	// device node over a coherent pool that no heap is declared over.
	Heap string `json:"heap,omitempty"`
	// Device is the device of a device node.
	Device string `json:"device,omitempty"`
	// Kind of the pool.
	Kind Kind `json:"kind"`
	// Mode has the permission bits.
	Mode uint32 `json:"mode"`
	// UID and GID own the node; CMDOwner is the program's.
	UID int `json:"uid"`
	GID int `json:"gid"`
	// Quota of Heap in bytes; zero is no limit but the pool's size.
	Quota uint64 `json:"quota,omitempty"`
	// Alias marks a further name of Heap.
	Alias bool `json:"alias,omitempty"`
	// Links are symbolic links to the node, which are no nodes themselves.
	Links []string `json:"links,omitempty"`
	// Uncached is that of Heap.
	Uncached bool `json:"uncached,omitempty"`
	// Limits are those of Device on the length of a buffer and its segments.
	Limits []devices.Limits `json:"limits,omitempty"`
}

// The heap that a device behind an IOMMU gets, and the names that the default
// CMA heap has had: from 6.17, and before by the device tree or without one.
const systemHeap = "system"

var defaultCMANames = []string{"default_cma_region", "linux,cma", "reserved", "default-pool"}

// Nodes gives the nodes of a valid board: heaps, then aliases, then devices,
// each in the order of declaration.
//
// A device's node is a view of a heap: of the device's heap if it names one;
// else of its coherent memory region; else, without an IOMMU, of the default
// CMA heap; else of the heap named system. A device for which the board has
// none of these has no node: no heap serves it. The error is an ErrorList.
func (b *Board) Nodes() ([]Node, error) {
	if err := b.Validate(); err != nil {
		return nil, err
	}
	kinds := map[string]Kind{}
	for _, p := range b.Pools {
		kinds[p.Name] = p.Kind
	}
	nodes, aliases := []Node{}, []Node{}
	for i := range b.Heaps {
		n := heapNode(&b.Heaps[i], kinds)
		nodes = append(nodes, n)
		for _, a := range b.Heaps[i].Aliases {
			n.Name, n.ExpName, n.Alias, n.Links = a, a, true, nil
			aliases = append(aliases, n)
		}
	}
	nodes = append(nodes, aliases...)
	for i := range b.Devices {
		d := &b.Devices[i]
		n := Node{Pool: d.MemoryRegion, Mode: uint32(DefaultMode), UID: CMDOwner, GID: CMDOwner}
		if h := b.deviceHeap(d); h != nil {
			n = heapNode(h, kinds)
		} else if d.MemoryRegion == "" {
			continue
		}
		n.Links = nil
		n.Name, n.ExpName, n.Device, n.Kind = d.Name, d.Name, d.Name, kinds[n.Pool]
		n.Limits = b.limits(d)
		nodes = append(nodes, n)
	}
	return nodes, nil
}

// limits gives what the device asks of a buffer's length.
func (b *Board) limits(d *Device) []devices.Limits {
	as := devices.Device{Name: d.Name, Constraints: b.effective(d, nil)}
	if l, ok := as.Limits(); ok {
		return []devices.Limits{l}
	}
	return nil
}

func heapNode(h *Heap, kinds map[string]Kind) Node {
	n := Node{Name: h.Name, ExpName: h.Name, Pool: h.Pool, Heap: h.Name, Kind: kinds[h.Pool], Mode: uint32(DefaultMode), Quota: uint64(h.Quota)}
	n.Links, n.Uncached = h.Links, h.Uncached
	if h.Mode != nil {
		n.Mode = uint32(*h.Mode)
	}
	n.UID, n.GID, _ = parseOwner(h.Owner) // checked by Validate
	return n
}

// deviceHeap gives the heap of a device's node; nil when there is none, which
// for a device with a memory region means the pool itself.
func (b *Board) deviceHeap(d *Device) *Heap {
	switch {
	case d.Heap != "":
		return b.heapNamed(d.Heap)
	case d.MemoryRegion != "":
		for i := range b.Heaps {
			if b.Heaps[i].Pool == d.MemoryRegion {
				return &b.Heaps[i]
			}
		}
		return nil
	case d.IOMMU == "":
		return b.DefaultCMA()
	default:
		return b.heapNamed(systemHeap)
	}
}

// heapNamed finds a heap by its name or an alias.
func (b *Board) heapNamed(name string) *Heap {
	for i := range b.Heaps {
		h := &b.Heaps[i]
		if h.Name == name {
			return h
		}
		for _, a := range h.Aliases {
			if a == name {
				return h
			}
		}
	}
	return nil
}

// DefaultCMA gives the default CMA heap: the one marked so, else the first
// contiguous one with one of the names that kernels give it; nil without.
func (b *Board) DefaultCMA() *Heap {
	for i := range b.Heaps {
		if b.Heaps[i].Default {
			return &b.Heaps[i]
		}
	}
	for _, name := range defaultCMANames {
		h := b.heapNamed(name)
		if h == nil {
			continue
		}
		for _, p := range b.Pools {
			if p.Name == h.Pool && p.Kind == KindContiguous {
				return h
			}
		}
	}
	return nil
}
