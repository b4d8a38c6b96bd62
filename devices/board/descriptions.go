package board

// descriptions are what an editor shows of a key, by its path without indices. docs/boards.md says more.
var descriptions = map[string]string{
	"apiVersion":  "the schema: heapfs/v1 (heapfs/v1alpha1 is read as that)",
	"name":        "the board, called like its device tree",
	"description": "free text",
	"memory":      "physical memory; regions do not overlap",
	"pools":       "where buffers come from",
	"heaps":       "the named nodes over the pools, in the order of the listing",
	"iommus":      "translating units in front of devices",
	"devices":     "devices that import buffers; each gets a node of its name",
	"policy":      "usage: heap, such as camera: default_cma_region",
	"export":      "how buffers are handed out unless the command line says so; default auto",

	"memory.base":     "the first physical address, a multiple of 4KiB",
	"memory.size":     "length, a multiple of 4KiB",
	"memory.reserved": "parts set aside: only pools that name them use them",

	"pools.kind":   "contiguous (CMA), scatter (system heap), coherent (a device's own region) or protected (no CPU mapping)",
	"pools.region": "a memory or reserved region; may be left out when there is one memory only",
	"pools.base":   "physical address; default: the lowest free one",
	"pools.size":   "length; default, for scatter pools and reserved regions: all that is left",
	"pools.align":  "caps the natural alignment of a buffer, a power of two of 4KiB or more",
	"pools.pages":  "page size of the memory behind the pool; default 4K",

	"heaps.pool":    "name of a pool; several heaps may share one",
	"heaps.aliases": "further nodes over the same pool",
	"heaps.mode":    "permission bits, octal; default 0600",
	"heaps.owner":   "UID, UID:GID or root; default: the program's user",
	"heaps.quota":   "limit on the heap, its aliases and its devices' nodes together",
	"heaps.default": "this is the default CMA heap",

	"iommus.granule":  "smallest page that it maps; default 4KiB",
	"iommus.aperture": "range of IOVAs; default the first 4 GiB",

	"devices.name":         "as under /sys/bus/platform/devices: 38300000.video-codec",
	"devices.compatible":   "compatible strings of the device tree node, most specific first",
	"devices.sysfs":        "directory under /sys/devices/ that ends in the name; default /sys/devices/platform/NAME",
	"devices.iommu":        "name of the IOMMU in front of it",
	"devices.memoryRegion": "the coherent pool that is its own",
	"devices.constraints":  "what it asks of a buffer; absent or 0: it does not mind",
	"devices.heap":         "heap (name or alias) of its node, when the rule would choose another",

	"devices.constraints.contiguous":              "needs physically one segment",
	"devices.constraints.addressRanges":           "physical addresses that it reaches",
	"devices.constraints.addressRanges.busOffset": "subtracted from a physical address to get the device's; may be negative",
	"devices.constraints.alignment":               "of the buffer's start, a power of two",
	"devices.constraints.pitchAlignment":          "of the distance between lines",
	"devices.constraints.maxPitch":                "largest distance between lines",
	"devices.constraints.maxSize":                 "largest buffer",
	"devices.constraints.maxSegments":             "most segments",
	"devices.constraints.maxSegmentSize":          "largest segment",
	"devices.constraints.segmentBoundary":         "no segment crosses a multiple of it, a power of two of 4KiB or more",
	"devices.constraints.iommuGranule":            "behind the IOMMU, segments are multiples of it; default: the IOMMU's granule",
	"devices.constraints.coherency":               "ways to keep it coherent with the CPU, any of which will do",
	"devices.constraints.protected":               "memory without a CPU mapping; default refuses",
}
