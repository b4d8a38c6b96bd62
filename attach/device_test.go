package attach

import (
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/devices"
)

var (
	below4G    = []devices.AddressRange{{Base: 0, Size: 4 * gib}}
	scattered2 = func() *Buffer { return buffer(gib, 64*kib, gib+mib, 64*kib) }
)

func TestRefusals(t *testing.T) {
	contiguous := devices.Constraints{Contiguous: true}
	for _, r := range []struct {
		name       string
		c          devices.Constraints
		class      devices.DriverClass
		domain     *devices.Domain
		buffer     *Buffer
		need       uint64
		errno      syscall.Errno
		constraint string
		reason     string
	}{
		{"scattered, contig", contiguous, "", nil, scattered2(), 0, syscall.EFAULT, "contiguous", "the first contiguous chunk is 64KiB of 128KiB (2 in all)"},
		{"scattered, the plane longer than the first chunk", contiguous, "", nil, scattered2(), 65 * kib, syscall.EFAULT, "contiguous", "64KiB of 65KiB"},
		{"scattered, display", contiguous, devices.ClassDRMDMA, nil, scattered2(), 0, syscall.EINVAL, "contiguous", ""},
		{"scattered, sg driver of a contiguous device", contiguous, devices.ClassVB2DMASG, nil, scattered2(), 0, syscall.ENOMEM, "contiguous", ""},
		{"scattered, unknown class", contiguous, "else", nil, scattered2(), 0, syscall.EINVAL, "contiguous", ""},
		{"contiguous by luck", contiguous, "", nil, with(buffer(gib, 64*kib), func(b *Buffer) { b.Chunk = 4 * kib }), 0,
			syscall.EFAULT, "contiguous", "by chance: the heap promises chunks of 4KiB, not 64KiB"},
		{"scattered, an IOMMU that the device needs contiguous memory behind", contiguous, "", domainOf(4*kib, 0, gib), scattered2(), 0,
			syscall.EFAULT, "contiguous", "the first contiguous chunk is 64KiB"},
		{"a granule larger than the pages", devices.Constraints{}, "", domainOf(64*kib, 0, gib), buffer(gib+4*kib, 4*kib, gib+mib, 4*kib), 0,
			syscall.EFAULT, "iommuGranule", "the first contiguous chunk is 4KiB"},
		{"granules by luck", devices.Constraints{}, "", domainOf(64*kib, 0, gib), with(scattered2(), func(b *Buffer) { b.Chunk = 4 * kib }), 0,
			syscall.EFAULT, "iommuGranule", "by chance"},
		{"beyond 4 GiB", devices.Constraints{AddressRanges: below4G}, devices.ClassDMABuf, nil, buffer(4*gib, 4*kib), 0,
			syscall.EIO, "addressRanges", "it does not reach 0x100000000"},
		{"across 4 GiB", devices.Constraints{AddressRanges: below4G}, devices.ClassDRMShmem, nil, buffer(4*gib-4*kib, 8*kib), 0,
			syscall.EIO, "addressRanges", "it does not reach 0x100000000"},
		{"beyond 4 GiB, videobuf2 says less", devices.Constraints{AddressRanges: below4G}, devices.ClassVB2DMAContig, nil, buffer(5*gib, 4*kib), 0,
			syscall.EINVAL, "addressRanges", ""},
		{"below 4 GiB by luck", devices.Constraints{AddressRanges: below4G}, devices.ClassDMABuf, nil,
			with(buffer(gib, 4*kib), func(b *Buffer) { b.Home.Addr, b.Home.Len = gib, 7*gib }), 0,
			syscall.EIO, "addressRanges", "it reaches this buffer by chance, and not 0x100000000 of the heap"},
		{"a hole in the reach", devices.Constraints{AddressRanges: []devices.AddressRange{{Base: 0, Size: gib}, {Base: gib + mib, Size: gib}}},
			devices.ClassDMABuf, nil, buffer(gib-mib, 3*mib), 0, syscall.EIO, "addressRanges", "0x40000000"},
		{"too many segments", devices.Constraints{MaxSegments: 2}, devices.ClassVB2DMASG, nil, buffer(gib, 4*kib, 2*gib, 4*kib, 3*gib, 4*kib), 0,
			syscall.ENOMEM, "maxSegments", "it takes 2 segments at the most, not 3"},
		{"too many segments once cut", devices.Constraints{MaxSegments: 2, MaxSegmentSize: 4 * kib}, devices.ClassVB2DMASG, nil, buffer(gib, 12*kib), 0,
			syscall.ENOMEM, "maxSegments", "not 3"},
		{"a boundary inside of the one segment", devices.Constraints{Contiguous: true, SegmentBoundary: mib}, "", nil, buffer(gib+mib-4*kib, 8*kib), 0,
			syscall.EFAULT, "maxSegments", "it takes 1 segments at the most, not 2"},
		{"too long", devices.Constraints{MaxSize: 4 * kib}, "", nil, buffer(gib, 8*kib), 0, syscall.EINVAL, "maxSize", "it takes 4KiB at the most, not 8KiB"},
		{"misaligned", devices.Constraints{Alignment: 64 * kib}, "", nil, buffer(gib+4*kib, 8*kib), 0, syscall.EINVAL, "alignment", "0x40001000"},
		{"protected memory refused", devices.Constraints{}, "", nil, with(buffer(gib, 4*kib), func(b *Buffer) { b.Protected = true }), 0,
			syscall.EINVAL, "protected", "it refuses protected memory"},
		{"protected memory required", devices.Constraints{Protected: devices.ProtectedRequires}, "", nil, buffer(gib, 4*kib), 0,
			syscall.EINVAL, "protected", "it requires protected memory"},
		{"protected memory, and a driver that copies", devices.Constraints{Protected: devices.ProtectedAccepts}, devices.ClassVB2Vmalloc, nil,
			with(buffer(gib, 4*kib), func(b *Buffer) { b.Protected = true }), 0, syscall.EFAULT, "protected", ""},
		{"coherency", devices.Constraints{Coherency: []devices.Coherency{devices.CoherencySnoops}}, "", nil,
			with(buffer(gib, 4*kib), func(b *Buffer) { b.Coherency = []devices.Coherency{devices.CoherencyUncached} }), 0,
			syscall.EINVAL, "coherency", "it is kept coherent by [snoops], the buffer's memory by [uncached]"},
		{"no room in the aperture", devices.Constraints{}, devices.ClassDRMShmem, domainOf(4*kib, 0, mib), buffer(gib, mib), 0, syscall.ENOMEM, Aperture, `IOMMU "iommu"`},
		{"no room in the aperture, videobuf2", devices.Constraints{}, devices.ClassVB2DMASG, domainOf(4*kib, 0, mib), buffer(gib, mib), 0, syscall.EINVAL, Aperture, ""},
		{"too fine for lists behind an IOMMU", devices.Constraints{}, devices.ClassVB2DMASG, domainOf(64*kib, 0, gib), buffer(gib, 4*kib, 2*gib, 4*kib), 0,
			syscall.ENOMEM, "iommuGranule", ""},
		{"an aperture of nothing but address 0", devices.Constraints{}, devices.ClassDMABuf, domainOf(4*kib, 0, 4*kib), buffer(gib, 4*kib), 0,
			syscall.ENOMEM, Aperture, "has no addresses to give"},
	} {
		t.Run(r.name, func(t *testing.T) {
			d := one(t, r.c, r.class, r.domain)
			for range 3 { // every time
				_, err := d.Map(r.buffer, r.need)
				var got *Refusal
				require.ErrorAs(t, err, &got)
				assert.Equal(t, r.errno, got.Errno)
				assert.ErrorIs(t, err, r.errno)
				assert.Equal(t, r.constraint, got.Constraint)
				assert.Equal(t, "dev", got.Device)
				assert.Contains(t, got.Error(), r.reason)
				assert.NotContains(t, got.Error(), "\n")
				assert.Error(t, d.Check(r.buffer, r.need))
			}
			if d.domain != nil {
				assert.Empty(t, d.domain.live, "nothing stays mapped")
			}
		})
	}
}

