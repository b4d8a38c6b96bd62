package attach

import (
	"fmt"
	"iter"
	"slices"

	"github.com/heapfs/heapfs/backing"
	"github.com/heapfs/heapfs/devices"
)

// Segment is a range of addresses as a device sees them, in bytes.
type Segment struct{ Addr, Len uint64 }

// Buffer is what an importer is told of a buffer. It must not change as long as a Mapping of it lives.
type Buffer struct {
	// ID is unique among live buffers.
	ID uint64
	// Len is the length in bytes: that of all extents.
	Len uint64
	// Extents are the physical ranges, in the buffer's order.
	Extents []backing.Extent
	// Protected: no CPU mapping exists.
	Protected bool
	// Home is the whole of the memory from which the heap takes buffers; a zero length leaves it open.
	Home backing.Extent
	// Chunk is how long a piece of the heap's memory is sure to be, in bytes; 0 is the whole buffer.
	Chunk uint64
	// Coherency lists the ways in which the memory may be kept coherent with the CPU; empty means that there is nothing to keep so.
	Coherency []devices.Coherency
}

// System is the devices of a board with the domains that they share. Its methods may be called from any goroutine.
type System struct {
	devices []*Device
	byName  map[string]*Device
}

// Device is a device that imports buffers.
type Device struct {
	devices.Importer
	limits devices.Limits
	domain *domain // nil without an IOMMU
}

// New makes a system in which nothing is mapped.
func New(importers []devices.Importer) (*System, error) {
	s := &System{byName: map[string]*Device{}}
	domains := map[string]*domain{}
	for _, i := range importers {
		if s.byName[i.Name] != nil {
			return nil, fmt.Errorf("device %q is there twice", i.Name)
		}
		named := devices.Device{Name: i.Name, Constraints: i.Constraints}
		d := &Device{Importer: i}
		d.limits, _ = named.Limits()
		if i.Domain != nil {
			if domains[i.Domain.Name] == nil {
				dom, err := newDomain(i.Domain)
				if err != nil {
					return nil, err
				}
				domains[i.Domain.Name] = dom
			}
			d.domain = domains[i.Domain.Name]
			d.domain.align = max(d.domain.align, uint64(i.Constraints.Alignment))
		}
		s.devices = append(s.devices, d)
		s.byName[i.Name] = d
	}
	return s, nil
}

// Device finds a device by its name, or nil.
func (s *System) Device(name string) *Device { return s.byName[name] }

// Devices are all devices in the order of New. The slice must not be changed.
func (s *System) Devices() []*Device { return s.devices }

// Translated is whether the device sees addresses of an IOMMU.
func (d *Device) Translated() bool { return d.domain != nil }

// Mapping is a buffer as a device sees it, until End.
type Mapping struct {
	// Addr is the first address in bytes.
	Addr uint64
	// Segments is how many ranges the device sees, as its limits cut them; All yields them.
	Segments int

	device *Device
	buffer *Buffer
	iova   uint64
	ended  bool
}

// Map gives the buffer to the device. It is judged by what its heap promises and not by luck: memory that only happens to be contiguous,
// or only happens to lie within the device's reach, is refused like any other of that heap, so that a wrong choice fails every time.
// (A kernel judges the buffer alone, and the same program fails on another day.)
//
// need is how many bytes of it, from its start, the device will use: 0 or too many is all of it.
// The error is a *Refusal; then nothing is mapped.
func (d *Device) Map(b *Buffer, need uint64) (*Mapping, error) {
	if r := d.placement(b); r != nil {
		return nil, r
	}
	m := &Mapping{device: d, buffer: b}
	if d.domain != nil {
		iova, err := d.domain.hold(b)
		if err != nil {
			return nil, d.refuse(unmapped, errIOVA, Aperture, "%v", err)
		}
		m.iova = iova
	}
	if r := m.judge(need); r != nil {
		m.End()
		return nil, r
	}
	return m, nil
}

// Check says whether Map would succeed now. The error is a *Refusal.
func (d *Device) Check(b *Buffer, need uint64) error {
	m, err := d.Map(b, need)
	if err != nil {
		return err
	}
	m.End()
	return nil
}

// End unmaps. A second call does nothing; two must not be made at once.
func (m *Mapping) End() {
	if m.ended {
		return
	}
	m.ended = true
	if m.device.domain != nil {
		m.device.domain.drop(m.buffer)
	}
}

