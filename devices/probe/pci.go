package probe

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/heapfs/heapfs/devices"
	"github.com/heapfs/heapfs/devices/board"
	"github.com/heapfs/heapfs/devices/driver"
)

// pci puts the display, multimedia and accelerator devices of PCI on the board.
func (m *machine) pci() error {
	const dir = "sys/bus/pci/devices"
	names, err := m.names(dir)
	if err != nil {
		return err
	}
	b := m.found.Board
	for _, name := range names {
		class, err := strconv.ParseUint(m.word(dir, name, "class"), 0, 24)
		vendor, err2 := strconv.ParseUint(m.word(dir, name, "vendor"), 0, 16)
		if err != nil || err2 != nil || board.CheckName(name) != nil {
			continue
		}
		known := driver.FindPCI(uint16(vendor), uint32(class))
		if known == nil {
			continue
		}
		d := board.Device{Name: name, Sysfs: m.target(dir, name), DriverClass: devices.DriverClass(known.Import)}
		if board.CheckPath(d.Sysfs) != nil {
			d.Sysfs = ""
		}
		d.IOMMU = m.iommu(path.Join(dir, name))
		c := devices.Constraints{
			// PCI devices snoop, on a PC always.
			Coherency:      []devices.Coherency{devices.CoherencySnoops, devices.CoherencySync},
			PitchAlignment: devices.Bytes(known.PitchAlignment),
		}
		if d.IOMMU == "" {
			if limit := m.limit(path.Join(dir, name), known); limit != 0 {
				c.AddressRanges = []devices.AddressRange{{Base: 0, Size: devices.Bytes(limit)}}
			}
			if slices.ContainsFunc(b.Heaps, func(h board.Heap) bool { return h.Name == "system" }) {
				d.Heap = "system" // an MMU of its own, or a driver that takes segments
			}
		}
		d.Constraints = &c
		m.found.comments[fmt.Sprintf("devices[%d].name", len(b.Devices))] = []string{
			fmt.Sprintf("PCI %04x:%s, class %06x, %s", vendor, strings.TrimPrefix(m.word(dir, name, "device"), "0x"), class, known.Class),
			strings.TrimSuffix("Driver knowledge: "+string(known.Import)+", "+known.Source, ", ") + ".",
		}
		b.Devices = append(b.Devices, d)
	}
	return nil
}

// limit gives the size of a device's address space in bytes; 0 for all 64 bits. The mask is that of its driver, where it has one.
func (m *machine) limit(dir string, known *driver.Knowledge) uint64 {
	k := *known
	if bits, err := strconv.Atoi(m.word(dir, "dma_mask_bits")); err == nil && bits > 0 && m.target(dir, "driver") != "" {
		k.MaskBits = bits
	}
	return k.Limit()
}

// iommu gives the name of the unit in front of a device and puts that on the board; "" where there is none, or where it doesn't
// translate.
func (m *machine) iommu(dir string) string {
	group := m.target(dir, "iommu_group")
	if group == "" {
		return ""
	}
	if kind := m.word("sys/kernel/iommu_groups", path.Base(group), "type"); kind == "identity" {
		return ""
	}
	name := path.Base(m.target(dir, "iommu"))
	if name == "." || board.CheckName(name) != nil {
		name = "iommu-group-" + path.Base(group)
	}
	b := m.found.Board
	if !slices.ContainsFunc(b.IOMMUs, func(u board.IOMMU) bool { return u.Name == name }) {
		b.IOMMUs = append(b.IOMMUs, board.IOMMU{Name: name, Granule: pageSize})
	}
	return name
}
