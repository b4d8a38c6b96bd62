package backing

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"sync"
)

// Kind says how a pool places buffers. The values are those of the board file.
type Kind string

const (
	// Contiguous places a buffer in one extent, as a CMA area does (mm/cma.c, drivers/dma-buf/heaps/cma_heap.c).
	Contiguous Kind = "contiguous"
	// Scatter builds a buffer of chunks, as the system heap does (drivers/dma-buf/heaps/system_heap.c).
	Scatter Kind = "scatter"
	// Coherent places a buffer in one extent of a device's reserved region (kernel/dma/coherent.c).
	Coherent Kind = "coherent"
	// Protected is placed as Contiguous. That the CPU cannot map it is the exporter's affair.
	Protected Kind = "protected"
)

const (
	// DefaultPageSize is the page size of a pool that names none, in bytes.
	DefaultPageSize = 4096
	// DefaultAlignOrder is the kernel's default for CONFIG_CMA_ALIGNMENT, in page orders: 1 MiB with 4 KiB pages.
	DefaultAlignOrder = 8
	// MaxAlignOrder is the end of the range of CONFIG_CMA_ALIGNMENT (kernel/dma/Kconfig), in page orders.
	MaxAlignOrder = maxAlignOrder
	// NoAlign asks for no alignment but the page's.
	NoAlign = -1
)

var (
	// ErrNoSpace says that the pool cannot place the buffer. It comes inside a *NoSpaceError; a caller sees ENOMEM.
	ErrNoSpace = errors.New("no space in the pool")
	// ErrBadLength is a length that is zero or no multiple of the page size. A caller sees EINVAL.
	ErrBadLength = errors.New("length is not a positive multiple of the page size")
	// ErrNotLive is an extent that Alloc did not hand out, or that was freed before.
	ErrNotLive = errors.New("extent is not live in the pool")
	// ErrBadPool is a PoolConfig that describes no pool.
	ErrBadPool = errors.New("invalid pool")
)

// NoSpaceError says why an Alloc failed. All figures are bytes. Free may well exceed Want: then the pool is fragmented.
type NoSpaceError struct {
	Pool       string
	Want       uint64 // as asked for
	Reserve    uint64 // what the pool would have to take at once: a coherent pool rounds up to a power of two
	Align      uint64 // of the start of that; the page size where chunks of any kind would have done
	Free       uint64
	LargestRun uint64 // the longest free run, whatever its alignment
}

func (e *NoSpaceError) Error() string {
	return fmt.Sprintf("pool %q: alloc %d bytes (reserves %d, aligned to %d): %v: %d bytes free, longest run %d",
		e.Pool, e.Want, e.Reserve, e.Align, ErrNoSpace, e.Free, e.LargestRun)
}

// Unwrap makes errors.Is(err, ErrNoSpace) hold.
func (e *NoSpaceError) Unwrap() error { return ErrNoSpace }

// PoolConfig describes a pool.
type PoolConfig struct {
	Name string
	Kind Kind

	// Base and Size are in bytes, multiples of PageSize; Base + Size must not wrap. Nothing is allocated for them.
	Base, Size uint64

	// AlignOrder caps the alignment of Contiguous and Protected buffers, in page orders: 1 to MaxAlignOrder, or NoAlign; 0
	// means DefaultAlignOrder. The other kinds ignore it.
	AlignOrder int

	// PageSize is the page of the modelled kernel in bytes, the unit of every order: a power of two, 4096 or more; 0
	// means DefaultPageSize. It has nothing to do with the pages in which a store keeps the bytes.
	PageSize uint64

	// StorePages is what pages the bytes are wished to lie in, where the export has a store: 2 MiB, or 0 for no wish. The model does
	// not look at it.
	StorePages uint64
}

// Stats is the state of a pool, in bytes. Size is the sum of Used, Withheld and Free.
type Stats struct {
	Size       uint64 `json:"size"`
	Used       uint64 `json:"used"`     // by live extents; with what a coherent pool rounds up
	Withheld   uint64 `json:"withheld"` // taken by Fragment
	Free       uint64 `json:"free"`
	LargestRun uint64 `json:"largest_run"` // the longest free run, whatever its alignment
	Extents    int    `json:"extents"`     // live ones (a number, not bytes)
}

// Pool hands out physical extents of one memory region. It is a model: it touches no memory and does no I/O. All methods
// may be called from any goroutine; each takes O(log n) per extent, n being the number of free runs.
type Pool struct {
	cfg    PoolConfig
	shift  int    // log2 of the page size
	origin uint64 // page frame number of the free map's page 0

	mu       sync.Mutex
	free     *freeMap
	live     map[uint64]uint64 // extents handed out: free-map page → pages
	withheld uint64            // pages
}

