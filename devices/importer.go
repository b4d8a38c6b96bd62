package devices

// DriverClass is the kind of driver that a device has: what it does with a buffer that it can't use, and which errno its callers get
// (package attach has the errnos, each with its source).
type DriverClass string

// The driver classes. Those of videobuf2 are its memory allocators (drivers/media/common/videobuf2), those of DRM its GEM helpers
// (drivers/gpu/drm).
const (
	// ClassVB2DMAContig is videobuf2-dma-contig: one range of device addresses for each plane.
	ClassVB2DMAContig DriverClass = "vb2-dma-contig"
	// ClassVB2DMASG is videobuf2-dma-sg: a list of ranges.
	ClassVB2DMASG DriverClass = "vb2-dma-sg"
	// ClassVB2Vmalloc is videobuf2-vmalloc: the CPU copies, as for a camera on USB.
	ClassVB2Vmalloc DriverClass = "vb2-vmalloc"
	// ClassDRMDMA is drm_gem_dma_helper: one range, as most display controllers need it.
	ClassDRMDMA DriverClass = "drm-dma"
	// ClassDRMShmem is drm_gem_shmem_helper and its like: a list of pages that fills an MMU of the device's own.
	ClassDRMShmem DriverClass = "drm-shmem"
	// ClassDMABuf is any other importer: it answers as the kernel's DMA mapping does.
	ClassDMABuf DriverClass = "dma-buf"
)

// DriverClasses lists the known classes in the order of their declaration.
func DriverClasses() []DriverClass {
	return []DriverClass{ClassVB2DMAContig, ClassVB2DMASG, ClassVB2Vmalloc, ClassDRMDMA, ClassDRMShmem, ClassDMABuf}
}

// TakesLists is whether drivers of the class take a buffer in as many pieces as there are, with or without an IOMMU.
func (c DriverClass) TakesLists() bool {
	return c == ClassVB2DMASG || c == ClassVB2Vmalloc || c == ClassDRMShmem
}

// DefaultDriverClass is the class of a device whose driver is not known, and which is behind an IOMMU or not: videobuf2's, by whether
// it needs one range of addresses.
func DefaultDriverClass(c *Constraints, iommu bool) DriverClass {
	if c.Contiguous || iommu {
		return ClassVB2DMAContig
	}
	return ClassVB2DMASG
}

// Importer is a device as it gets at a buffer.
type Importer struct {
	Name  string      `json:"name"`
	Class DriverClass `json:"class"`
	// Constraints are the device's with all that follows from where it sits.
	Constraints Constraints `json:"constraints"`
	// Domain is the space of addresses that an IOMMU gives it; nil where there is none. Devices of one domain have its name in common.
	Domain *Domain `json:"domain,omitempty"`
}

// Domain is a space of I/O virtual addresses. All of it is in bytes.
type Domain struct {
	Name string `json:"name"`
	// Granule is the smallest page, a power of two of 4096 or more.
	Granule Bytes `json:"granule"`
	// Base and Size are the aperture, both multiples of Granule.
	Base Address `json:"base"`
	Size Bytes   `json:"size"`
}
