package heapnodes

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/heapfs/heapfs/attach"
	"github.com/heapfs/heapfs/backing"
	"github.com/heapfs/heapfs/devices"
	"github.com/heapfs/heapfs/devices/board"
	"github.com/heapfs/heapfs/heapnodes/events"
	"github.com/heapfs/heapfs/internal/sys"
)

// Config is what an instance is made of.
type Config struct {
	// Nodes are the heap nodes, each over one of Pools by name.
	Nodes []board.Node
	Pools []backing.PoolConfig
	// Platform finds the heap of a set of devices; its heaps are named like Nodes. Empty: there are no sets.
	Platform devices.Platform
	// Importers are the devices that buffers can be attached to. A node that is the view of one maps its buffers for it.
	Importers []board.Importer
	// Faults act on the nodes that they name; one that names none is an error.
	Faults   []Fault
	Exporter Exporter
	// KernelBuffers says that the exporter's files are dma-bufs: the kernel answers the calls on them.
	KernelBuffers bool
	Sync          SyncFiles
	// HeapFlags are the bits of heap_flags that ALLOC takes; a kernel of today takes none.
	HeapFlags uint64
	// AllocSize is the size in bytes of ALLOC's struct with what a proposal adds; 0 is uapi.AllocSize.
	AllocSize int
	// Extension gives that a meaning, and answers numbers from 1; nil has none.
	Extension Extension
	Events    *events.Stream
}

// Heaps is one instance: all its heaps, nodes and live buffers.
type Heaps struct {
	cfg   Config
	nodes []*Node
	pools map[string]*backing.Pool
	sets  sets
	// importers are where buffers go, homes where they come from, by pool.
	importers *attach.System
	devices   []*Device
	homes     map[string]home

	nextID, nextAttachment atomic.Uint64

	mu      sync.Mutex // of what follows; never held across a call of an interface
	buffers map[sys.FileID]*Buffer
	// kept are buffers whose file nobody holds any more, but a device.
	kept    map[*Buffer]struct{}
	openers map[*Opener]struct{}
	closed  bool
	refuses bool // no ALLOCs any more
}

// heap is what the nodes of one heap share.
type heap struct {
	name  string
	pool  *backing.Pool
	quota uint64 // bytes, 0 for none
	used  atomic.Uint64
}

// Node is one entry of the heap directory: a heap, a further name of it, or a device's view of it.
type Node struct {
	board.Node
	heaps  *Heaps
	heap   *heap
	faults []Fault
}

// New makes an instance without buffers.
func New(cfg Config) (*Heaps, error) {
	h := &Heaps{
		cfg: cfg, pools: map[string]*backing.Pool{}, buffers: map[sys.FileID]*Buffer{},
		kept: map[*Buffer]struct{}{}, openers: map[*Opener]struct{}{},
	}
	for _, p := range cfg.Pools {
		pool, err := backing.NewPool(p)
		if err != nil {
			return nil, err
		}
		h.pools[p.Name] = pool
	}
	shared := map[string]*heap{}
	for _, n := range cfg.Nodes {
		pool := h.pools[n.Pool]
		if pool == nil {
			return nil, fmt.Errorf("node %q: no pool %q", n.Name, n.Pool)
		}
		// A device's own pool may have no heap declared over it; then all views of the pool share one without a name.
		key := "heap " + n.Heap
		if n.Heap == "" {
			key = "pool " + n.Pool
		}
		if shared[key] == nil {
			shared[key] = &heap{name: n.Heap, pool: pool, quota: n.Quota}
		}
		h.nodes = append(h.nodes, &Node{Node: n, heaps: h, heap: shared[key]})
	}
	if err := h.addImporters(); err != nil {
		return nil, err
	}
	for _, f := range cfg.Faults {
		if err := h.addFault(f); err != nil {
			return nil, err
		}
	}
	return h, nil
}

func (h *Heaps) addFault(f Fault) error {
	var pools []*backing.Pool
	hit := false
	for _, n := range h.nodes {
		if !f.matches(n) {
			continue
		}
		hit = true
		n.faults = append(n.faults, f)
		if f.Fragment != nil && !slices.Contains(pools, n.heap.pool) {
			n.heap.pool.Fragment(*f.Fragment, 0, 0)
			pools = append(pools, n.heap.pool)
		}
	}
	if !hit {
		names := make([]string, len(h.nodes))
		for i, n := range h.nodes {
			names[i] = n.Name
		}
		return fmt.Errorf("fault %q: no heap %q on this board; it has %q", f.spec, f.Heap, names)
	}
	return nil
}

// Nodes are all heap nodes in the board's order. The slice must not be changed.
func (h *Heaps) Nodes() []*Node { return h.nodes }

// PoolStats is the pool behind the node: what it is and its state.
func (n *Node) PoolStats() (backing.PoolConfig, backing.Stats) {
	return n.heap.pool.Config(), n.heap.pool.Stats()
}

// Buffer finds the live buffer of a file.
func (h *Heaps) Buffer(id sys.FileID) *Buffer {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.buffers[id]
}

// Buffers are the live buffers, oldest first, after asking which of them are still held.
func (h *Heaps) Buffers() []*Buffer {
	h.cfg.Exporter.Sweep()
	h.mu.Lock()
	all := make([]*Buffer, 0, len(h.buffers))
	for _, b := range h.buffers {
		all = append(all, b)
	}
	for b := range h.kept {
		all = append(all, b)
	}
	h.mu.Unlock()
	slices.SortFunc(all, func(a, b *Buffer) int { return int(a.ID) - int(b.ID) })
	return all
}

// Refuse refuses further ALLOCs. Buffers live on.
func (h *Heaps) Refuse() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refuses = true
}

// Close refuses further ALLOCs and ends the account of every buffer, with a free event each. Their memory stays valid for whoever
// still holds it.
func (h *Heaps) Close() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.closeOpeners()
	for _, b := range h.Buffers() {
		b.end("the instance ends; the memory stays valid for its holder")
	}
}

var errEnded = fmt.Errorf("%w: the instance ends", ErrNoMemory)

func (h *Heaps) ended() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.closed || h.refuses
}

// add takes a buffer into the account: false if that is closed, so that Close leaves none behind that was under way.
func (h *Heaps) add(b *Buffer) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.buffers[b.file] = b
	return true
}

// remove takes a buffer out of the account, once.
func (h *Heaps) remove(b *Buffer) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.buffers[b.file] != b {
		return false
	}
	delete(h.buffers, b.file)
	return true
}

// take accounts for size bytes of a heap's quota and pool.
func (h *Heaps) take(p *heap, size uint64) ([]backing.Extent, error) {
	if used := p.used.Add(size); p.quota != 0 && used > p.quota {
		p.used.Add(-size)
		return nil, fmt.Errorf("%w: %d of %d bytes are in use", ErrQuota, used-size, p.quota)
	}
	extents, err := p.pool.Alloc(size)
	if err != nil {
		p.used.Add(-size)
	}
	return extents, err
}

// takeOrSweep asks for what nobody holds any more before it gives up: the hint that a buffer is gone may be late.
func (h *Heaps) takeOrSweep(p *heap, size uint64) ([]backing.Extent, error) {
	extents, err := h.take(p, size)
	if err == nil {
		return extents, nil
	}
	h.cfg.Exporter.Sweep()
	return h.take(p, size)
}

func (p *heap) giveBack(extents []backing.Extent, size uint64) error {
	p.used.Add(-size)
	return p.pool.Free(extents)
}

// now is the time of an allocation.
func now() time.Time { return time.Now().UTC() }
