package dtb

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/u-root/u-root/pkg/dt"

	"github.com/heapfs/heapfs/devices"
	"github.com/heapfs/heapfs/devices/board"
)

func roundTrip(t *testing.T, im *Imported) {
	t.Helper()
	text, err := im.Marshal("A test.")
	require.NoError(t, err)
	again, err := board.Parse("again.yaml", text)
	require.NoError(t, err, "%s", text)
	require.Equal(t, im.Board, again, "%s", text)
	require.Len(t, im.Origins, len(im.Board.Devices))
}

func heaps(b *board.Board) map[string]board.Heap {
	m := map[string]board.Heap{}
	for _, h := range b.Heaps {
		m[h.Name] = h
	}
	return m
}

func placed(t *testing.T, b *board.Board) map[string]board.PoolSpec {
	t.Helper()
	specs, err := b.PoolSpecs()
	require.NoError(t, err)
	m := map[string]board.PoolSpec{}
	for _, s := range specs {
		m[s.Name] = s
	}
	return m
}

func TestReservedMemoryBecomesPoolsByTheKernelsRules(t *testing.T) {
	pool := func(name string, parts ...any) *dt.Node {
		return node(name, append([]any{str("compatible", "shared-dma-pool")}, parts...)...)
	}
	im := imported(t, root(reserved(
		node("firmware@40000000", flag("no-map"), u32s("reg", 0, 0x40000000, 0, 0x1234)),
		pool("linux,cma", flag("reusable"), flag("linux,cma-default"), u32s("size", 0, 0x10000000), u32s("alloc-ranges", 0, 0x40000000, 0, 0x40000000)),
		pool("camera@50000000", flag("reusable"), u32s("reg", 0, 0x50000000, 0, 0x1000000)),
		pool("dsp@60000000", flag("no-map"), u32s("reg", 0, 0x60000000, 0, 0x100000)),
		pool("both@61000000", flag("no-map"), flag("reusable"), u32s("reg", 0, 0x61000000, 0, 0x100000)),
		pool("off@62000000", str("status", "disabled"), flag("reusable"), u32s("reg", 0, 0x62000000, 0, 0x100000)),
		pool("sram@10000000", flag("no-map"), u32s("reg", 0, 0x10000000, 0, 0x10000)),
		pool("half@3ffff000", flag("no-map"), u32s("reg", 0, 0x3ffff000, 0, 0x2000)),
		pool("over@50800000", flag("reusable"), u32s("reg", 0, 0x50800000, 0, 0x1000000)),
		pool("big", flag("reusable"), u32s("size", 1, 0)),
	)), Options{})
	roundTrip(t, im)
	got := heaps(im.Board)
	assert.Equal(t, []string{"system", "default_cma_region", "camera@50000000"}, []string{im.Board.Heaps[0].Name, im.Board.Heaps[1].Name, im.Board.Heaps[2].Name})
	assert.Len(t, got, 3)
	assert.Equal(t, board.Heap{Name: "default_cma_region", Pool: "linux,cma", Aliases: []string{"linux,cma"}, Default: true}, got["default_cma_region"])
	at := placed(t, im.Board)
	assert.Equal(t, board.PoolSpec{Name: "linux,cma", Kind: board.KindContiguous, Base: 0x70000000, Size: 0x10000000, AlignCap: 1 << 20, PageSize: 4096}, at["linux,cma"],
		"as high as its range allows")
	assert.Equal(t, board.KindContiguous, at["camera@50000000"].Kind)
	assert.Equal(t, board.KindCoherent, at["dsp@60000000"].Kind)
	assert.Equal(t, uint64(0x10000000), at["sram@10000000"].Base)
	assert.NotContains(t, at, "both@61000000")
	assert.NotContains(t, at, "off@62000000")
	assert.Equal(t, []string{"memory@10000000", "memory@40000000"}, []string{im.Board.Memory[0].Name, im.Board.Memory[1].Name})
	assert.Contains(t, im.Board.Memory[1].Reserved, board.Reserved{Name: "firmware@40000000", Base: 0x40000000, Size: 0x2000}, "whole pages")
	assert.Equal(t, []string{
		"/reserved-memory/half@3ffff000: 0x3ffff000-0x40000fff is only in part inside the memory: left out",
		"/reserved-memory/over@50800000: 0x50800000-0x517fffff overlaps camera@50000000: left out",
		"/reserved-memory/big: no room for 4294967296 bytes where it may lie: left out",
	}, im.Notes)
}