func TestMappings(t *testing.T) {
	for _, r := range []struct {
		name   string
		c      devices.Constraints
		class  devices.DriverClass
		domain *devices.Domain
		buffer *Buffer
		need   uint64
		want   []Segment
	}{
		{"contiguous", devices.Constraints{Contiguous: true}, "", nil, buffer(gib, mib), 0, []Segment{{gib, mib}}},
		{"extents that follow each other", devices.Constraints{Contiguous: true}, "", nil, buffer(gib, mib, gib+mib, 4*kib), 0, []Segment{{gib, mib + 4*kib}}},
		{"a plane that fits the first chunk", devices.Constraints{Contiguous: true}, "", nil, scattered2(), 64 * kib, []Segment{{gib, 64 * kib}, {gib + mib, 64 * kib}}},
		{"one page of a scattering heap", devices.Constraints{Contiguous: true}, "", nil, with(buffer(gib, 4*kib), func(b *Buffer) { b.Chunk = 4 * kib }), 0,
			[]Segment{{gib, 4 * kib}}},
		{"scattered", devices.Constraints{}, "", nil, scattered2(), 0, []Segment{{gib, 64 * kib}, {gib + mib, 64 * kib}}},
		{"cut", devices.Constraints{MaxSegmentSize: 48 * kib, SegmentBoundary: 64 * kib}, "", nil, buffer(gib+32*kib, 128*kib), 0,
			[]Segment{{gib + 32*kib, 32 * kib}, {gib + 64*kib, 48 * kib}, {gib + 112*kib, 16 * kib}, {gib + 128*kib, 32 * kib}}},
		{"a bus with an offset", devices.Constraints{Contiguous: true, AddressRanges: []devices.AddressRange{{Base: gib, Size: gib, BusOffset: gib}}}, "", nil,
			buffer(gib+mib, mib), 0, []Segment{{mib, mib}}},
		{"a bus with two offsets", devices.Constraints{AddressRanges: []devices.AddressRange{{Base: 0, Size: gib}, {Base: gib, Size: gib, BusOffset: gib}}}, "", nil,
			buffer(gib-4*kib, 8*kib), 0, []Segment{{gib - 4*kib, 4 * kib}, {0, 4 * kib}}},
		{"an IOMMU makes one range", devices.Constraints{}, "", domainOf(4*kib, gib, gib), scattered2(), 0, []Segment{{gib, 128 * kib}}},
		{"by luck, but behind an IOMMU", devices.Constraints{}, "", domainOf(4*kib, gib, gib),
			with(buffer(gib, 64*kib), func(b *Buffer) { b.Chunk = 4 * kib }), 0, []Segment{{gib, 64 * kib}}},
		{"address 0 is kept back", devices.Constraints{}, "", domainOf(4*kib, 0, gib), buffer(gib, 4*kib), 0, []Segment{{4 * kib, 4 * kib}}},
		{"a granule larger than the pages", devices.Constraints{}, "", domainOf(64*kib, gib, gib), buffer(gib+64*kib, 64*kib, gib+mib, 128*kib), 0,
			[]Segment{{gib, 192 * kib}}},
		{"an offset in the first granule", devices.Constraints{}, "", domainOf(64*kib, gib, gib), buffer(gib+60*kib, 8*kib), 0,
			[]Segment{{gib + 60*kib, 8 * kib}}},
		{"an alignment beyond the length", devices.Constraints{Alignment: mib}, "", domainOf(4*kib, gib+4*kib, gib), buffer(gib+4*kib, 4*kib), 0, []Segment{{gib + mib, 4 * kib}}},
		{"protected memory accepted", devices.Constraints{Protected: devices.ProtectedAccepts}, "", nil, with(buffer(gib, 4*kib), func(b *Buffer) { b.Protected = true }), 0,
			[]Segment{{gib, 4 * kib}}},
		{"protected memory required", devices.Constraints{Protected: devices.ProtectedRequires}, "", nil, with(buffer(gib, 4*kib), func(b *Buffer) { b.Protected = true }), 0,
			[]Segment{{gib, 4 * kib}}},
	} {
		t.Run(r.name, func(t *testing.T) {
			d := one(t, r.c, r.class, r.domain)
			require.NoError(t, d.Check(r.buffer, r.need))
			m, err := d.Map(r.buffer, r.need)
			require.NoError(t, err)
			assert.Equal(t, r.want, segments(m))
			assert.Equal(t, r.want[0].Addr, m.Addr)
			assert.Equal(t, len(r.want), m.Segments)
			m.End()
			m.End()
			if d.domain != nil {
				assert.Empty(t, d.domain.live)
			}
		})
	}
}

