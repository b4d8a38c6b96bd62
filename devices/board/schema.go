package board

import (
	"fmt"

	"github.com/heapfs/heapfs/devices"
)

// APIVersion is the schema that this package writes.
const APIVersion = "heapfs/v1"

// draftVersion is how the schema was called before boards came from device trees. Everything in it means the same in APIVersion, as
// which it is read.
const draftVersion = "heapfs/v1alpha1"

// PageSize is the unit of all pool and memory sizes, in bytes. Board files
// describe 4 KiB systems whatever the host's own page size is.
const PageSize = 4096

// MaxNodes is the number of heap nodes a kernel can have (NUM_HEAP_MINORS in
// drivers/dma-buf/dma-heap.c).
const MaxNodes = 128

// Board is a board profile as its file declares it: optional fields that are
// absent stay empty here. PoolSpecs and Nodes give what follows from it.
// Boards made in Go rather than by Parse are checked by Validate.
type Board struct {
	// APIVersion is APIVersion.
	APIVersion string `yaml:"apiVersion" json:"apiVersion"`
	// Name of the board, as its device tree is called: "imx8mq-evk".
	Name string `yaml:"name" json:"name"`
	// Description is free text for people.
	Description string `yaml:"description,omitempty" json:"description,omitempty"`
	// Memory is the physical memory. No two regions overlap.
	Memory []Memory `yaml:"memory,omitempty" json:"memory,omitempty"`
	// Pools are where buffers come from.
	Pools []Pool `yaml:"pools,omitempty" json:"pools,omitempty"`
	// Heaps are the named nodes over the pools, in the order of the listing.
	Heaps []Heap `yaml:"heaps,omitempty" json:"heaps,omitempty"`
	// IOMMUs are the translating units in front of devices.
	IOMMUs []IOMMU `yaml:"iommus,omitempty" json:"iommus,omitempty"`
	// Devices each get a heap node of their own name.
	Devices []Device `yaml:"devices,omitempty" json:"devices,omitempty"`
	// Policy maps a usage ("camera", "video-decode") to a heap's name or
	// alias, as Android's gralloc does.
	Policy map[string]string `yaml:"policy,omitempty" json:"policy,omitempty"`
	// Export is how buffers are handed out unless the command line says
	// otherwise. Empty means ExportAuto.
	Export Export `yaml:"export,omitempty" json:"export,omitempty"`
	// UAPI is what heap nodes take beyond today's interface; nil is nothing.
	UAPI *UAPI `yaml:"uapi,omitempty" json:"uapi,omitempty"`
}

// UAPI makes heap nodes take what a proposal adds to DMA_HEAP_IOCTL_ALLOC.
type UAPI struct {
	// HeapFlags are the bits of heap_flags that are taken. They have no effect
	// of their own.
	HeapFlags Flags `yaml:"heapFlags,omitempty" json:"heapFlags,omitempty"`
	// AllocSize is the size of the struct in bytes, a multiple of 8 from 24 to
	// MaxAllocSize; zero is 24. Its fields beyond today's are kept as they are.
	AllocSize devices.Bytes `yaml:"allocSize,omitempty" json:"allocSize,omitempty"`
}

// MaxAllocSize bounds UAPI.AllocSize, in bytes.
const MaxAllocSize = 4096

// Flags is a set of bits, written as hexadecimal to YAML.
type Flags uint64

// MarshalYAML writes hexadecimal.
func (f Flags) MarshalYAML() ([]byte, error) { return fmt.Appendf(nil, "%#x", uint64(f)), nil }

// Memory is a range of physical memory.
type Memory struct {
	// Name is unique among memory and reserved regions.
	Name string `yaml:"name" json:"name"`
	// Base is the physical address, a multiple of PageSize.
	Base devices.Address `yaml:"base" json:"base"`
	// Size in bytes, a multiple of PageSize, not zero.
	Size devices.Bytes `yaml:"size" json:"size"`
	// Reserved are sub-regions set aside, as under /reserved-memory in a
	// device tree. A pool of the memory itself is never placed in one.
	Reserved []Reserved `yaml:"reserved,omitempty" json:"reserved,omitempty"`
}

