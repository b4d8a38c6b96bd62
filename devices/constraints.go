package devices

// Constraints is what one device asks of a buffer. The zero value asks for
// nothing: any memory will do. All lengths, alignments and addresses are in
// bytes; a zero number means "no such constraint".
//
// Contiguous, AddressRanges, IOMMUGranule, Coherency and Protected are about
// placement. MaxSize and the three segment limits depend on the buffer's
// length. Alignment, PitchAlignment and MaxPitch are about layout.
type Constraints struct {
	// Contiguous says that the device needs physically one segment, as a
	// device without an IOMMU and without scatter-gather does.
	Contiguous bool `yaml:"contiguous,omitempty" json:"contiguous,omitempty"`

	// AddressRanges are the physical addresses the device reaches. Empty means
	// all of them. Ranges, not masks: two masks cannot be ANDed when the
	// devices sit behind buses with different offsets.
	AddressRanges []AddressRange `yaml:"addressRanges,omitempty" json:"addressRanges,omitempty"`

	// Alignment of the buffer's start, a power of two.
	Alignment Bytes `yaml:"alignment,omitempty" json:"alignment,omitempty"`

	// PitchAlignment is the alignment of the distance between two lines. It
	// need not be a power of two; two devices merge by least common multiple.
	PitchAlignment Bytes `yaml:"pitchAlignment,omitempty" json:"pitchAlignment,omitempty"`

	// MaxPitch is the largest distance between two lines.
	MaxPitch Bytes `yaml:"maxPitch,omitempty" json:"maxPitch,omitempty"`

	// MaxSize is the largest buffer.
	MaxSize Bytes `yaml:"maxSize,omitempty" json:"maxSize,omitempty"`

	// MaxSegments is the largest number of scatter-gather segments.
	MaxSegments uint32 `yaml:"maxSegments,omitempty" json:"maxSegments,omitempty"`

	// MaxSegmentSize is the largest segment
	// (struct device_dma_parameters.max_segment_size).
	MaxSegmentSize Bytes `yaml:"maxSegmentSize,omitempty" json:"maxSegmentSize,omitempty"`

	// SegmentBoundary is a power of two: no segment may cross a multiple of it
	// (the kernel's segment_boundary_mask plus one).
	SegmentBoundary Bytes `yaml:"segmentBoundary,omitempty" json:"segmentBoundary,omitempty"`

	// IOMMUGranule is a power of two: behind its IOMMU the device sees one
	// contiguous range when every segment is a multiple of it. Zero takes the
	// granule of the IOMMU itself.
	IOMMUGranule Bytes `yaml:"iommuGranule,omitempty" json:"iommuGranule,omitempty"`

	// Coherency lists the ways in which the device can be kept coherent with
	// the CPU. Empty means that the device does not care.
	Coherency []Coherency `yaml:"coherency,omitempty" json:"coherency,omitempty"`

	// Protected says what the device makes of memory without a CPU mapping.
	// Empty means ProtectedRefuses.
	Protected Protected `yaml:"protected,omitempty" json:"protected,omitempty"`
}

// AddressRange is a range of physical addresses as the CPU counts them, with
// the offset of the bus through which a device sees it.
type AddressRange struct {
	// Base is the first physical address (CPU view).
	Base Address `yaml:"base" json:"base"`
	// Size in bytes, at least 1.
	Size Bytes `yaml:"size" json:"size"`
	// BusOffset is subtracted from a physical address to get the device's
	// address: the kernel's bus_dma_region.cpu_start - dma_start. At most Base,
	// and negative where the device sees memory higher than the CPU does.
	BusOffset Offset `yaml:"busOffset,omitempty" json:"busOffset,omitempty"`
}

// Coherency is one way of keeping a device and the CPU's caches coherent.
type Coherency string

// The capabilities of which a device and a heap must share one.
const (
	// CoherencySnoops: the device snoops the CPU's caches (dma-coherent).
	CoherencySnoops Coherency = "snoops"
	// CoherencyUncached: the CPU's mapping of the buffer is uncached.
	CoherencyUncached Coherency = "uncached"
	// CoherencySync: the program brackets CPU access with DMA_BUF_IOCTL_SYNC.
	CoherencySync Coherency = "sync"
)

// Coherencies lists the known capabilities in the order of their declaration.
func Coherencies() []Coherency {
	return []Coherency{CoherencySnoops, CoherencyUncached, CoherencySync}
}

// Protected is a device's attitude to memory that the CPU cannot map.
type Protected string

// The three attitudes.
const (
	ProtectedRefuses  Protected = "refuses"
	ProtectedAccepts  Protected = "accepts"
	ProtectedRequires Protected = "requires"
)

// Protecteds lists the known attitudes in the order of their declaration.
func Protecteds() []Protected {
	return []Protected{ProtectedRefuses, ProtectedAccepts, ProtectedRequires}
}
