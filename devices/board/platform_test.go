package board

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/devices"
)

func platform(t *testing.T, b *Board) devices.Platform {
	t.Helper()
	p, err := b.Platform()
	require.NoError(t, err)
	return p
}

func TestTheRankOfHeaps(t *testing.T) {
	b := parse(t, head+ram+`
pools:
  - {name: secure, kind: protected, size: 1MiB}
  - {name: dsp, kind: coherent, size: 1MiB}
  - {name: isp, kind: coherent, size: 1MiB}
  - {name: c1, kind: contiguous, size: 1MiB}
  - {name: c2, kind: contiguous, size: 1MiB}
  - {name: s1, kind: scatter, size: 1MiB}
  - {name: s2, kind: scatter}
heaps:
  - {name: secure, pool: secure}
  - {name: isp, pool: isp}
  - {name: first, pool: c1}
  - {name: reserved, pool: c2, aliases: ["linux,cma"]}
  - {name: big, pool: s1}
  - {name: system, pool: s2}
  - {name: limited, pool: c2, quota: 64KiB}
devices: [{name: 1.dsp, memoryRegion: dsp}, {name: 2.dsp, memoryRegion: dsp}, {name: 3.isp, memoryRegion: isp}]
`)
	p := platform(t, b)
	var names []string
	for _, h := range p.Heaps {
		names = append(names, h.Name)
	}
	assert.Equal(t, []string{"system", "big", "reserved", "first", "limited", "isp", "1.dsp", "secure"}, names)
	assert.EqualValues(t, 64<<10, p.Heaps[4].Quota)
	assert.Equal(t, "1.dsp", p.Devices[0].Heap)
	assert.Equal(t, "1.dsp", p.Devices[1].Heap, "one pool goes by one name")
	assert.Equal(t, "isp", p.Devices[2].Heap)
	for _, h := range p.Heaps {
		assert.Equal(t, h.Name == "system" || h.Name == "big", len(h.Chunks) > 0, h.Name)
		assert.Equal(t, h.Name == "secure", h.Protected, h.Name)
	}
}

func TestWhatFollowsForADevice(t *testing.T) {
	p := platform(t, parse(t, head+ram+`
pools: [{name: cma, kind: contiguous, size: 1MiB}, {name: s, kind: scatter}]
heaps: [{name: system, pool: s}, {name: reserved, pool: cma}]
iommus: [{name: small}, {name: large, granule: 64KiB}]
devices:
  - {name: plain}
  - {name: lists, constraints: {maxSegments: 64}}
  - {name: mmu, heap: system}
  - {name: given, heap: reserved}
  - {name: behind, iommu: small}
  - {name: behind-large, iommu: large}
  - {name: behind-own, iommu: large, constraints: {iommuGranule: 4KiB, contiguous: true}}
`))
	want := map[string]devices.Constraints{
		"plain":        {Contiguous: true},
		"lists":        {MaxSegments: 64},
		"mmu":          {},
		"given":        {Contiguous: true},
		"behind":       {IOMMUGranule: 4096},
		"behind-large": {IOMMUGranule: 64 << 10},
		"behind-own":   {IOMMUGranule: 4096, Contiguous: true},
	}
	for _, d := range p.Devices {
		assert.Equal(t, want[d.Name], d.Constraints, d.Name)
	}
}

// The negotiation of one device and the rule by which it has its node agree, where the rule's heap serves the device.
func TestOneDeviceAloneGetsTheHeapOfItsNode(t *testing.T) {
	boards := map[string]*Board{"everything": parse(t, everything)}
	for _, name := range Builtins() {
		b, err := Load(name)
		require.NoError(t, err)
		boards[name] = b
	}
	for name, b := range boards {
		p := platform(t, b)
		list, err := b.Nodes()
		require.NoError(t, err)
		for _, n := range list {
			if n.Device == "" {
				continue
			}
			r, err := p.Negotiate([]string{n.Device}, devices.Ask{})
			require.NoError(t, err)
			heap := n.Heap
			if heap == "" {
				heap = n.Name
			}
			for _, v := range r.Heaps {
				if v.Name == heap && v.Serves {
					require.NotNil(t, r.Choice)
					assert.Equal(t, heap, *r.Choice, "%s of %s", n.Device, name)
				}
			}
		}
	}
}

func TestEachSetOfABuiltInBoardHasTheHeapThatItsHardwareNeeds(t *testing.T) {
	for _, r := range []struct {
		board, want string
		set         []string
	}{
		{"imx8mq-evk", "default_cma_region", []string{"38300000.video-codec", "30320000.lcd-controller", "38000000.gpu"}},
		{"imx8mq-evk", "default_cma_region", []string{"38000000.gpu", "38310000.video-codec"}},
		{"imx8mq-evk", "system", []string{"38000000.gpu"}},
		{"rk3399-rockpro64", "system", []string{"ff660000.video-codec", "ff900000.vop", "ff9a0000.gpu"}},
		{"rk3399-rockpro64", "system", []string{"ff650000.video-codec", "ff680000.rga"}},
	} {
		b, err := Load(r.board)
		require.NoError(t, err)
		p := platform(t, b)
		got, err := p.Negotiate(r.set, devices.Ask{})
		require.NoError(t, err)
		require.NotNil(t, got.Choice, "%v", r.set)
		assert.Equal(t, r.want, *got.Choice, "%v", r.set)
	}
}

func TestABoardThatIsNoneHasNoPlatform(t *testing.T) {
	_, err := (&Board{}).Platform()
	assert.ErrorContains(t, err, "apiVersion")
}