// Reserved is a part of a memory region that only pools which name it use.
type Reserved struct {
	Name string          `yaml:"name" json:"name"`
	Base devices.Address `yaml:"base" json:"base"`
	Size devices.Bytes   `yaml:"size" json:"size"`
}

// Kind says how a pool hands out memory.
type Kind string

// The kinds of pools.
const (
	// KindContiguous: one extent a buffer (the kernel's CMA).
	KindContiguous Kind = "contiguous"
	// KindScatter: pages of several orders (the kernel's system heap).
	KindScatter Kind = "scatter"
	// KindCoherent: one extent a buffer from a device's own reserved region
	// (a shared-dma-pool without reusable).
	KindCoherent Kind = "coherent"
	// KindProtected: one extent a buffer without a CPU mapping (TEE heaps).
	KindProtected Kind = "protected"
)

// Kinds lists the kinds of pools in the order of their declaration.
func Kinds() []Kind {
	return []Kind{KindContiguous, KindScatter, KindCoherent, KindProtected}
}

// Export is a way of handing out buffers.
type Export string

// The exports a board may ask for.
const (
	ExportAuto    Export = "auto"
	ExportMemfd   Export = "memfd"
	ExportFUSE    Export = "fuse"
	ExportUdmabuf Export = "udmabuf"
)

// Exports lists the exports in the order of their declaration.
func Exports() []Export {
	return []Export{ExportAuto, ExportMemfd, ExportFUSE, ExportUdmabuf}
}

// Pages is the page size of a pool's backing store, in bytes: Pages4K or
// Pages2M. It is written as 4K or 2M.
type Pages uint64

// The page sizes of a pool.
const (
	Pages4K Pages = 4 << 10
	Pages2M Pages = 2 << 20
)

// String gives 4K or 2M.
func (p Pages) String() string {
	if p == Pages2M {
		return "2M"
	}
	return "4K"
}

// MarshalYAML writes the form of String.
func (p Pages) MarshalYAML() ([]byte, error) { return []byte(p.String()), nil }

// Pool is a part of a region from which buffers are allocated.
type Pool struct {
	// Name is unique among pools.
	Name string `yaml:"name" json:"name"`
	// Kind of the pool.
	Kind Kind `yaml:"kind" json:"kind"`
	// Region is the name of a memory or reserved region. It may be left out
	// when the board has one memory region only.
	Region string `yaml:"region,omitempty" json:"region,omitempty"`
	// Base is the physical address, a multiple of the page size. Without it
	// the pool is placed, see PoolSpecs.
	Base *devices.Address `yaml:"base,omitempty" json:"base,omitempty"`
	// Size in bytes, a multiple of the page size. Zero takes the largest free
	// part of the region; only a scatter pool and a pool of a reserved region
	// may do that.
	Size devices.Bytes `yaml:"size,omitempty" json:"size,omitempty"`
	// Align caps the natural alignment of extents, in bytes: a buffer of 5 MiB
	// would be aligned to 8 MiB, and is to Align when that is less. A power of
	// two of PageSize or more; zero is 1 MiB for contiguous pools
	// (CONFIG_CMA_ALIGNMENT 8), no cap for coherent ones, one page for others.
	Align devices.Bytes `yaml:"align,omitempty" json:"align,omitempty"`
	// Pages of the store behind the pool; zero is Pages4K.
	Pages Pages `yaml:"pages,omitempty" json:"pages,omitempty"`
}

// Mode is the permission bits of a node, 0 to 0777, always octal in YAML and
// in JSON ("0600").
type Mode uint32

// DefaultMode is the mode of nodes without one: that of the kernel's nodes.
const DefaultMode Mode = 0o600

// String gives four octal digits: 0600.
func (m Mode) String() string { return fmt.Sprintf("%04o", uint32(m)) }

// MarshalYAML writes the form of String, quoted: YAML readers disagree on
// whether a leading zero is octal.
func (m Mode) MarshalYAML() ([]byte, error) { return []byte(`"` + m.String() + `"`), nil }

