package dtb

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/u-root/u-root/pkg/dt"
)

func TestDevicesAreNamedAsTheKernelNamesThem(t *testing.T) {
	narrow := []any{u32s("#address-cells", 1), u32s("#size-cells", 1)}
	tr := tree(t, root(
		node("gpu", str("compatible", "x")),
		node("mali@ff9a0000", u32s("reg", 0, 0xff9a0000, 0, 0x1000)),
		node("soc", node("gpu", str("compatible", "x"))),
		node("axi@0", append(narrow, u32s("ranges", 0x10000000, 0, 0x3e000000, 0x1000000),
			node("codec@10300000", u32s("reg", 0x10300000, 0x1000)),
			node("outside@20000000", u32s("reg", 0x20000000, 0x1000)),
			node("unit@10000100", u32s("reg", 0x10000100, 4), u32s("mask", 0x10)),
			node("i2c@10000000", u32s("reg", 0x10000000, 0x1000), u32s("#address-cells", 1), u32s("#size-cells", 0),
				node("camera@36", u32s("reg", 0x36))))...),
		node("remoteproc@5c00000", u32s("reg", 0, 0x5c00000, 0, 0x4000),
			node("glink-edge", node("fastrpc", u32s("#address-cells", 1), u32s("#size-cells", 0), node("compute-cb@1", u32s("reg", 1))))),
		node("pcie@fe000000", str("device_type", "pci"), u32s("reg", 0, 0xfe000000, 0, 0x1000), u32s("#address-cells", 3), u32s("#size-cells", 2),
			u32s("ranges", 0x2000000, 0, 0xc0000000, 6, 0, 0, 0x1000000), u32s("dma-ranges", 0x42000000, 4, 0, 0, 0, 2, 0),
			node("bar@0", u32s("reg", 0x2000000, 0, 0xc0001000, 0, 0x1000)), node("port@1", u32s("reg", 0x1000000, 0, 0xc0001000, 0, 0x1000))),
	))
	for path, want := range map[string]string{
		"/gpu":                           "gpu",
		"/mali@ff9a0000":                 "ff9a0000.mali",
		"/soc/gpu":                       "soc:gpu",
		"/axi@0/codec@10300000":          "3e300000.codec",
		"/axi@0/outside@20000000":        "axi@0:outside@20000000",
		"/axi@0/unit@10000100":           "3e000100.4.unit",
		"/axi@0/i2c@10000000/camera@36":  "3e000000.i2c:camera@36",
		"/pcie@fe000000/bar@0":           "600001000.bar",
		"/pcie@fe000000/port@1":          "fe000000.pcie:port@1",
		"/remoteproc@5c00000/glink-edge": "5c00000.remoteproc:glink-edge",
		"/remoteproc@5c00000/glink-edge/fastrpc/compute-cb@1": "5c00000.remoteproc:glink-edge:fastrpc:compute-cb@1",
	} {
		n := tr.At(path)
		if assert.NotNil(t, n, path) {
			assert.Equal(t, want, n.DeviceName(), path)
		}
	}
	assert.Equal(t, "/sys/devices/platform/axi@0/3e300000.codec", tr.At("/axi@0/codec@10300000").SysfsPath())
	assert.Equal(t, []DMARange{{CPU: 0, Bus: 0x400000000, Size: 0x200000000}}, tr.DMARanges(tr.At("/pcie@fe000000/bar@0")))
}

func TestDMARangesAreThoseOfTheNearestBusThatHasThem(t *testing.T) {
	device := func() *dt.Node { return node("d@0", u32s("reg", 0, 0)) }
	tr := tree(t, root(
		node("silent", append([]any{flag("ranges"), device()}, wide...)...),
		node("plain", append([]any{flag("ranges"), flag("dma-ranges"), device()}, wide...)...),
		// As on a Raspberry Pi 4: the bus sees the first GiB at 3 GiB.
		node("soc", u32s("#address-cells", 1), u32s("#size-cells", 1), flag("ranges"), u32s("dma-ranges", 0xc0000000, 0, 0, 0x40000000),
			device(), node("inner", flag("ranges"), flag("dma-ranges"), device())),
		// One bus in another, each with an offset.
		node("outer", u32s("#address-cells", 1), u32s("#size-cells", 1), flag("ranges"), u32s("dma-ranges", 0x10000000, 0, 0x50000000, 0x10000000),
			node("inner", flag("ranges"), u32s("dma-ranges", 0, 0x10000000, 0x8000000), device())),
		node("mbus", u32s("phandle", 9), u32s("#interconnect-cells", 1), u32s("#address-cells", 1), u32s("#size-cells", 1),
			u32s("dma-ranges", 0, 0, 0x40000000, 0xc0000000)),
		node("ve", str("interconnect-names", "dma-mem"), u32s("interconnects", 9, 4)),
	))
	for path, want := range map[string][]DMARange{
		"/silent/d@0":      nil,
		"/plain/d@0":       nil,
		"/soc/d@0":         {{CPU: 0, Bus: 0xc0000000, Size: 0x40000000}},
		"/soc/inner/d@0":   {{CPU: 0, Bus: 0xc0000000, Size: 0x40000000}},
		"/outer/inner/d@0": {{CPU: 0x50000000, Bus: 0, Size: 0x8000000}},
		"/ve":              {{CPU: 0x40000000, Bus: 0, Size: 0xc0000000}},
	} {
		n := tr.At(path)
		require.NotNil(t, n, path)
		assert.Equal(t, want, tr.DMARanges(n), path)
	}
}
