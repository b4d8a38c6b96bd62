package sysfs

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/devices"
	"github.com/heapfs/heapfs/devices/board"
)

// viewOf gives the view of a board in the text of a file.
func viewOf(t *testing.T, text string) View {
	t.Helper()
	b, err := board.Parse("b.yaml", []byte(text))
	require.NoError(t, err)
	return viewOfBoard(t, b)
}

func viewOfBoard(t *testing.T, b *board.Board) View {
	t.Helper()
	nodes, err := b.Nodes()
	require.NoError(t, err)
	p, err := b.Platform()
	require.NoError(t, err)
	return View{Nodes: nodes, Devices: Devices(b, nodes, &p), Major: 244}
}

// below lists the entries under a directory, "name=text" and "name -> link".
func below(v View, dir string) []string {
	all := []string{}
	for _, e := range v.Entries() {
		name, ok := strings.CutPrefix(e.Path, dir+"/")
		switch {
		case !ok:
		case e.Mode.IsDir():
			all = append(all, name+"/")
		case e.Mode&fs.ModeSymlink != 0:
			all = append(all, name+" -> "+e.Text)
		default:
			all = append(all, name+"="+e.Text)
		}
	}
	return all
}

const discoveryBoard = `{apiVersion: heapfs/v1alpha1, name: b,
memory: [{name: m, base: 0x40000000, size: 1GiB, reserved: [{name: own, base: 0x40000000, size: 1MiB}]}],
pools: [{name: cma, kind: contiguous, size: 64MiB}, {name: ram, kind: scatter}, {name: dsp, kind: coherent, region: own}],
heaps: [{name: system, pool: ram, links: [video]}, {name: "linux,cma", pool: cma, aliases: [reserved]}],
iommus: [{name: mmu, granule: 16KiB}],
devices: [
  {name: 1000.vpu, compatible: ["maker,vpu", "maker,codec"], sysfs: /sys/devices/platform/soc@0/1000.vpu,
   constraints: {addressRanges: [{base: 0x40000000, size: 1GiB, busOffset: 0x40000000}, {base: 0x100000000, size: 1GiB}], alignment: 64, pitchAlignment: 192,
   maxPitch: 64KiB, maxSize: 32MiB, maxSegments: 1, maxSegmentSize: 16MiB, segmentBoundary: 4GiB, coherency: [snoops, sync], protected: accepts}},
  {name: 2000.display, iommu: mmu},
  {name: "soc:dsp", memoryRegion: dsp},
  {name: nowhere, heap: system, constraints: {protected: requires}}]}`

func TestWhatIsNoHeapIsNotInTheClass(t *testing.T) {
	v := viewOf(t, discoveryBoard)
	names := []string{}
	for _, e := range v.Entries() {
		if dir, name := path.Split(e.Path); dir == "class/dma_heap/" {
			names = append(names, name)
			assert.Equal(t, "../../devices/virtual/dma_heap/"+name, e.Text)
			assert.Equal(t, fs.ModeSymlink, e.Mode.Type())
		}
	}
	// Neither a link in /dev nor a set of devices is one.
	assert.Equal(t, []string{"system", "linux,cma", "reserved", "1000.vpu", "2000.display", "soc:dsp", "nowhere"}, names)
}

func TestAHeapIsShownAsAKernelShowsIt(t *testing.T) {
	assert.Equal(t, []string{
		"dev=244:2\n", "subsystem -> ../../../../class/dma_heap", "uevent=MAJOR=244\nMINOR=2\nDEVNAME=dma_heap/reserved\n",
		"power/", "power/control=auto\n", "power/runtime_active_time=0\n", "power/runtime_status=unsupported\n", "power/runtime_suspended_time=0\n",
		"power/autosuspend_delay_ms=",
	}, below(viewOf(t, discoveryBoard), "devices/virtual/dma_heap/reserved"))
}

