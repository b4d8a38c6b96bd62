package board

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/devices"
)

const importersBoard = `apiVersion: heapfs/v1alpha1
name: b
memory: [{name: ram, base: 1GiB, size: 1GiB}]
pools: [{name: cma, kind: contiguous, size: 16MiB}, {name: system, kind: scatter}]
heaps:
  - {name: system, pool: system}
  - {name: reserved, pool: cma, mode: "0640", owner: "7:8"}
iommus:
  - {name: mmu, granule: 64KiB, aperture: {base: 1MiB, size: 1GiB}}
  - {name: plain}
devices:
  - {name: vpu}
  - {name: isp, iommu: mmu}
  - {name: vop, iommu: plain, driverClass: drm-dma}
  - {name: jpeg, driverClass: vb2-dma-sg}
`

func TestAnUnknownDriverClassIsAnError(t *testing.T) {
	_, err := Parse("b.yaml", []byte(importersBoard+"  - {name: x, driverClass: vb2}\n"))
	assert.EqualError(t, err, `b.yaml:16:28: devices[4].driverClass: "vb2" is not one of `+
		`vb2-dma-contig, vb2-dma-sg, vb2-vmalloc, drm-dma, drm-shmem, dma-buf`)
	b, err := Parse("b.yaml", []byte(importersBoard))
	require.NoError(t, err)
	b.Devices[0].DriverClass = "vb2"
	assert.ErrorContains(t, b.Validate(), `devices[0].driverClass: "vb2" is not one of`)
	_, err = b.Importers()
	assert.Error(t, err)
}

func TestImportersHaveWhatFollowsFromTheirPlace(t *testing.T) {
	b, err := Parse("b.yaml", []byte(importersBoard))
	require.NoError(t, err)
	got, err := b.Importers()
	require.NoError(t, err)
	mmu := &devices.Domain{Name: "mmu", Granule: 64 << 10, Base: 1 << 20, Size: 1 << 30}
	plain := &devices.Domain{Name: "plain", Granule: 4096, Size: 4 << 30}
	assert.Equal(t, []Importer{
		{devices.Importer{Name: "vpu", Class: devices.ClassVB2DMAContig, Constraints: devices.Constraints{Contiguous: true}}, 0o640, 7, 8},
		{devices.Importer{Name: "isp", Class: devices.ClassVB2DMAContig, Constraints: devices.Constraints{IOMMUGranule: 64 << 10}, Domain: mmu}, 0o600, CMDOwner, CMDOwner},
		{devices.Importer{Name: "vop", Class: devices.ClassDRMDMA, Constraints: devices.Constraints{IOMMUGranule: 4096}, Domain: plain}, 0o600, CMDOwner, CMDOwner},
		{devices.Importer{Name: "jpeg", Class: devices.ClassVB2DMASG}, 0o640, 7, 8},
	}, got)
	text, err := b.Marshal()
	require.NoError(t, err)
	again, err := Parse("again.yaml", text)
	require.NoError(t, err)
	assert.Equal(t, b, again)
}