func TestMemoryThatTheTreeLacksIsAssumedOrGiven(t *testing.T) {
	bare := func() *dt.Node {
		return node("", append([]any{node("memory@80000000", str("device_type", "memory"), u32s("reg", 0, 0x80000000, 0, 0))}, wide...)...)
	}
	im := imported(t, bare(), Options{})
	assert.Equal(t, []board.Memory{{Name: "memory@80000000", Base: 0x80000000, Size: 2 << 30}}, im.Board.Memory)
	assert.Equal(t, []string{
		"the tree gives no memory, the boot loader does: 2GiB from 0x80000000 assumed (--memory says it)",
		"the tree has no default CMA area: 256MiB in memory@80000000 assumed, as a kernel's cma= would (--cma says it)",
	}, im.Notes)
	assert.Equal(t, board.Heap{Name: "default_cma_region", Pool: "cma", Aliases: []string{"reserved"}, Default: true}, im.Board.Heaps[1])

	im = imported(t, bare(), Options{Memory: []Range{{4 << 30, 4 << 30}, {0, 1 << 30}, {8 << 30, 1 << 30}}, CMA: 64 << 20})
	assert.Equal(t, []board.Memory{{Name: "memory@0", Base: 0, Size: 1 << 30}, {Name: "memory@100000000", Base: 4 << 30, Size: 5 << 30}}, im.Board.Memory)
	at := placed(t, im.Board)
	assert.Equal(t, uint64(64<<20), at["cma"].Size)
	assert.Equal(t, uint64(4<<30), at["system"].Base, "the largest free part")
}

