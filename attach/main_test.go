package attach

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/backing"
	"github.com/heapfs/heapfs/devices"
)

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
)

// one is a system of one device.
func one(t *testing.T, c devices.Constraints, class devices.DriverClass, dom *devices.Domain) *Device {
	t.Helper()
	if class == "" {
		class = devices.DefaultDriverClass(&c, dom != nil)
	}
	s, err := New([]devices.Importer{{Name: "dev", Class: class, Constraints: c, Domain: dom}})
	require.NoError(t, err)
	return s.Device("dev")
}

func domainOf(granule, base, size uint64) *devices.Domain {
	return &devices.Domain{Name: "iommu", Granule: devices.Bytes(granule), Base: devices.Address(base), Size: devices.Bytes(size)}
}

// buffer is made of pairs of address and length.
func buffer(pairs ...uint64) *Buffer {
	b := &Buffer{ID: 1}
	for i := 0; i < len(pairs); i += 2 {
		b.Extents = append(b.Extents, backing.Extent{Addr: pairs[i], Len: pairs[i+1]})
		b.Len += pairs[i+1]
	}
	return b
}

// with changes a buffer.
func with(b *Buffer, f func(*Buffer)) *Buffer {
	f(b)
	return b
}

func segments(m *Mapping) (all []Segment) {
	for s := range m.All {
		all = append(all, s)
	}
	return all
}
