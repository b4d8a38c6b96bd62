package board

import (
	"fmt"

	"github.com/goccy/go-yaml/ast"

	"github.com/heapfs/heapfs/devices"
)

// The keys of each mapping of the schema, in the order of the documentation.

func (d *decoder) board(n ast.Node, b *Board) {
	d.mapping(n, "",
		field{"apiVersion", true, func(n ast.Node, path string) {
			if d.str(&b.APIVersion)(n, path); b.APIVersion == draftVersion {
				b.APIVersion = APIVersion
			}
		}},
		field{"name", true, d.str(&b.Name)},
		field{"description", false, d.str(&b.Description)},
		field{"memory", false, list(d, &b.Memory, d.memory)},
		field{"pools", false, list(d, &b.Pools, d.pool)},
		field{"heaps", false, list(d, &b.Heaps, d.heap)},
		field{"iommus", false, list(d, &b.IOMMUs, d.iommu)},
		field{"devices", false, list(d, &b.Devices, d.device)},
		field{"policy", false, d.policy(&b.Policy)},
		field{"export", false, enum(d, &b.Export, Exports())},
		field{"uapi", false, func(n ast.Node, path string) {
			b.UAPI = new(UAPI)
			d.mapping(n, path,
				field{"heapFlags", false, number(d, &b.UAPI.HeapFlags)},
				field{"allocSize", false, number(d, &b.UAPI.AllocSize)},
			)
		}},
	)
}

func (d *decoder) memory(n ast.Node, path string, m *Memory) {
	d.mapping(n, path,
		field{"name", true, d.str(&m.Name)},
		field{"base", true, number(d, &m.Base)},
		field{"size", true, number(d, &m.Size)},
		field{"reserved", false, list(d, &m.Reserved, d.reserved)},
	)
}

func (d *decoder) reserved(n ast.Node, path string, r *Reserved) {
	d.mapping(n, path,
		field{"name", true, d.str(&r.Name)},
		field{"base", true, number(d, &r.Base)},
		field{"size", true, number(d, &r.Size)},
	)
}

func (d *decoder) pool(n ast.Node, path string, p *Pool) {
	d.mapping(n, path,
		field{"name", true, d.str(&p.Name)},
		field{"kind", true, enum(d, &p.Kind, Kinds())},
		field{"region", false, d.str(&p.Region)},
		field{"base", false, func(n ast.Node, path string) {
			p.Base = new(devices.Address)
			number(d, p.Base)(n, path)
		}},
		field{"size", false, number(d, &p.Size)},
		field{"align", false, number(d, &p.Align)},
		field{"pages", false, d.pages(&p.Pages)},
	)
}

func (d *decoder) heap(n ast.Node, path string, h *Heap) {
	d.mapping(n, path,
		field{"name", true, d.str(&h.Name)},
		field{"pool", true, d.str(&h.Pool)},
		field{"aliases", false, d.strs(&h.Aliases)},
		field{"mode", false, d.mode(&h.Mode)},
		field{"owner", false, d.owner(&h.Owner)},
		field{"quota", false, number(d, &h.Quota)},
		field{"default", false, d.boolean(&h.Default)},
		field{"links", false, d.strs(&h.Links)},
		field{"uncached", false, d.boolean(&h.Uncached)},
	)
}

func (d *decoder) iommu(n ast.Node, path string, i *IOMMU) {
	d.mapping(n, path,
		field{"name", true, d.str(&i.Name)},
		field{"granule", false, number(d, &i.Granule)},
		field{"aperture", false, func(n ast.Node, path string) {
			i.Aperture = new(Aperture)
			d.mapping(n, path,
				field{"base", true, number(d, &i.Aperture.Base)},
				field{"size", true, number(d, &i.Aperture.Size)},
			)
		}},
	)
}

func (d *decoder) device(n ast.Node, path string, v *Device) {
	d.mapping(n, path,
		field{"name", true, d.str(&v.Name)},
		field{"compatible", false, d.strs(&v.Compatible)},
		field{"sysfs", false, d.str(&v.Sysfs)},
		field{"iommu", false, d.str(&v.IOMMU)},
		field{"memoryRegion", false, d.str(&v.MemoryRegion)},
		field{"constraints", false, func(n ast.Node, path string) {
			v.Constraints = new(devices.Constraints)
			d.constraints(n, path, v.Constraints)
		}},
		field{"heap", false, d.str(&v.Heap)},
		field{"driverClass", false, enum(d, &v.DriverClass, devices.DriverClasses())},
	)
}

func (d *decoder) constraints(n ast.Node, path string, c *devices.Constraints) {
	d.mapping(n, path,
		field{"contiguous", false, d.boolean(&c.Contiguous)},
		field{"addressRanges", false, list(d, &c.AddressRanges, d.addressRange)},
		field{"alignment", false, number(d, &c.Alignment)},
		field{"pitchAlignment", false, number(d, &c.PitchAlignment)},
		field{"maxPitch", false, number(d, &c.MaxPitch)},
		field{"maxSize", false, number(d, &c.MaxSize)},
		field{"maxSegments", false, d.count(&c.MaxSegments)},
		field{"maxSegmentSize", false, number(d, &c.MaxSegmentSize)},
		field{"segmentBoundary", false, number(d, &c.SegmentBoundary)},
		field{"iommuGranule", false, number(d, &c.IOMMUGranule)},
		field{"coherency", false, list(d, &c.Coherency, func(n ast.Node, path string, v *devices.Coherency) {
			enum(d, v, devices.Coherencies())(n, path)
		})},
		field{"protected", false, enum(d, &c.Protected, devices.Protecteds())},
	)
}

func (d *decoder) addressRange(n ast.Node, path string, r *devices.AddressRange) {
	d.mapping(n, path,
		field{"base", true, number(d, &r.Base)},
		field{"size", true, number(d, &r.Size)},
		field{"busOffset", false, d.offset(&r.BusOffset)},
	)
}

// policyPath is the path of a usage, whose name is free text.
func policyPath(usage string) string { return fmt.Sprintf("policy[%s]", quote(usage)) }

func (d *decoder) policy(into *map[string]string) func(ast.Node, string) {
	return func(n ast.Node, path string) {
		if _, ok := n.(*ast.NullNode); ok {
			return
		}
		values, ok := d.pairs(n, path)
		if !ok {
			return
		}
		for _, v := range values {
			usage, ok := d.keyOf(v)
			if !ok {
				continue
			}
			p := policyPath(usage)
			if _, ok := (*into)[usage]; ok {
				d.fail(v.Key, p, "given twice, first in line %d", d.at[p].line)
				continue
			}
			var heap string
			d.note(v.Value, p)
			d.str(&heap)(v.Value, p)
			if *into == nil {
				*into = map[string]string{}
			}
			(*into)[usage] = heap
		}
	}
}
