package dtb

import (
	"fmt"
	"slices"

	"github.com/heapfs/heapfs/devices"
	"github.com/heapfs/heapfs/devices/board"
	"github.com/heapfs/heapfs/devices/driver"
)

// devices puts the media devices on the board.
func (im *importer) devices() {
	for _, c := range im.t.Candidates() {
		name := c.Node.DeviceName()
		skip := func(reason string) {
			im.out.Skipped = append(im.out.Skipped, Skipped{c.Node.Path(), name, c.Class, reason})
		}
		switch {
		case c.Known == nil:
			skip("not a media device")
		case c.Node.below("reserved-memory"):
			skip("a region of memory")
		case board.CheckName(name) != nil:
			skip(board.CheckName(name).Error())
		case im.names[name]:
			skip("its name is taken")
		case !im.free(name):
			skip(fmt.Sprintf("the %d nodes that a kernel has are used up", board.MaxNodes))
		default:
			im.device(c, name)
		}
	}
}

func (n *Node) below(name string) bool {
	for ; n.Parent != nil; n = n.Parent {
		if n.Parent.Parent == nil && n.Name == name {
			return true
		}
	}
	return false
}

func (im *importer) device(c Candidate, name string) {
	o := Origin{Candidate: c, Aliases: im.t.Aliases(c.Node)}
	note := func(format string, args ...any) {
		o.Notes = append(o.Notes, board.Printable(fmt.Sprintf(format, args...)))
	}
	d := board.Device{Name: name, DriverClass: devices.DriverClass(c.Known.Import)}
	for _, s := range c.Node.Compatible() {
		if s = board.Printable(s); s != "" {
			d.Compatible = append(d.Compatible, s)
		}
	}
	if path := c.Node.SysfsPath(); board.CheckPath(path) == nil && path != "/sys/devices/platform/"+name {
		d.Sysfs = path
	}
	master := c.Node
	if through := c.Known.Through; through != "" {
		if to := im.t.references(c.Node, through, ""); len(to) > 0 {
			master = to[0]
		}
	}
	d.IOMMU = im.iommu(master, note)
	k := devices.Constraints{
		Coherency:      im.coherency(master),
		PitchAlignment: devices.Bytes(c.Known.PitchAlignment),
		Alignment:      devices.Bytes(c.Known.Alignment),
	}
	if d.IOMMU == "" {
		// Behind an IOMMU the addresses are not memory's.
		k.AddressRanges = im.ranges(master, c.Known, note)
	}
	im.own(c.Node, &d, note)
	if d.IOMMU == "" && d.Heap == "" && d.MemoryRegion == "" {
		if c.Known.Import.Contiguous() {
			k.Contiguous = true
		} else if im.system.size() > 0 && covers(k.AddressRanges, im.system) {
			d.Heap = systemName // an MMU of its own, or a driver that takes segments
		} else {
			note("it takes scattered memory, but does not reach that of the heap system")
		}
	}
	d.Constraints = &k
	im.b.Devices = append(im.b.Devices, d)
	im.out.Origins = append(im.out.Origins, o)
}

// iommu gives the name of the unit in front of a device, and puts that on the board.
func (im *importer) iommu(n *Node, note func(string, ...any)) string {
	units := im.t.references(n, "iommus", "#iommu-cells")
	units = slices.DeleteFunc(units, func(u *Node) bool { return !u.Enabled() })
	if len(units) == 0 {
		if n.Has("iommus") {
			note("the IOMMU of its iommus is disabled or absent")
		}
		return ""
	}
	u := units[0]
	if slices.ContainsFunc(units, func(o *Node) bool { return o != u }) {
		note("its iommus names several units: the first is taken")
	}
	if name, ok := im.units[u]; ok {
		return name
	}
	name := u.DeviceName()
	taken := slices.ContainsFunc(im.b.IOMMUs, func(i board.IOMMU) bool { return i.Name == name })
	if board.CheckName(name) != nil || taken || len(im.b.IOMMUs) >= maxRegions {
		note("its IOMMU %s has no usable name", u.Path())
		return ""
	}
	unit := board.IOMMU{Name: name}
	if k := driver.FindUnit(u.Compatible()); k != nil {
		unit.Granule = devices.Bytes(k.Granule)
		unit.Aperture = &board.Aperture{Base: devices.Address(k.Base), Size: devices.Bytes(k.Size)}
	}
	im.b.IOMMUs = append(im.b.IOMMUs, unit)
	im.units[u] = name
	return name
}

// coherency says how the device is kept coherent (of_dma_is_coherent): by snooping where the tree says so of it or of what it is on.
func (im *importer) coherency(n *Node) []devices.Coherency {
	for hops := 0; n != nil && hops < maxDepth; n, hops = im.t.dmaParent(n), hops+1 {
		if n.Has("dma-coherent") {
			return []devices.Coherency{devices.CoherencySnoops, devices.CoherencySync}
		}
		if n.Has("dma-noncoherent") {
			break
		}
	}
	return []devices.Coherency{devices.CoherencyUncached, devices.CoherencySync}
}

// ranges gives the memory that a device reaches without an IOMMU: what its buses let through, below the driver's limit. None is all.
func (im *importer) ranges(n *Node, known *driver.Knowledge, note func(string, ...any)) []devices.AddressRange {
	ranges := im.t.DMARanges(n)
	limit := known.Limit()
	if len(ranges) == 0 {
		if limit == 0 {
			return nil
		}
		return []devices.AddressRange{{Base: 0, Size: devices.Bytes(limit)}}
	}
	var list []devices.AddressRange
	for _, r := range ranges {
		size := r.Size
		if limit != 0 {
			if r.Bus >= limit {
				continue
			}
			size = min(size, limit-r.Bus)
		}
		if size > -r.CPU && r.CPU != 0 || r.Bus != 0 && size > -r.Bus || int64(r.CPU) < 0 || int64(r.Bus) < 0 {
			note("a range of %#x bytes from %#x, seen at %#x, goes beyond 64 bits: left out", r.Size, r.CPU, r.Bus)
			continue
		}
		list = append(list, devices.AddressRange{
			Base: devices.Address(r.CPU), Size: devices.Bytes(size), BusOffset: devices.Offset(r.CPU - r.Bus),
		})
	}
	if len(list) == 0 {
		note("its driver reaches nothing of what its bus lets through")
		return nil
	}
	return list[:min(len(list), maxRegions)]
}

// covers says whether one of the ranges has all of s; no ranges have everything.
func covers(ranges []devices.AddressRange, s span) bool {
	return len(ranges) == 0 || slices.ContainsFunc(ranges, func(r devices.AddressRange) bool {
		return uint64(r.Base) <= s.base && s.end-uint64(r.Base) <= uint64(r.Size)
	})
}

// own looks at the regions that a device names as its own.
func (im *importer) own(n *Node, d *board.Device, note func(string, ...any)) {
	for _, r := range im.t.references(n, "memory-region", "") {
		switch pool, heap := im.pool[r], im.heap[r]; {
		case pool != "" && d.MemoryRegion == "" && d.Heap == "":
			d.MemoryRegion = pool
		case heap != "" && d.MemoryRegion == "" && d.Heap == "":
			d.Heap = heap
		default:
			note("memory-region %s gives it no buffers", r.Path())
		}
	}
}
