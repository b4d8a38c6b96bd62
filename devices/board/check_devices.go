package board

import (
	"fmt"
	"path"
	"strings"

	"github.com/heapfs/heapfs/devices"
)

func (c *checker) devices(b *Board) {
	iommus, kinds, heaps := map[string]bool{}, map[string]Kind{}, heapNames(b)
	for _, u := range b.IOMMUs {
		iommus[u.Name] = true
	}
	for _, p := range b.Pools {
		kinds[p.Name] = p.Kind
	}
	for i := range b.Devices {
		d := &b.Devices[i]
		p := fmt.Sprintf("devices[%d]", i)
		for j, s := range d.Compatible {
			q := fmt.Sprintf("%s.compatible[%d]", p, j)
			if s == "" {
				c.fail(q, "is empty")
			}
			c.printable(q, s, false)
		}
		c.sysfs(p+".sysfs", d)
		if d.IOMMU != "" && !iommus[d.IOMMU] {
			c.fail(p+".iommu", "no IOMMU is named %s", quote(d.IOMMU))
		}
		if kind, ok := kinds[d.MemoryRegion]; d.MemoryRegion != "" && !ok {
			c.fail(p+".memoryRegion", "no pool is named %s", quote(d.MemoryRegion))
		} else if ok && kind != KindCoherent {
			c.fail(p+".memoryRegion", "pool %s is %s: a device's own region is coherent", quote(d.MemoryRegion), kind)
		}
		if d.Heap != "" && !heaps[d.Heap] {
			c.fail(p+".heap", "no heap or alias is named %s", quote(d.Heap))
		}
		if d.DriverClass != "" {
			known(c, p+".driverClass", d.DriverClass, devices.DriverClasses())
		}
		if d.Constraints != nil {
			c.constraints(p+".constraints", d.Constraints)
		}
	}
}

func (c *checker) sysfs(at string, d *Device) {
	if d.Sysfs == "" {
		return
	}
	c.printable(at, d.Sysfs, false)
	if !strings.HasPrefix(d.Sysfs, "/sys/devices/") || path.Clean(d.Sysfs) != d.Sysfs {
		c.fail(at, "%s is not a clean path under /sys/devices/", quote(d.Sysfs))
	} else if path.Base(d.Sysfs) != d.Name {
		c.fail(at, "%s does not end in the device's name %s", quote(d.Sysfs), quote(d.Name))
	}
}

func (c *checker) constraints(p string, k *devices.Constraints) {
	for i, r := range k.AddressRanges {
		q := fmt.Sprintf("%s.addressRanges[%d]", p, i)
		if r.Size == 0 {
			c.fail(q+".size", "is 0: expected at least 1")
		} else if uint64(r.Base)+uint64(r.Size)-1 < uint64(r.Base) {
			c.fail(q+".size", "%v from %v goes beyond 64 bits", r.Size, r.Base)
		}
		switch at := uint64(r.Base) - uint64(r.BusOffset); {
		case r.BusOffset > 0 && uint64(r.BusOffset) > uint64(r.Base):
			c.fail(q+".busOffset", "%v is more than the base %v", r.BusOffset, r.Base)
		case r.BusOffset < 0 && (at < uint64(r.Base) || r.Size != 0 && at+uint64(r.Size)-1 < at):
			c.fail(q+".busOffset", "%v from the base %v goes beyond 64 bits", r.BusOffset, r.Base)
		}
	}
	c.power(p+".alignment", k.Alignment, 1)
	c.power(p+".segmentBoundary", k.SegmentBoundary, PageSize)
	c.power(p+".iommuGranule", k.IOMMUGranule, PageSize)
	if k.MaxPitch != 0 && k.PitchAlignment > k.MaxPitch {
		c.fail(p+".pitchAlignment", "%v is more than maxPitch %v", k.PitchAlignment, k.MaxPitch)
	}
	seen := map[devices.Coherency]bool{}
	for i, v := range k.Coherency {
		q := fmt.Sprintf("%s.coherency[%d]", p, i)
		known(c, q, v, devices.Coherencies())
		if seen[v] {
			c.fail(q, "%s is given twice", quote(string(v)))
		}
		seen[v] = true
	}
	if k.Protected != "" {
		known(c, p+".protected", k.Protected, devices.Protecteds())
	}
}
