package attach

import (
	"fmt"
	"iter"
	"sync"

	"github.com/heapfs/heapfs/backing"
	"github.com/heapfs/heapfs/devices"
)

// domain is a space of I/O virtual addresses with the buffers that are mapped in it.
type domain struct {
	name    string
	granule uint64
	align   uint64        // the largest alignment that a device of it asks for; set before use
	iovas   *backing.Pool // nil where the aperture has no room at all

	mu   sync.Mutex // of what follows
	live map[uint64]*mapped
}

// mapped is a buffer's place in a domain.
type mapped struct {
	place []backing.Extent
	users int
}

func newDomain(d *devices.Domain) (*domain, error) {
	dom := &domain{name: d.Name, granule: uint64(d.Granule), live: map[uint64]*mapped{}}
	base, size := uint64(d.Base), uint64(d.Size)
	if base == 0 {
		// Address 0 is kept back: to many drivers it is no address (iommu_dma_init_domain, drivers/iommu/dma-iommu.c).
		skip := min(dom.granule, size)
		base, size = skip, size-skip
	}
	if size == 0 {
		return dom, nil
	}
	var err error
	// An IOVA is aligned to the next power of two of its length, like a contiguous buffer (alloc_iova with size_aligned).
	dom.iovas, err = backing.NewPool(backing.PoolConfig{
		Name: d.Name, Kind: backing.Contiguous, Base: base, Size: size, PageSize: dom.granule, AlignOrder: backing.MaxAlignOrder,
	})
	if err != nil {
		return nil, fmt.Errorf("IOMMU %q: %w", d.Name, err)
	}
	return dom, nil
}

// hold gives the start of the buffer's addresses in the domain, which stay until as many calls of drop.
func (d *domain) hold(b *Buffer) (uint64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := d.live[b.ID]
	if m == nil {
		size := d.span(b)
		if d.iovas == nil {
			return 0, fmt.Errorf("IOMMU %q has no addresses to give", d.name)
		}
		if d.align > d.granule {
			size = (size + d.align - 1) &^ (d.align - 1)
		}
		place, err := d.iovas.Alloc(size)
		if err != nil {
			return 0, fmt.Errorf("IOMMU %q: %w", d.name, err)
		}
		m = &mapped{place: place}
		d.live[b.ID] = m
	}
	m.users++
	return m.place[0].Addr, nil
}

func (d *domain) drop(b *Buffer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := d.live[b.ID]
	if m == nil {
		return
	}
	if m.users--; m.users > 0 {
		return
	}
	delete(d.live, b.ID)
	if err := d.iovas.Free(m.place); err != nil {
		panic(fmt.Sprintf("IOMMU %q: %v", d.name, err)) // what is in live was given by Alloc
	}
}

// layout yields the extents at their place in the domain, from iova on. Each extent begins in a granule of its own, at its offset in
// there, and fills whole granules (iommu_dma_map_sg, drivers/iommu/dma-iommu.c): so extents follow each other without a gap as long as
// they begin and end at granules.
func (d *domain) layout(b *Buffer, iova uint64) iter.Seq[Segment] {
	return func(yield func(Segment) bool) {
		for e := range joined(b.Extents) {
			offset := e.Addr % d.granule
			if !yield(Segment{iova + offset, e.Len}) {
				return
			}
			iova += d.granules(offset + e.Len)
		}
	}
}

// span is how much of the domain the buffer takes, in bytes.
func (d *domain) span(b *Buffer) (n uint64) {
	for e := range joined(b.Extents) {
		n += d.granules(e.Addr%d.granule + e.Len)
	}
	return n
}

func (d *domain) granules(n uint64) uint64 { return (n + d.granule - 1) &^ (d.granule - 1) }

// joined yields extents, those that follow each other as one.
func joined(extents []backing.Extent) iter.Seq[Segment] {
	return join(func(yield func(Segment) bool) {
		for _, e := range extents {
			if !yield(Segment{e.Addr, e.Len}) {
				return
			}
		}
	})
}
