package sysfs

import (
	"fmt"
	"path"
	"strings"

	"github.com/heapfs/heapfs/devices"
)

// device is a device as its bus shows it, and beside that the ways to its heaps.
func (l *list) device(d *Device) {
	dir := d.Path
	if !d.Present {
		l.dir(dir)
		l.link(dir+"/subsystem", "bus/"+bus(dir))
		if bus(dir) == platformBus {
			l.openFirmware(d)
		} else {
			l.file(dir+"/uevent", 0o644, "")
		}
		l.power(dir)
		l.link(BusLink(d), dir)
	}
	if d.Heap != "" {
		l.link(dir+"/dma_heap", deviceHeaps+"/"+d.Heap)
	}
	l.dir(dir + "/dma_heaps")
	for _, name := range d.Serving {
		l.link(dir+"/dma_heaps/"+name, deviceHeaps+"/"+name)
	}
	l.constraints(dir+"/dma_constraints", &d.Constraints)
}

const platformBus = "platform"

// bus is the name of the bus that a device's directory belongs to.
func bus(dir string) string {
	if strings.HasPrefix(dir, "devices/pci") {
		return "pci"
	}
	return platformBus
}

// BusLink is the path, below /sys, of a device's entry in the list of its bus.
func BusLink(d *Device) string {
	return "bus/" + bus(d.Path) + "/devices/" + path.Base(d.Path)
}

// openFirmware is what the platform bus says of a device from a device tree (drivers/base/platform.c, drivers/of/device.c), as far as
// a board tells it.
func (l *list) openFirmware(d *Device) {
	_, name, ok := strings.Cut(path.Base(d.Path), ".")
	if !ok {
		name = path.Base(d.Path)
		name = name[strings.LastIndexByte(name, ':')+1:]
	}
	l.file(d.Path+"/driver_override", 0o644, "(null)\n")
	if len(d.Compatible) == 0 {
		l.file(d.Path+"/modalias", 0o444, "platform:%s\n", path.Base(d.Path))
		l.file(d.Path+"/uevent", 0o644, "MODALIAS=platform:%s\n", path.Base(d.Path))
		return
	}
	alias := "of:N" + name + "T(null)"
	event := "OF_NAME=" + name + "\n"
	for i, c := range d.Compatible {
		alias += "C" + strings.ReplaceAll(c, " ", "_")
		event += fmt.Sprintf("OF_COMPATIBLE_%d=%s\n", i, c)
	}
	event += fmt.Sprintf("OF_COMPATIBLE_N=%d\nMODALIAS=%s\n", len(d.Compatible), alias)
	l.file(d.Path+"/modalias", 0o444, "%s\n", alias)
	l.file(d.Path+"/uevent", 0o644, "%s", event)
}

// constraints is one attribute for each thing that the device asks of a buffer. What it does not ask for has no attribute, but for the
// two that are always answered.
func (l *list) constraints(dir string, c *devices.Constraints) {
	l.dir(dir)
	attribute := func(name, format string, args ...any) { l.file(dir+"/"+name, 0o444, format+"\n", args...) }
	number := func(name string, n uint64) {
		if n != 0 {
			attribute(name, "%d", n)
		}
	}
	contiguous := 0
	if c.Contiguous {
		contiguous = 1
	}
	attribute("contiguous", "%d", contiguous)
	protected := c.Protected
	if protected == "" {
		protected = devices.ProtectedRefuses
	}
	attribute("protected", "%s", protected)
	if len(c.AddressRanges) > 0 {
		var lines []string
		for _, r := range c.AddressRanges {
			lines = append(lines, fmt.Sprintf("%#x %#x %#x", uint64(r.Base), uint64(r.Base)+uint64(r.Size)-1, uint64(r.BusOffset)))
		}
		attribute("address_ranges", "%s", strings.Join(lines, "\n"))
	}
	number("alignment", uint64(c.Alignment))
	number("pitch_alignment", uint64(c.PitchAlignment))
	number("max_pitch", uint64(c.MaxPitch))
	number("max_size", uint64(c.MaxSize))
	number("max_segments", uint64(c.MaxSegments))
	number("max_segment_size", uint64(c.MaxSegmentSize))
	number("segment_boundary", uint64(c.SegmentBoundary))
	number("iommu_granule", uint64(c.IOMMUGranule))
	if len(c.Coherency) > 0 {
		words := make([]string, len(c.Coherency))
		for i, w := range c.Coherency {
			words[i] = string(w)
		}
		attribute("coherency", "%s", strings.Join(words, " "))
	}
}
