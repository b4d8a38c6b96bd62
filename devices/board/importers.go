package board

import "github.com/heapfs/heapfs/devices"

// defaultAperture is the size of the IOVA space of an IOMMU whose aperture is not given: 32 bits.
const defaultAperture devices.Bytes = 4 << 30

// Importer is a device with the node through which a program attaches buffers to it.
type Importer struct {
	devices.Importer
	// Mode, UID and GID are those of the device's heap node; without one, those of a heap that names none. CMDOwner is the program's.
	Mode uint32 `json:"mode"`
	UID  int    `json:"uid"`
	GID  int    `json:"gid"`
}

// Importers gives the devices of a valid board in the order of declaration. Devices behind the same IOMMU share its domain. The error
// is an ErrorList.
func (b *Board) Importers() ([]Importer, error) {
	p, err := b.Platform()
	if err != nil {
		return nil, err
	}
	domains := map[string]*devices.Domain{}
	for i := range b.IOMMUs {
		u := &b.IOMMUs[i]
		d := &devices.Domain{Name: u.Name, Granule: max(u.Granule, PageSize), Size: defaultAperture}
		if u.Aperture != nil {
			d.Base, d.Size = u.Aperture.Base, u.Aperture.Size
		}
		domains[u.Name] = d
	}
	all := make([]Importer, len(b.Devices))
	for i := range b.Devices {
		d := &b.Devices[i]
		c := p.Devices[i].Constraints
		class := d.DriverClass
		if class == "" {
			class = devices.DefaultDriverClass(&c, d.IOMMU != "")
		}
		all[i] = Importer{
			Importer: devices.Importer{Name: d.Name, Class: class, Constraints: c, Domain: domains[d.IOMMU]},
			Mode:     uint32(DefaultMode), UID: CMDOwner, GID: CMDOwner,
		}
		if h := b.deviceHeap(d); h != nil {
			n := heapNode(h, nil)
			all[i].Mode, all[i].UID, all[i].GID = n.Mode, n.UID, n.GID
		}
	}
	return all, nil
}