func TestWaysFromADeviceToItsHeaps(t *testing.T) {
	v := viewOf(t, discoveryBoard)
	const heaps = " -> ../../../../virtual/dma_heap/"
	tests := []struct {
		device string
		want   []string
	}{
		{"devices/platform/nowhere", []string{
			// What the board gives it is no heap that serves it.
			"dma_heap -> ../../virtual/dma_heap/system", "dma_heaps/",
			"dma_constraints/", "dma_constraints/contiguous=0\n", "dma_constraints/protected=requires\n",
		}},
		{"devices/platform/2000.display", []string{
			// 4 KiB pieces are none for its IOMMU.
			"dma_heap -> ../../virtual/dma_heap/system",
			"dma_heaps/", "dma_heaps/linux,cma -> ../../../virtual/dma_heap/linux,cma", "dma_heaps/reserved -> ../../../virtual/dma_heap/reserved",
			"dma_heaps/soc:dsp -> ../../../virtual/dma_heap/soc:dsp",
			"dma_constraints/", "dma_constraints/contiguous=0\n", "dma_constraints/protected=refuses\n", "dma_constraints/iommu_granule=16384\n",
		}},
		{"devices/platform/soc:dsp", []string{
			"dma_heap -> ../../virtual/dma_heap/soc:dsp",
			"dma_heaps/", "dma_heaps/linux,cma -> ../../../virtual/dma_heap/linux,cma", "dma_heaps/reserved -> ../../../virtual/dma_heap/reserved",
			"dma_heaps/soc:dsp -> ../../../virtual/dma_heap/soc:dsp",
			"dma_constraints/", "dma_constraints/contiguous=1\n", "dma_constraints/protected=refuses\n",
		}},
		{"devices/platform/soc@0/1000.vpu", []string{
			"dma_heap -> ../../../virtual/dma_heap/linux,cma",
			"dma_heaps/", "dma_heaps/linux,cma" + heaps + "linux,cma", "dma_heaps/reserved" + heaps + "reserved", "dma_heaps/soc:dsp" + heaps + "soc:dsp",
			"dma_constraints/", "dma_constraints/contiguous=1\n", "dma_constraints/protected=accepts\n",
			"dma_constraints/address_ranges=0x40000000 0x7fffffff 0x40000000\n0x100000000 0x13fffffff 0x0\n",
			"dma_constraints/alignment=64\n", "dma_constraints/pitch_alignment=192\n", "dma_constraints/max_pitch=65536\n",
			"dma_constraints/max_size=33554432\n", "dma_constraints/max_segments=1\n", "dma_constraints/max_segment_size=16777216\n",
			"dma_constraints/segment_boundary=4294967296\n", "dma_constraints/coherency=snoops sync\n",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.device, func(t *testing.T) {
			got := slices.DeleteFunc(below(v, tt.device), func(s string) bool { return !strings.HasPrefix(s, "dma_") })
			assert.Equal(t, tt.want, got)
		})
	}
}

func TestADeviceThatTheMachineLacksIsShownAsItsBusDoes(t *testing.T) {
	v := viewOf(t, discoveryBoard)
	assert.Contains(t, below(v, "bus/platform/devices"), "1000.vpu -> ../../../devices/platform/soc@0/1000.vpu")
	got := below(v, "devices/platform/soc@0/1000.vpu")
	for _, want := range []string{
		"subsystem -> ../../../../bus/platform", "driver_override=(null)\n", "modalias=of:NvpuT(null)Cmaker,vpuCmaker,codec\n",
		"uevent=OF_NAME=vpu\nOF_COMPATIBLE_0=maker,vpu\nOF_COMPATIBLE_1=maker,codec\nOF_COMPATIBLE_N=2\nMODALIAS=of:NvpuT(null)Cmaker,vpuCmaker,codec\n",
		"power/control=auto\n",
	} {
		assert.Contains(t, got, want)
	}
	assert.Contains(t, below(v, "devices/platform/nowhere"), "uevent=MODALIAS=platform:nowhere\n")

	for i := range v.Devices {
		v.Devices[i].Present = true
	}
	for _, e := range below(v, "devices/platform/soc@0/1000.vpu") {
		assert.True(t, strings.HasPrefix(e, "dma_"), e)
	}
	assert.Empty(t, below(v, "bus/platform/devices"))
}

func TestEveryLinkLeadsToSomethingOfTheView(t *testing.T) {
	boards := []string{discoveryBoard}
	for _, name := range board.Builtins() {
		text, err := board.Source(name)
		require.NoError(t, err)
		boards = append(boards, string(text))
	}
	for _, text := range boards {
		v := viewOf(t, text)
		v.Devices = append(v.Devices, Device{Device: devices.Device{Name: "0000:7f:02.0"}, Path: "devices/pci0000:7f/0000:7f:02.0"})
		there := map[string]bool{"bus/platform": true, "bus/pci": true}
		for _, e := range v.Entries() {
			assert.False(t, there[e.Path], "%s twice", e.Path)
			assert.True(t, fs.ValidPath(e.Path), e.Path)
			there[e.Path] = true
		}
		for _, e := range v.Entries() {
			if e.Mode&fs.ModeSymlink != 0 {
				to := path.Join(path.Dir(e.Path), e.Text)
				assert.True(t, there[to], fmt.Sprintf("%s leads to %s", e.Path, to))
			}
		}
	}
}
