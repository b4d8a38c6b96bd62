package dtb

import (
	"fmt"

	"github.com/heapfs/heapfs/devices"
	"github.com/heapfs/heapfs/devices/board"
)

// Options are what a tree leaves open.
type Options struct {
	// Name of the board.
	Name string
	// Memory replaces what the tree says: many boot loaders fill that in.
	Memory []Range
	// CMA is the size of the default CMA area in bytes where the tree has none; zero is DefaultCMA or what fits.
	CMA uint64
}

// DefaultCMA is the size of a default CMA area that the tree doesn't give, in bytes. A kernel takes it from its configuration or
// its command line (cma=).
const DefaultCMA = 256 << 20

// Imported is a board made of a tree, and what became of the tree's devices.
type Imported struct {
	Board *board.Board
	// Origins are the nodes of the board's devices, in the same order.
	Origins []Origin
	// Skipped are the candidates that are not on the board.
	Skipped []Skipped
	// Notes are what the tree leaves open or says against itself, a line each.
	Notes []string
}

// Origin is where a device of the board comes from.
type Origin struct {
	Candidate
	// Aliases are the node's names under /aliases.
	Aliases []string
	// Notes are what could not be said in the board, a line each.
	Notes []string
}

// Skipped is a candidate that is not on the board.
type Skipped struct {
	Path, Name string
	// Class of the device: "usb", "network".
	Class string
	// Reason why it was left out.
	Reason string
}

// Heap names: those of kernels from 6.17 on, with the name that the default area had before (kernel/dma/contiguous.c) as an alias.
const (
	systemName  = "system"
	defaultName = "default_cma_region"
	legacyName  = "reserved"
)

// Import makes a board of the tree. The error says what about the tree makes that impossible.
func (t *Tree) Import(o Options) (*Imported, error) {
	im := &importer{t: t, m: t.memory(o.Memory), b: &board.Board{APIVersion: board.APIVersion, Name: o.Name}}
	if err := board.CheckName(o.Name); err != nil {
		return nil, fmt.Errorf("device tree: board name: %w", err)
	}
	if v, ok := t.Root.Value("model"); ok {
		im.b.Description = board.Printable(text(v))
	}
	im.memory()
	im.pools(o.CMA)
	im.devices()
	im.policy()
	im.out.Board = im.b
	im.out.Notes = append(im.out.Notes, im.m.notes...)
	if err := im.b.Validate(); err != nil {
		return nil, fmt.Errorf("device tree: the board that comes of it is not valid: %w", err)
	}
	return &im.out, nil
}

type importer struct {
	t   *Tree
	m   *memory
	b   *board.Board
	out Imported

	system span // where the heap system's memory is; empty without

	names map[string]bool  // taken by heaps, aliases and devices
	pool  map[*Node]string // region → its pool, if it is coherent
	heap  map[*Node]string // region → its heap, if it is a CMA area
	units map[*Node]string // IOMMU → its name on the board
}

func (im *importer) note(format string, args ...any) {
	im.out.Notes = append(im.out.Notes, board.Printable(fmt.Sprintf(format, args...)))
}

func (im *importer) memory() {
	if im.m.assumed {
		b := im.m.banks[0]
		im.note("the tree gives no memory, the boot loader does: %v from %#x assumed (--memory says it)", devices.Bytes(b.size()), b.base)
	}
	for _, b := range im.m.banks {
		m := board.Memory{Name: b.name, Base: devices.Address(b.base), Size: devices.Bytes(b.size())}
		for _, t := range im.m.taken {
			if t.base >= b.base && t.end <= b.end {
				m.Reserved = append(m.Reserved, board.Reserved{Name: t.name, Base: devices.Address(t.base), Size: devices.Bytes(t.size())})
			}
		}
		im.b.Memory = append(im.b.Memory, m)
	}
}

