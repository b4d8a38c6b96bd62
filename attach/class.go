package attach

import (
	"syscall"

	"github.com/heapfs/heapfs/devices"
)

// failure is why a device can't use a buffer, as far as drivers tell it apart.
type failure int

const (
	// unmapped: the DMA mapping failed. It has an errno of its own (dma_map_sgtable in kernel/dma/mapping.c), which drivers pass on or
	// replace.
	unmapped failure = iota
	// scattered: the device needs one range, and the first one is shorter than the buffer.
	scattered
	// tooMany: more ranges than the device's list takes.
	tooMany
	// tooLong: the buffer is longer than the device takes.
	tooLong
	// noCPU: the driver works through the CPU, and the buffer has no mapping for it.
	noCPU
	failures
)

// passed says that a class hands on the errno of the DMA mapping.
const passed syscall.Errno = 0

// classes are the errnos by driver class. Drivers have checks of their own beside those of the helpers that most of them share; where
// the helper has none, the errno is the one that its callers use.
//
// vb2-dma-contig: vb2_dc_map_dmabuf gives EINVAL ("Error getting dmabuf scatterlist") whatever the mapping failed with, and EFAULT when
// the first contiguous chunk is smaller than the plane; VIDIOC_QBUF hands both on. A buffer in several ranges is too scattered before its
// ranges are counted.
//
// vb2-dma-sg: vb2_dma_sg_map_dmabuf gives EINVAL likewise, and takes any list; what a driver can't put into its descriptors it refuses with
// ENOMEM, as when there is no memory for them.
//
// vb2-vmalloc: vb2_vmalloc_map_dmabuf gives EFAULT when the exporter has no kernel mapping to give.
//
// drm-dma: drm_gem_dma_prime_import_sg_table gives EINVAL for what is not contiguous; DRM_IOCTL_PRIME_FD_TO_HANDLE hands on the mapping's
// errno (drm_gem_prime_import_dev).
//
// drm-shmem: drm_gem_shmem_prime_import_sg_table takes any list.
//
// dma-buf: dma_buf_map_attachment hands on what the exporter's map_dma_buf says.
var classes = map[devices.DriverClass][failures]syscall.Errno{
	devices.ClassVB2DMAContig: {
		unmapped: syscall.EINVAL, scattered: syscall.EFAULT, tooMany: syscall.EFAULT, tooLong: syscall.EINVAL, noCPU: syscall.EINVAL,
	},
	devices.ClassVB2DMASG: {
		unmapped: syscall.EINVAL, scattered: syscall.ENOMEM, tooMany: syscall.ENOMEM, tooLong: syscall.EINVAL, noCPU: syscall.EINVAL,
	},
	devices.ClassVB2Vmalloc: {
		unmapped: syscall.EFAULT, scattered: syscall.EFAULT, tooMany: syscall.EFAULT, tooLong: syscall.EINVAL, noCPU: syscall.EFAULT,
	},
	devices.ClassDRMDMA: {
		unmapped: passed, scattered: syscall.EINVAL, tooMany: syscall.EINVAL, tooLong: syscall.EINVAL, noCPU: syscall.EINVAL,
	},
	devices.ClassDRMShmem: {
		unmapped: passed, scattered: syscall.EINVAL, tooMany: syscall.ENOMEM, tooLong: syscall.EINVAL, noCPU: syscall.EINVAL,
	},
	devices.ClassDMABuf: {
		unmapped: passed, scattered: syscall.EINVAL, tooMany: syscall.EINVAL, tooLong: syscall.EINVAL, noCPU: syscall.EINVAL,
	},
}

// The errnos of a DMA mapping that fails (dma_map_sgtable, kernel/dma/mapping.c).
const (
	// errReach: an address beyond what the device reaches. A kernel that may bounce the buffer (swiotlb) does so for small segments and
	// fails for others; here it fails always.
	errReach = syscall.EIO
	// errIOVA: no room in the IOMMU's aperture.
	errIOVA = syscall.ENOMEM
	// errOther: the exporter or the driver does not deal with such a buffer at all.
	errOther = syscall.EINVAL
)

func errnoOf(class devices.DriverClass, f failure, dma syscall.Errno) syscall.Errno {
	row, ok := classes[class]
	if !ok {
		row = classes[devices.ClassDMABuf]
	}
	if row[f] == passed {
		return dma
	}
	return row[f]
}
