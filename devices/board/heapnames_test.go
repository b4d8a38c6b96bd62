package board

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/devices"
)

const namesBoard = `apiVersion: heapfs/v1alpha1
name: names
memory:
  - name: ram
    base: 0x40000000
    size: 8GiB
    reserved: [{name: "secure@50000000", base: 0x50000000, size: 32MiB}]
pools:
  - {name: cma, kind: contiguous, size: 64MiB}
  - {name: tee, kind: protected, region: "secure@50000000", size: 16MiB}
  - {name: tee2, kind: protected, region: "secure@50000000"}
  - {name: ram, kind: scatter}
heaps:
  - {name: system, pool: ram, quota: 7GiB}
  - {name: cma0, pool: cma, aliases: [old-name], default: true}
  - {name: "protected,secure-video", pool: tee}
  - {name: "protected,trusted-ui", pool: tee2}
devices:
  - {name: vpu, heap: old-name}
  - {name: tui, heap: "protected,trusted-ui", constraints: {protected: requires}}
policy: {camera: old-name, drm: "protected,secure-video", gpu: system}
`

func parsed(t *testing.T, text string) *Board {
	t.Helper()
	b, err := Parse("b.yaml", []byte(text))
	require.NoError(t, err)
	return b
}

func nodeNames(t *testing.T, b *Board) (names []string, of map[string]Node) {
	t.Helper()
	nodes, err := b.Nodes()
	require.NoError(t, err)
	of = map[string]Node{}
	for _, n := range nodes {
		of[n.Name] = n
		if n.Device == "" {
			names = append(names, n.Name)
		}
	}
	return names, of
}

func TestNameSetsThatAreRefused(t *testing.T) {
	b := parsed(t, namesBoard)
	_, err := b.WithNames("5.4")
	require.Error(t, err)
	assert.Contains(t, err.Error(), `heap names "5.4": unknown; use one of 6.1, 6.12, 6.17, `)

	b.Devices[0].Name = "cma"
	_, err = b.WithNames(NamesRockchip)
	require.Error(t, err)
	assert.Contains(t, err.Error(), `heap names rockchip: devices[0].name: "cma" is taken by heaps[1].name`)
	assert.NotContains(t, err.Error(), "\n")

	b.Name = ""
	_, err = b.WithNames(Names61)
	assert.Error(t, err, "the board is not valid")
}

func TestHeapsUnderTheNamesOfEachSet(t *testing.T) {
	tests := []struct {
		set   NameSet
		names []string
		cma   string // that the names of before lead to
	}{
		{"", []string{"system", "cma0", "protected,secure-video", "protected,trusted-ui", "old-name"}, "old-name"},
		{Names61, []string{"system", "reserved", "protected,secure-video", "protected,trusted-ui"}, "reserved"},
		{Names612, []string{"system", "reserved", "protected,secure-video", "protected,trusted-ui"}, "reserved"},
		{Names617, []string{"system", "default_cma_region", "protected,secure-video", "protected,trusted-ui", "reserved"}, "default_cma_region"},
		{Names617NoLegacy, []string{"system", "default_cma_region", "protected,secure-video", "protected,trusted-ui"}, "default_cma_region"},
		{NamesAndroid, []string{"system", "reserved", "vframe-secure", "vstream-secure", "system-uncached"}, "reserved"},
		{NamesRockchip, []string{
			"system", "cma", "protected,secure-video", "protected,trusted-ui", "cma-uncached", "system-uncached", "system-dma32",
			"system-uncached-dma32",
		}, "cma"},
		{NamesRPi, []string{"system", "linux,cma", "protected,secure-video", "protected,trusted-ui"}, "linux,cma"},
		{NamesNXP, []string{"system", "linux,cma", "protected,secure-video", "protected,trusted-ui", "linux,cma-uncached"}, "linux,cma"},
	}
	for _, tt := range tests {
		t.Run(string(tt.set), func(t *testing.T) {
			old := parsed(t, namesBoard)
			b, err := old.WithNames(tt.set)
			require.NoError(t, err)
			names, of := nodeNames(t, b)
			assert.Equal(t, tt.names, names)
			assert.Equal(t, tt.cma, b.Policy["camera"])
			assert.Equal(t, "cma", of["vpu"].Pool, "a device keeps its memory")
			assert.Equal(t, "tee2", of["tui"].Pool)
			p, err := b.Platform()
			require.NoError(t, err)
			heap, err := p.HeapFor("camera")
			require.NoError(t, err)
			assert.Equal(t, tt.cma, heap)
			_, err = p.HeapFor("kitchen")
			require.ErrorIs(t, err, devices.ErrUnknownUsage)
			assert.Contains(t, err.Error(), `"kitchen"`)

			assert.Equal(t, parsed(t, namesBoard), old, "the board itself is left alone")
			again, err := b.WithNames(tt.set)
			require.NoError(t, err)
			twice, _ := nodeNames(t, again)
			assert.Equal(t, tt.names, twice, "once more changes nothing")
		})
	}
}