// MarshalText writes the form of String.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// Heap is a named node over a pool. Several heaps may share one.
type Heap struct {
	// Name of the node, unique over heaps, aliases and devices.
	Name string `yaml:"name" json:"name"`
	// Pool is the name of a pool.
	Pool string `yaml:"pool" json:"pool"`
	// Aliases are further names over the same pool. As on a kernel with legacy
	// names, each is a heap of its own with its own exp_name.
	Aliases []string `yaml:"aliases,omitempty" json:"aliases,omitempty"`
	// Mode of the nodes; nil is DefaultMode.
	Mode *Mode `yaml:"mode,omitempty" json:"mode,omitempty"`
	// Owner of the nodes: UID, UID:GID, root, or empty for the user that the
	// program runs as. Numbers only, so that a board means the same anywhere.
	Owner string `yaml:"owner,omitempty" json:"owner,omitempty"`
	// Quota limits the bytes allocated through this heap, its aliases and its
	// device nodes together. Zero is no limit but the pool's size.
	Quota devices.Bytes `yaml:"quota,omitempty" json:"quota,omitempty"`
	// Default marks the default CMA heap, of a contiguous pool. Without a mark
	// it is the first heap with one of the kernel's names for it.
	Default bool `yaml:"default,omitempty" json:"default,omitempty"`
	// Links are symbolic links to the node in the same directory, as udev
	// rules make them. They are no heaps: sysfs does not show them.
	Links []string `yaml:"links,omitempty" json:"links,omitempty"`
	// Uncached says that the CPU's mappings are uncached: what is kept coherent
	// by that alone can use the heap. It says so only: mappings are as any.
	Uncached bool `yaml:"uncached,omitempty" json:"uncached,omitempty"`
}

// IOMMU is a translating unit in front of devices.
type IOMMU struct {
	// Name is unique among IOMMUs.
	Name string `yaml:"name" json:"name"`
	// Granule is the smallest page it maps, in bytes: a power of two of
	// PageSize or more; zero is PageSize.
	Granule devices.Bytes `yaml:"granule,omitempty" json:"granule,omitempty"`
	// Aperture is the range of IOVAs it hands out; nil is 0 to 4 GiB.
	Aperture *Aperture `yaml:"aperture,omitempty" json:"aperture,omitempty"`
}

// Aperture is a range of IOVAs, both ends multiples of the granule.
type Aperture struct {
	Base devices.Address `yaml:"base" json:"base"`
	Size devices.Bytes   `yaml:"size" json:"size"`
}

// Device is a device that imports buffers.
type Device struct {
	// Name as of_device_make_bus_id (drivers/of/platform.c) makes it and
	// /sys/bus/platform/devices lists it: "38300000.video-codec". Unique over
	// heaps, aliases and devices.
	Name string `yaml:"name" json:"name"`
	// Compatible strings of the device tree node, most specific first.
	Compatible []string `yaml:"compatible,omitempty" json:"compatible,omitempty"`
	// Sysfs is the device's directory, under /sys/devices and ending in Name;
	// empty is /sys/devices/platform/Name.
	Sysfs string `yaml:"sysfs,omitempty" json:"sysfs,omitempty"`
	// IOMMU is the name of an IOMMU; empty is none.
	IOMMU string `yaml:"iommu,omitempty" json:"iommu,omitempty"`
	// MemoryRegion is the name of the coherent pool that is the device's own.
	MemoryRegion string `yaml:"memoryRegion,omitempty" json:"memoryRegion,omitempty"`
	// Constraints of the device; nil has none.
	Constraints *devices.Constraints `yaml:"constraints,omitempty" json:"constraints,omitempty"`
	// Heap is the heap (name or alias) of the device's node, when the rule of
	// Nodes would choose another.
	Heap string `yaml:"heap,omitempty" json:"heap,omitempty"`
	// DriverClass says how the device's driver answers when a buffer does not
	// suit it; empty is devices.DefaultDriverClass.
	DriverClass devices.DriverClass `yaml:"driverClass,omitempty" json:"driverClass,omitempty"`
}

// SysfsPath gives Sysfs, or its default.
func (d *Device) SysfsPath() string {
	if d.Sysfs != "" {
		return d.Sysfs
	}
	return "/sys/devices/platform/" + d.Name
}
