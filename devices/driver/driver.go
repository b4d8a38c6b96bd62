package driver

// Class says what a device is for.
type Class string

// The classes of devices that import buffers of media.
const (
	Codec   Class = "codec"   // encodes or decodes video
	JPEG    Class = "jpeg"    // encodes or decodes still images
	Camera  Class = "camera"  // writes what a sensor or a video input delivers
	ISP     Class = "isp"     // processes what a sensor delivers
	Scaler  Class = "scaler"  // scales, rotates, blends, deinterlaces: memory to memory
	Display Class = "display" // scans out
	GPU     Class = "gpu"     // renders
	NPU     Class = "npu"     // neural networks
	DSP     Class = "dsp"     // programmable, given buffers by a driver such as fastrpc
)

// Classes lists the classes in the order of their declaration.
func Classes() []Class {
	return []Class{Codec, JPEG, Camera, ISP, Scaler, Display, GPU, NPU, DSP}
}

// Import says how a driver takes a buffer that it did not allocate.
type Import string

// The ways of importing.
const (
	// VB2Contig is videobuf2-dma-contig: one segment as the device sees it, else EFAULT at QBUF.
	VB2Contig Import = "vb2-dma-contig"
	// VB2SG is videobuf2-dma-sg: any segments.
	VB2SG Import = "vb2-dma-sg"
	// VB2Vmalloc is videobuf2-vmalloc: the driver maps the buffer for the CPU and the device never sees it.
	VB2Vmalloc Import = "vb2-vmalloc"
	// DRMDMA is the GEM DMA helper (drm_gem_dma_helper.c): one segment as the device sees it, else EINVAL at the import.
	DRMDMA Import = "drm-dma"
	// DRMShmem is a DRM driver that takes any segments, as those on the GEM shmem helper do, and maps them itself: by an MMU of its
	// own or into an IOMMU domain that it manages.
	DRMShmem Import = "drm-shmem"
	// DMABuf is a driver that attaches by itself, without V4L2 or DRM, and takes any segments.
	DMABuf Import = "dma-buf"
)

// Contiguous says whether the driver needs one segment where no IOMMU is in front of the device.
func (i Import) Contiguous() bool { return i == VB2Contig || i == DRMDMA }

// Knowledge is what a driver knows of a device and the device tree doesn't say.
type Knowledge struct {
	// Compatible string that the driver matches.
	Compatible string
	Class      Class
	Import     Import
	// Source is the file of the Linux kernel (6.12, unless the entry says otherwise) that all of this was read in.
	Source string

	// OwnMMU: the device has an MMU of its own, of which the tree says nothing and which the driver fills page by page.
	OwnMMU bool
	// MaskBits is the driver's DMA mask in bits: the device's addresses are below 2^MaskBits. Zero is 32, which is what a
	// platform device has whose driver sets none (setup_pdev_dma_masks in drivers/base/platform.c).
	MaskBits int
	// Through is the property that names the device through which this one masters memory: its IOMMU is the one that counts.
	Through string
	// PitchAlignment of images, in bytes; zero where the driver asks for nothing.
	PitchAlignment uint64
	// Alignment of a buffer's start, in bytes; zero where the driver asks for nothing.
	Alignment uint64
}

// Limit is the size of the device's address space in bytes: 2^MaskBits; zero for all 64 bits.
func (k *Knowledge) Limit() uint64 {
	switch {
	case k.MaskBits == 0:
		return 1 << 32
	case k.MaskBits >= 64:
		return 0
	}
	return 1 << k.MaskBits
}

// Find gives the knowledge of the first of the compatible strings of which there is any, most specific first; nil without.
func Find(compatible []string) *Knowledge {
	for _, c := range compatible {
		if k, ok := index[c]; ok {
			return k
		}
	}
	return nil
}

// Table gives all that is known, sorted by class and source.
func Table() []Knowledge { return append([]Knowledge(nil), table...) }

// index is made once; building it costs less than a search through the table for each node of a tree.
var index = func() map[string]*Knowledge {
	m := make(map[string]*Knowledge, len(table))
	for i := range table {
		m[table[i].Compatible] = &table[i]
	}
	return m
}()

// Unit is what is known of an IOMMU.
type Unit struct {
	Compatible string
	Source     string
	// Granule is the smallest page that it maps, in bytes.
	Granule uint64
	// Base and Size are the IOVAs that it hands out, in bytes.
	Base, Size uint64
}

// FindUnit gives what is known of an IOMMU by its compatible strings; nil without.
func FindUnit(compatible []string) *Unit {
	for _, c := range compatible {
		for i := range units {
			if units[i].Compatible == c {
				return &units[i]
			}
		}
	}
	return nil
}