// pools makes pools and heaps: system, the default CMA area, further CMA areas, pools of devices.
func (im *importer) pools(size uint64) {
	im.names, im.pool, im.heap, im.units = map[string]bool{}, map[*Node]string{}, map[*Node]string{}, map[*Node]string{}
	im.names[systemName], im.names[defaultName] = true, true
	system := board.Heap{Name: systemName, Pool: systemName}
	cmaHeap := board.Heap{Name: defaultName, Default: true}
	var heaps []board.Heap
	for i := range im.m.regions {
		r := &im.m.regions[i]
		pool := board.Pool{Name: r.name, Kind: board.KindCoherent, Region: r.name}
		if pool.Name == systemName || pool.Name == "cma" || board.CheckName(pool.Name) != nil {
			pool.Name = fmt.Sprintf("pool@%x", r.base)
		}
		if r.as == coherent {
			im.b.Pools = append(im.b.Pools, pool)
			im.pool[r.node] = pool.Name
			continue
		}
		pool.Kind = board.KindContiguous
		if r.isDefault && cmaHeap.Pool == "" {
			cmaHeap.Pool, im.heap[r.node] = pool.Name, defaultName
			if im.free(r.name) {
				cmaHeap.Aliases = []string{r.name}
			}
		} else if im.free(r.name) {
			heaps = append(heaps, board.Heap{Name: r.name, Pool: pool.Name})
			im.heap[r.node] = r.name
		} else {
			im.note("%s: a heap cannot be called so: it has none", r.node.Path())
		}
		im.b.Pools = append(im.b.Pools, pool)
	}
	if cmaHeap.Pool == "" {
		if p, ok := im.defaultPool(size); ok {
			im.b.Pools = append(im.b.Pools, p)
			cmaHeap.Pool = p.Name
			if im.free(legacyName) {
				cmaHeap.Aliases = []string{legacyName}
			}
		}
	}
	if region, ok := im.largest(); ok {
		im.b.Pools = append(im.b.Pools, board.Pool{Name: systemName, Kind: board.KindScatter, Region: region})
		im.b.Heaps = append(im.b.Heaps, system)
	}
	if cmaHeap.Pool != "" {
		im.b.Heaps = append(im.b.Heaps, cmaHeap)
	}
	im.b.Heaps = append(im.b.Heaps, heaps...)
}

// free takes a name for a node of the heap directory, if it is one and no other has it.
func (im *importer) free(name string) bool {
	if board.CheckName(name) != nil || im.names[name] || len(im.names) >= board.MaxNodes {
		return false
	}
	im.names[name] = true
	return true
}

// defaultPool finds room for a default CMA area: in the lowest bank that has it, for devices that reach little.
func (im *importer) defaultPool(size uint64) (board.Pool, bool) {
	asked := size
	if size == 0 {
		size = DefaultCMA
	}
	const align = 1 << 20 // what a board aligns such a pool to by default
	for ; size >= 1<<20; size /= 2 {
		for _, b := range im.m.banks {
			for _, gap := range im.m.gaps(b) {
				at := (gap.base + align - 1) &^ (align - 1)
				// Half of the gap is left: system has to live as well.
				if at >= gap.end || gap.end-at < size || asked == 0 && (gap.end-at)/2 < size {
					continue
				}
				im.note("the tree has no default CMA area: %v in %s assumed, as a kernel's cma= would (--cma says it)", devices.Bytes(size), b.name)
				im.m.take(span{"cma", at, at + size})
				return board.Pool{Name: "cma", Kind: board.KindContiguous, Region: b.name, Base: (*devices.Address)(&at), Size: devices.Bytes(size)}, true
			}
		}
		if asked != 0 {
			break
		}
	}
	im.note("the memory has no room for a default CMA area: there is none")
	return board.Pool{}, false
}

// largest gives the bank with the largest free part, for what is left.
func (im *importer) largest() (name string, ok bool) {
	for _, b := range im.m.banks {
		for _, gap := range im.m.gaps(b) {
			if gap.size() > im.system.size() {
				im.system, name = gap, b.name
			}
		}
	}
	if im.system.size() == 0 {
		im.note("no memory is free: there is no heap system")
	}
	return name, im.system.size() > 0
}

// usages are the names by which policies know the classes that a program asks for.
var usages = []struct{ class, usage string }{
	{"codec", "video-decode"}, {"display", "display"}, {"gpu", "gpu"}, {"camera", "camera"},
}

// policy gives each usage the heap of the first device of its class.
func (im *importer) policy() {
	nodes, err := im.b.Nodes()
	if err != nil {
		return // Import says why
	}
	heap := map[string]string{}
	for _, n := range nodes {
		heap[n.Device] = n.Heap
	}
	for _, u := range usages {
		for i, o := range im.out.Origins {
			if h := heap[im.b.Devices[i].Name]; o.Class == u.class && h != "" {
				if im.b.Policy == nil {
					im.b.Policy = map[string]string{}
				}
				im.b.Policy[u.usage] = h
				break
			}
		}
	}
}