func TestSegmentsCanBeReadInPart(t *testing.T) {
	m, err := one(t, devices.Constraints{MaxSegmentSize: 4 * kib}, "", nil).Map(buffer(gib, mib), 0)
	require.NoError(t, err)
	for s := range m.All {
		assert.Equal(t, Segment{gib, 4 * kib}, s)
		break
	}
}

func TestTwoDevicesOfOneNameAreAnError(t *testing.T) {
	_, err := New([]devices.Importer{{Name: "a"}, {Name: "a"}})
	assert.EqualError(t, err, `device "a" is there twice`)
}

func TestABadDomainIsAnError(t *testing.T) {
	_, err := New([]devices.Importer{{Name: "a", Domain: domainOf(3, 0, mib)}})
	assert.ErrorContains(t, err, `IOMMU "iommu": invalid pool`)
}

func TestEveryClassHasItsErrnos(t *testing.T) {
	known := devices.DriverClasses()
	for class, row := range classes {
		assert.True(t, slices.Contains(known, class), class)
		for f, errno := range row {
			if failure(f) != unmapped {
				assert.NotEqual(t, passed, errno, "%v %d: only a mapping has an errno to hand on", class, f)
			}
		}
	}
	for _, class := range known {
		assert.Contains(t, classes, class)
	}
}