func TestDevicesComeWithWhatTreeAndDriverSay(t *testing.T) {
	im := imported(t, root(
		reserved(
			node("dsp@50000000", str("compatible", "shared-dma-pool"), flag("no-map"), u32s("reg", 0, 0x50000000, 0, 0x100000), u32s("phandle", 2)),
			node("camera@60000000", str("compatible", "shared-dma-pool"), flag("reusable"), u32s("reg", 0, 0x60000000, 0, 0x1000000), u32s("phandle", 3)),
			node("firmware@70000000", u32s("reg", 0, 0x70000000, 0, 0x1000), u32s("phandle", 4)),
		),
		node("aliases", str("vpu0", "/soc@0/vpu@1000"), str("round", "round"), str("a", "b/"), str("b", "a/")),
		node("soc@0", u32s("#address-cells", 1), u32s("#size-cells", 1), u32s("ranges", 0, 0, 0, 0x1000000), u32s("dma-ranges", 0, 0, 0x40000000, 0x80000000),
			node("iommu@2000", u32s("reg", 0x2000, 0x100), u32s("phandle", 1), u32s("#iommu-cells", 1), str("compatible", "rockchip,iommu")),
			node("iommu@3000", u32s("reg", 0x3000, 0x100), u32s("phandle", 5), str("status", "disabled")),
			node("vpu@1000", str("compatible", "x,y", "rockchip,rk3399-vpu"), u32s("reg", 0x1000, 0x1000), u32s("iommus", 1, 0)),
			node("vop@4000", str("compatible", "rockchip,rk3399-vop-big"), u32s("reg", 0x4000, 0x1000), u32s("iommus", 5), flag("dma-coherent")),
			node("gpu@5000", str("compatible", "vivante,gc"), u32s("reg", 0x5000, 0x1000)),
			node("dsp@6000", str("compatible", "fsl,imx7-csi"), u32s("reg", 0x6000, 0x1000), u32s("memory-region", 4, 2)),
			node("isi@7000", str("compatible", "fsl,imx8mp-isi"), u32s("reg", 0x7000, 0x1000), u32s("memory-region", 3)),
			node("usb@8000", str("compatible", "snps,dwc3"), u32s("reg", 0x8000, 0x1000), u32s("iommus", 1, 1)),
			node("off@9000", str("compatible", "vivante,gc"), u32s("reg", 0x9000, 0x1000), str("status", "disabled")),
			node("bus@a000", str("status", "fail"), flag("ranges"), node("gpu@a000", str("compatible", "vivante,gc"), u32s("reg", 0xa000, 0x1000))),
		),
	), Options{})
	roundTrip(t, im)
	reach := []devices.AddressRange{{Base: 0x40000000, Size: 0x80000000, BusOffset: 0x40000000}}
	uncached := []devices.Coherency{devices.CoherencyUncached, devices.CoherencySync}
	assert.Equal(t, []board.Device{
		{
			Name: "1000.vpu", DriverClass: "vb2-dma-contig", Compatible: []string{"x,y", "rockchip,rk3399-vpu"},
			Sysfs: "/sys/devices/platform/soc@0/1000.vpu", IOMMU: "2000.iommu",
			Constraints: &devices.Constraints{Coherency: uncached},
		},
		{
			Name: "4000.vop", DriverClass: "drm-dma", Compatible: []string{"rockchip,rk3399-vop-big"},
			Sysfs: "/sys/devices/platform/soc@0/4000.vop",
			Constraints: &devices.Constraints{
				Contiguous: true, AddressRanges: reach, PitchAlignment: 64, Coherency: []devices.Coherency{devices.CoherencySnoops, devices.CoherencySync},
			},
		},
		{
			Name: "5000.gpu", DriverClass: "drm-shmem", Compatible: []string{"vivante,gc"},
			Sysfs: "/sys/devices/platform/soc@0/5000.gpu", Heap: "system",
			Constraints: &devices.Constraints{AddressRanges: reach, Coherency: uncached},
		},
		{
			Name: "6000.dsp", DriverClass: "vb2-dma-contig", Compatible: []string{"fsl,imx7-csi"},
			Sysfs: "/sys/devices/platform/soc@0/6000.dsp", MemoryRegion: "dsp@50000000",
			Constraints: &devices.Constraints{AddressRanges: reach, Coherency: uncached},
		},
		{
			Name: "7000.isi", DriverClass: "vb2-dma-contig", Compatible: []string{"fsl,imx8mp-isi"},
			Sysfs: "/sys/devices/platform/soc@0/7000.isi", Heap: "camera@60000000",
			Constraints: &devices.Constraints{AddressRanges: reach, Coherency: uncached},
		},
	}, im.Board.Devices)
	assert.Equal(t, []board.IOMMU{{Name: "2000.iommu", Granule: 4096, Aperture: &board.Aperture{Size: 4 << 30}}}, im.Board.IOMMUs)
	assert.Equal(t, []Skipped{{"/soc@0/usb@8000", "8000.usb", "usb", "not a media device"}}, im.Skipped)
	assert.Equal(t, []string{"vpu0"}, im.Origins[0].Aliases)
	assert.Equal(t, []string{"the IOMMU of its iommus is disabled or absent"}, im.Origins[1].Notes)
	assert.Equal(t, []string{"memory-region /reserved-memory/firmware@70000000 gives it no buffers"}, im.Origins[3].Notes)
	assert.Equal(t, map[string]string{
		"video-decode": "system", "display": "default_cma_region", "gpu": "system", "camera": "camera@60000000",
	}, im.Board.Policy)
}

func TestABusThatSeesMemoryHigherThanTheCPUHasANegativeOffset(t *testing.T) {
	im := imported(t, root(node("soc", u32s("#address-cells", 1), u32s("#size-cells", 1), flag("ranges"), u32s("dma-ranges", 0xc0000000, 0, 0x40000000, 0x30000000),
		node("hvs@1000", str("compatible", "brcm,bcm2711-hvs"), u32s("reg", 0x1000, 0x1000)))), Options{})
	roundTrip(t, im)
	assert.Equal(t, []devices.AddressRange{{Base: 0x40000000, Size: 0x30000000, BusOffset: -0x80000000}}, im.Board.Devices[0].Constraints.AddressRanges)
	text, err := im.Marshal()
	require.NoError(t, err)
	assert.Contains(t, string(text), "busOffset: -0x80000000\n")
}