func TestOldNameOfTheDefaultCMAHeap(t *testing.T) {
	tests := []struct{ name, pool, heap, want string }{
		{"none declared", "{name: cma, kind: contiguous, size: 16MiB}", `{name: default_cma_region, pool: cma}`, "reserved"},
		{"declared as an alias", "{name: cma, kind: contiguous, size: 16MiB}", `{name: default_cma_region, pool: cma, aliases: [default-pool]}`, "default-pool"},
		{"a region of its own", `{name: cma, kind: contiguous, region: "linux,cma"}`, `{name: default_cma_region, pool: cma}`, "linux,cma"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := parsed(t, `{apiVersion: heapfs/v1alpha1, name: b, memory: [{name: m, base: 0, size: 1GiB, reserved: [{name: "linux,cma", base: 0x10000000, size: 64MiB}]}],
pools: [`+tt.pool+`], heaps: [`+tt.heap+`]}`)
			b, err := b.WithNames(Names61)
			require.NoError(t, err)
			names, _ := nodeNames(t, b)
			assert.Equal(t, []string{tt.want}, names)
		})
	}
}

func TestDMA32HeapsLieBelow4GiB(t *testing.T) {
	b, err := parsed(t, namesBoard).WithNames(NamesRockchip)
	require.NoError(t, err)
	before, err := parsed(t, namesBoard).PoolSpecs()
	require.NoError(t, err)
	specs, err := b.PoolSpecs()
	require.NoError(t, err)
	assert.Equal(t, before[:3], specs[:3], "other pools stay where they are")
	high, low := specs[3], specs[4]
	assert.Equal(t, uint64(4<<30), low.Base+low.Size)
	assert.Equal(t, uint64(4<<30), high.Base)
	assert.Equal(t, before[3].Size, low.Size+high.Size)
	assert.Equal(t, before[3].Base, low.Base)
	_, of := nodeNames(t, b)
	assert.Equal(t, low.Name, of["system-dma32"].Pool)
	assert.Equal(t, low.Name, of["system-uncached-dma32"].Pool)
	assert.Equal(t, high.Name, of["system-uncached"].Pool)

	rk, err := Load("rk3399-rockpro64")
	require.NoError(t, err)
	rk, err = rk.WithNames(NamesRockchip)
	require.NoError(t, err)
	_, of = nodeNames(t, rk)
	assert.Equal(t, of["system"].Pool, of["system-dma32"].Pool, "all of its memory is below")

	above := parsed(t, `{apiVersion: heapfs/v1alpha1, name: b, memory: [{name: m, base: 0x100000000, size: 1GiB}],
pools: [{name: p, kind: scatter}], heaps: [{name: system, pool: p}]}`)
	above, err = above.WithNames(NamesRockchip)
	require.NoError(t, err)
	names, _ := nodeNames(t, above)
	assert.Equal(t, []string{"system", "system-uncached"}, names, "there is no such memory")
}

func TestUncachedHeapsServeWhatIsCoherentByThatAlone(t *testing.T) {
	b := parsed(t, namesBoard)
	b.Devices = append(b.Devices, Device{Name: "dsp", Constraints: &devices.Constraints{Coherency: []devices.Coherency{devices.CoherencyUncached}}})
	serving := func(b *Board) (names []string) {
		p, err := b.Platform()
		require.NoError(t, err)
		r, err := p.Negotiate([]string{"dsp"}, devices.Ask{})
		require.NoError(t, err)
		for _, h := range r.Heaps {
			if h.Serves {
				names = append(names, h.Name)
			}
		}
		return names
	}
	assert.Empty(t, serving(b))
	rockchip, err := b.WithNames(NamesRockchip)
	require.NoError(t, err)
	assert.Equal(t, []string{"cma-uncached"}, serving(rockchip))
}

func TestLinkOfTheRaspberryPi(t *testing.T) {
	old := parsed(t, namesBoard)
	pi4, err := old.WithNames(NamesRPi)
	require.NoError(t, err)
	_, of := nodeNames(t, pi4)
	assert.Equal(t, []string{"vidbuf_cached"}, of["linux,cma"].Links)
	assert.Empty(t, of["system"].Links)
	assert.Empty(t, of["vpu"].Links, "a view of the heap is not the heap")

	old.IOMMUs = []IOMMU{{Name: "mmu"}}
	pi5, err := old.WithNames(NamesRPi)
	require.NoError(t, err)
	_, of = nodeNames(t, pi5)
	assert.Equal(t, []string{"vidbuf_cached"}, of["system"].Links)
	assert.Empty(t, of["linux,cma"].Links)

	old.Devices[0].Name = "vidbuf_cached"
	_, err = old.WithNames(NamesRPi)
	assert.ErrorContains(t, err, `"vidbuf_cached" is taken`)
}

func TestUAPIOfABoard(t *testing.T) {
	const head = "{apiVersion: heapfs/v1alpha1, name: b, uapi: "
	for text, says := range map[string]string{
		"{heapFlags: -1}":   "uapi.heapFlags",
		"{heapFlags: x}":    "uapi.heapFlags",
		"{allocSize: 16}":   "16 is no multiple of 8 from 24 to 4096",
		"{allocSize: 33}":   "33 is no multiple of 8",
		"{allocSize: 8KiB}": "8192 is no multiple",
		"{flags: 1}":        "unknown key",
		"3":                 "uapi",
	} {
		_, err := Parse("b.yaml", []byte(head+text+"}"))
		assert.ErrorContains(t, err, says, text)
	}
	b := parsed(t, head+"{heapFlags: 0x8000000000000003, allocSize: 48}}")
	assert.Equal(t, &UAPI{HeapFlags: 1<<63 | 3, AllocSize: 48}, b.UAPI)
	text, err := b.Marshal()
	require.NoError(t, err)
	again, err := Parse("b.yaml", text)
	require.NoError(t, err)
	assert.Equal(t, b, again)
}