// Whom a negotiation finds no heap for, the heap's buffers are refused to; and the other way round.
func TestAttachAgreesWithNegotiation(t *testing.T) {
	type from struct {
		heap   devices.Heap
		buffer *Buffer
	}
	chunks := []devices.Bytes{1 << 20, 64 << 10, 4096}
	snoops, uncached := []devices.Coherency{devices.CoherencySnoops}, []devices.Coherency{devices.CoherencyUncached}
	heaps := []from{
		{devices.Heap{Name: "system", Base: gib, Size: 8 * gib, Chunks: chunks, Coherency: snoops}, buffer(gib, 64*kib, gib+mib, 64*kib)},
		{devices.Heap{Name: "low", Base: gib, Size: gib, Chunks: chunks, Coherency: snoops}, buffer(gib, 128*kib)},
		{devices.Heap{Name: "cma", Base: 2 * gib, Size: gib, Coherency: snoops}, buffer(2*gib, 128*kib)},
		{devices.Heap{Name: "coherent", Base: 3 * gib, Size: gib, Coherency: uncached}, buffer(3*gib, 128*kib)},
		{devices.Heap{Name: "tee", Base: 3 * gib, Size: gib, Protected: true}, buffer(3*gib, 128*kib)},
	}
	for i := range heaps {
		h, b := &heaps[i].heap, heaps[i].buffer
		b.Home.Addr, b.Home.Len, b.Coherency, b.Protected = uint64(h.Base), uint64(h.Size), h.Coherency, h.Protected
		if len(h.Chunks) > 0 {
			b.Chunk = uint64(h.Chunks[len(h.Chunks)-1])
		}
	}
	size := devices.Bytes(128 * kib)
	for _, contiguous := range []bool{false, true} {
		for _, ranges := range [][]devices.AddressRange{nil, below4G} {
			for _, granule := range []devices.Bytes{0, 4 * kib, 64 * kib} {
				for _, protected := range append(devices.Protecteds(), "") {
					for _, coherency := range [][]devices.Coherency{nil, snoops} {
						c := devices.Constraints{Contiguous: contiguous, AddressRanges: ranges, IOMMUGranule: granule, Protected: protected, Coherency: coherency}
						var dom *devices.Domain
						if granule != 0 {
							dom = domainOf(uint64(granule), 0, 4*gib)
						}
						d := one(t, c, "", dom)
						for _, h := range heaps {
							r := devices.Negotiate([]devices.Heap{h.heap}, []devices.Device{{Name: "dev", Constraints: c}}, devices.Ask{Size: size})
							err := d.Check(h.buffer, 0)
							assert.Equal(t, r.Choice != nil, err == nil, "%+v\n%s: %+v\n%v", c, h.heap.Name, r.Heaps, err)
						}
					}
				}
			}
		}
	}
}