// NewPool checks cfg and makes an empty pool. Errors match ErrBadPool and name the field.
func NewPool(cfg PoolConfig) (*Pool, error) {
	bad := func(format string, args ...any) (*Pool, error) {
		return nil, fmt.Errorf("%w %q: %s", ErrBadPool, cfg.Name, fmt.Sprintf(format, args...))
	}
	if cfg.PageSize == 0 {
		cfg.PageSize = DefaultPageSize
	}
	if cfg.AlignOrder == 0 {
		cfg.AlignOrder = DefaultAlignOrder
	}
	capOrder := max(cfg.AlignOrder, 0)
	switch {
	case cfg.Name == "":
		return bad("it has no name")
	case cfg.PageSize < DefaultPageSize || bits.OnesCount64(cfg.PageSize) != 1:
		return bad("page size %d is not a power of two from %d up", cfg.PageSize, DefaultPageSize)
	case cfg.AlignOrder < NoAlign || cfg.AlignOrder > MaxAlignOrder:
		return bad("align order %d is outside 1 to %d", cfg.AlignOrder, MaxAlignOrder)
	case cfg.Base%cfg.PageSize != 0:
		return bad("base %#x is not a multiple of the page size %d", cfg.Base, cfg.PageSize)
	case cfg.Size == 0 || cfg.Size%cfg.PageSize != 0:
		return bad("size %d is not a positive multiple of the page size %d", cfg.Size, cfg.PageSize)
	case cfg.Base > math.MaxUint64-cfg.Size:
		return bad("base %#x plus size %d is beyond the address space", cfg.Base, cfg.Size)
	}
	p := &Pool{
		cfg:   cfg,
		shift: bits.TrailingZeros64(cfg.PageSize),
		live:  map[uint64]uint64{},
	}
	first, orders := cfg.Base>>p.shift, 0
	switch cfg.Kind {
	case Contiguous, Protected:
		// cma_bitmap_aligned_offset makes the physical address aligned, not the offset in the area.
		orders = capOrder
	case Scatter:
	case Coherent:
		// bitmap_find_free_region knows offsets only: a region with an odd base gives odd addresses.
		p.origin, first = first, 0
	default:
		return bad("kind %q is none of contiguous, scatter, coherent, protected", cfg.Kind)
	}
	p.free = newFreeMap(first, cfg.Size>>p.shift, orders)
	return p, nil
}

// Config is what the pool was made from, its defaults filled in.
func (p *Pool) Config() PoolConfig { return p.cfg }

// Alloc places a buffer of n bytes, a positive multiple of the page size. The extents add up to n and are in buffer
// order; they belong to the caller until Free. Errors: *NoSpaceError (ErrNoSpace), for any n the pool cannot place, also
// one near 2^64; ErrBadLength. After an error the pool is as before.
func (p *Pool) Alloc(n uint64) ([]Extent, error) {
	if n == 0 || (n%p.cfg.PageSize != 0 && n <= p.cfg.Size) {
		return nil, fmt.Errorf("pool %q: alloc %d: %w (%d)", p.cfg.Name, n, ErrBadLength, p.cfg.PageSize)
	}
	p.mu.Lock()
	defer p.mu.Unlock()

	pages := n >> p.shift
	if n > p.free.pages<<p.shift {
		// Before any arithmetic on n: from here on nothing can wrap.
		return nil, p.noSpace(n, n, 0)
	}
	if p.cfg.Kind == Scatter {
		return p.placeScatter(pages)
	}
	reserve, order := p.reservation(pages), orderOf(pages)
	var start uint64
	var ok bool
	if p.cfg.Kind == Coherent {
		start, ok = p.free.lowestBlock(order)
	} else {
		order = min(order, max(p.cfg.AlignOrder, 0))
		start, ok = p.free.lowest(pages, order)
	}
	if !ok {
		return nil, p.noSpace(n, reserve<<p.shift, order)
	}
	return []Extent{p.claim(start, pages)}, nil
}

// Free returns extents that Alloc handed out, all of a buffer's or some, in any order. An extent that is not live
// (freed before, named twice, of another pool, cut or joined) gives ErrNotLive, and then nothing is freed.
func (p *Pool) Free(extents []Extent) error {
	p.mu.Lock()
	defer p.mu.Unlock()

	for i, e := range extents {
		page := e.Addr>>p.shift - p.origin
		pages, live := p.live[page]
		if !live || e != p.extent(page, pages) {
			for _, back := range extents[:i] {
				p.live[back.Addr>>p.shift-p.origin] = back.Len >> p.shift
			}
			return fmt.Errorf("pool %q: free %v: %w", p.cfg.Name, e, ErrNotLive)
		}
		delete(p.live, page)
	}
	for _, e := range extents {
		p.free.put(e.Addr>>p.shift-p.origin, p.reservation(e.Len>>p.shift))
	}
	return nil
}

// Stats is a consistent picture of the pool.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()

	s := Stats{
		Size:       p.cfg.Size,
		Withheld:   p.withheld << p.shift,
		Free:       p.free.pages << p.shift,
		LargestRun: p.free.largest() << p.shift,
		Extents:    len(p.live),
	}
	s.Used = s.Size - s.Withheld - s.Free
	return s
}

// reservation is how many pages a single extent of that many pages takes from the pool.
func (p *Pool) reservation(pages uint64) uint64 {
	if p.cfg.Kind == Coherent {
		return 1 << orderOf(pages)
	}
	return pages
}

// claim takes the pages of one extent, free ones, and records it as live.
func (p *Pool) claim(start, pages uint64) Extent {
	p.free.take(start, p.reservation(pages))
	p.live[start] = pages
	return p.extent(start, pages)
}

func (p *Pool) extent(start, pages uint64) Extent {
	return Extent{Addr: (p.origin + start) << p.shift, Len: pages << p.shift}
}

func (p *Pool) noSpace(want, reserve uint64, order int) error {
	return &NoSpaceError{
		Pool:       p.cfg.Name,
		Want:       want,
		Reserve:    reserve,
		Align:      p.cfg.PageSize << order,
		Free:       p.free.pages << p.shift,
		LargestRun: p.free.largest() << p.shift,
	}
}

// orderOf is the kernel's get_order: the smallest order whose block holds that many pages, of which there must be one.
func orderOf(pages uint64) int { return bits.Len64(pages - 1) }