func TestADeviceThatMastersMemoryThroughAnotherHasThatOnesIOMMU(t *testing.T) {
	im := imported(t, root(
		node("mmu@1000", u32s("reg", 0, 0x1000, 0, 0x1000), u32s("phandle", 1), u32s("#iommu-cells", 1)),
		node("fcp@2000", str("compatible", "renesas,fcpv"), u32s("reg", 0, 0x2000, 0, 0x1000), u32s("phandle", 2), u32s("iommus", 1, 0)),
		node("vsp@3000", str("compatible", "renesas,vsp2"), u32s("reg", 0, 0x3000, 0, 0x1000), u32s("renesas,fcp", 2)),
	), Options{})
	roundTrip(t, im)
	require.Len(t, im.Board.Devices, 1)
	assert.Equal(t, "1000.mmu", im.Board.Devices[0].IOMMU)
	assert.Equal(t, []Skipped{{"/fcp@2000", "2000.fcp", "part of a media device", "not a media device"}}, im.Skipped)
}

func TestMoreDevicesThanAKernelHasNodesAreSkipped(t *testing.T) {
	n := root()
	for i := range 200 {
		n.Children = append(n.Children, node(fmt.Sprintf("gpu@%x", i<<12), str("compatible", "vivante,gc"), u32s("reg", 0, uint32(i<<12), 0, 0x1000)))
	}
	n.Children = append(n.Children, node("x!y", str("compatible", "vivante,gc")), node("gpu@0", str("compatible", "vivante,gc"), u32s("reg", 0, 0, 0, 1)))
	im := imported(t, n, Options{})
	roundTrip(t, im)
	nodes, err := im.Board.Nodes()
	require.NoError(t, err)
	assert.Len(t, nodes, board.MaxNodes)
	reasons := map[string]int{}
	for _, s := range im.Skipped {
		reasons[s.Reason]++
	}
	assert.Equal(t, 1, reasons["its name is taken"])
	assert.Equal(t, 202, len(im.Skipped)+len(im.Origins))
}

func TestTheFileSaysWhereThingsComeFrom(t *testing.T) {
	im := imported(t, root(node("gpu@1000", str("compatible", "vivante,gc"), u32s("reg", 0, 0x1000, 0, 0x1000)),
		node("usb@2000", str("compatible", "snps,dwc3"), u32s("reg", 0, 0x2000, 0, 0x1000), u32s("iommus", 77))), Options{})
	text, err := im.Marshal("Made by a test\nof two lines.")
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(string(text), "# Made by a test?of two lines.\n"), "%s", text)
	for _, line := range []string{"# /gpu@1000, gpu", "# Driver knowledge: drm-shmem, drivers/gpu/drm/etnaviv/etnaviv_drv.c.", "# Left out, usb: 2000.usb."} {
		assert.Contains(t, string(text), line)
	}
}

// largest is about as large as the largest blobs of Debian's kernels.
func largest() *dt.Node {
	n := root()
	for i := range 520 {
		at := uint32(i) << 12
		c := node(fmt.Sprintf("device@%x", at), u32s("reg", 0, at, 0, 0x1000), u32s("phandle", uint32(i+1)))
		if i%33 == 0 {
			c.Properties = append(c.Properties, str("compatible", "rockchip,rk3399-vpu"), u32s("iommus", 2))
		}
		for j := range 8 {
			c.Properties = append(c.Properties, u32s(fmt.Sprintf("property-%d", j), at, at, at, at))
		}
		n.Children = append(n.Children, c)
	}
	return n
}

func BenchmarkImportOfALargeBlob(b *testing.B) {
	data := blob(b, largest())
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		tr, err := Parse(data)
		require.NoError(b, err)
		_, err = tr.Import(Options{Name: "b"})
		require.NoError(b, err)
	}
}