// placement judges what does not depend on the addresses that the device gets.
func (d *Device) placement(b *Buffer) *Refusal {
	c := &d.Constraints
	protected := c.Protected
	switch {
	case !b.Protected && protected == devices.ProtectedRequires:
		return d.refuse(unmapped, errOther, "protected", "it requires protected memory, and the buffer's can be mapped by the CPU")
	case b.Protected && d.Class == devices.ClassVB2Vmalloc:
		return d.refuse(noCPU, errOther, "protected", "its driver works through the CPU, which can't map the buffer")
	case b.Protected && (protected == "" || protected == devices.ProtectedRefuses):
		return d.refuse(unmapped, errOther, "protected", "it refuses protected memory")
	case c.MaxSize != 0 && b.Len > uint64(c.MaxSize):
		return d.refuse(tooLong, errOther, "maxSize", "it takes %v at the most, not %v", c.MaxSize, devices.Bytes(b.Len))
	}
	if len(c.Coherency) > 0 && len(b.Coherency) > 0 && !slices.ContainsFunc(c.Coherency, func(w devices.Coherency) bool {
		return slices.Contains(b.Coherency, w)
	}) {
		return d.refuse(unmapped, errOther, "coherency", "it is kept coherent by %v, the buffer's memory by %v", c.Coherency, b.Coherency)
	}
	for _, e := range b.Extents {
		if at, missed := misses(c.AddressRanges, e); missed {
			return d.refuse(unmapped, errReach, "addressRanges", "it does not reach %#x", at)
		}
	}
	if at, missed := misses(c.AddressRanges, b.Home); missed {
		return d.refuse(unmapped, errReach, "addressRanges", "it reaches this buffer by chance, and not %#x of the heap", at)
	}
	return nil
}

// judge compares what the device sees with what it needs.
func (m *Mapping) judge(need uint64) *Refusal {
	d, b := m.device, m.buffer
	c := &d.Constraints
	if need == 0 || need > b.Len {
		need = b.Len
	}
	if c.Contiguous {
		first, runs := firstOf(joined(b.Extents))
		switch {
		case first.Len < need:
			return d.refuse(scattered, errOther, "contiguous", "the first contiguous chunk is %v of %v (%d in all)",
				devices.Bytes(first.Len), devices.Bytes(need), runs)
		case b.Chunk != 0 && b.Chunk < need:
			return d.refuse(scattered, errOther, "contiguous", "the buffer is contiguous by chance: the heap promises chunks of %v, not %v",
				devices.Bytes(b.Chunk), devices.Bytes(need))
		}
	}
	first, runs := firstOf(m.runs)
	m.Addr = first.Addr
	if dom := d.domain; dom != nil {
		// An IOMMU is there to make one range of the buffer.
		switch {
		case first.Len < need:
			return d.refuse(scattered, errOther, "iommuGranule", "behind the IOMMU, with pages of %v, the first contiguous chunk is %v of %v (%d in all)",
				devices.Bytes(dom.granule), devices.Bytes(first.Len), devices.Bytes(need), runs)
		case b.Chunk != 0 && b.Chunk < need && b.Chunk%dom.granule != 0:
			return d.refuse(scattered, errOther, "iommuGranule", "the IOMMU makes one range of it by chance: its pages have %v, the heap promises chunks of %v",
				devices.Bytes(dom.granule), devices.Bytes(b.Chunk))
		}
	}
	if c.Alignment != 0 && m.Addr%uint64(c.Alignment) != 0 {
		return d.refuse(unmapped, errOther, "alignment", "the buffer starts at %#x, which is no multiple of %v", m.Addr, c.Alignment)
	}
	n := d.limits.Segments(func(yield func(addr, length uint64) bool) {
		m.runs(func(s Segment) bool { return yield(s.Addr, s.Len) })
	})
	if d.limits.MaxSegments != 0 && n > uint64(d.limits.MaxSegments) {
		return d.refuse(tooMany, errOther, "maxSegments", "it takes %d segments at the most, not %d", d.limits.MaxSegments, n)
	}
	m.Segments = int(n)
	return nil
}

// firstOf gives the first of runs, and how many there are.
func firstOf(runs iter.Seq[Segment]) (first Segment, n int) {
	for r := range runs {
		if n == 0 {
			first = r
		}
		n++
	}
	return first, n
}

// runs yields the ranges of addresses without a gap, as long as they are.
func (m *Mapping) runs(yield func(Segment) bool) {
	pieces := m.device.bus(m.buffer)
	if m.device.domain != nil {
		pieces = m.device.domain.layout(m.buffer, m.iova)
	}
	join(pieces)(yield)
}

// All yields the segments, in the buffer's order, cut as the device's limits want it.
func (m *Mapping) All(yield func(Segment) bool) {
	longest, boundary := uint64(m.device.limits.MaxSegmentSize), uint64(m.device.limits.SegmentBoundary)
	for r := range m.runs {
		for r.Len > 0 {
			n := r.Len
			if boundary != 0 {
				n = min(n, boundary-r.Addr%boundary)
			}
			if longest != 0 {
				n = min(n, longest)
			}
			if !yield(Segment{r.Addr, n}) {
				return
			}
			r.Addr, r.Len = r.Addr+n, r.Len-n
		}
	}
}

// bus yields the extents as a device without an IOMMU sees them.
func (d *Device) bus(b *Buffer) iter.Seq[Segment] {
	return func(yield func(Segment) bool) {
		for _, e := range b.Extents {
			for e.Len > 0 {
				n, offset := d.window(e)
				if !yield(Segment{e.Addr - offset, n}) {
					return
				}
				e.Addr, e.Len = e.Addr+n, e.Len-n
			}
		}
	}
}
