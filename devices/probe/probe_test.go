package probe

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/devices"
	"github.com/heapfs/heapfs/devices/board"
)

// fixture makes a root of files (path: contents) and links (path: "-> target").
func fixture(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		at := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(at), 0o755))
		if to, ok := strings.CutPrefix(text, "-> "); ok {
			require.NoError(t, os.Symlink(to, at))
			continue
		}
		require.NoError(t, os.WriteFile(at, []byte(text), 0o644))
	}
	return root
}

func u32s(values ...uint32) string {
	var b []byte
	for _, v := range values {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return string(b)
}

func probed(t *testing.T, files map[string]string) *Found {
	t.Helper()
	f, err := Probe(Options{Root: fixture(t, files)})
	require.NoError(t, err)
	text, err := f.Marshal("A test.")
	require.NoError(t, err)
	again, err := board.Parse("again.yaml", text)
	require.NoError(t, err, "%s", text)
	require.Equal(t, f.Board, again, "%s", text)
	return f
}

func TestAMachineThatShowsNothingIsAnError(t *testing.T) {
	_, err := Probe(Options{Root: t.TempDir()})
	require.EqualError(t, err, "board probe: neither /proc/iomem nor /sys/devices/system/memory nor /proc/meminfo says how much memory there is")
	_, err = Probe(Options{Root: fixture(t, map[string]string{"proc/meminfo": "MemTotal: 1024 kB\n"}), Name: "a/b"})
	require.ErrorContains(t, err, "the board that comes of this machine is not valid")
}

func TestADeviceTreeMachine(t *testing.T) {
	const dt = "proc/device-tree/"
	f := probed(t, map[string]string{
		dt + "#address-cells": u32s(2), dt + "#size-cells": u32s(2), dt + "compatible": "vendor,Fine Board\x00vendor,soc\x00", dt + "model": "A Fine Board\x00",
		dt + "memory@40000000/device_type": "memory\x00", dt + "memory@40000000/reg": u32s(0, 0x40000000, 0, 0x80000000),
		dt + "soc@0/#address-cells": u32s(1), dt + "soc@0/#size-cells": u32s(1), dt + "soc@0/ranges": u32s(0, 0, 0, 0x1000000),
		dt + "soc@0/vpu@1000/compatible": "nxp,imx8mq-vpu-g1\x00", dt + "soc@0/vpu@1000/reg": u32s(0x1000, 0x1000),
		dt + "soc@0/gpu@2000/compatible": "vivante,gc\x00", dt + "soc@0/gpu@2000/reg": u32s(0x2000, 0x1000),
		"sys/bus/platform/devices/1000.vpu":             "-> ../../../devices/platform/soc@0/other@5/1000.vpu",
		"sys/class/dma_heap/system/uevent":              "",
		"sys/class/dma_heap/linux,cma/uevent":           "",
		"sys/class/dma_heap/protected,secure-video/dev": "",
		"sys/class/dma_heap/protected,trusted-ui/dev":   "",
		"sys/class/dma_heap/strange/dev":                "",
	})
	assert.Equal(t, "fine-board", f.Board.Name)
	assert.Equal(t, "A Fine Board", f.Board.Description)
	assert.Equal(t, []board.Memory{{Name: "memory@40000000", Base: 0x40000000, Size: 0x80000000}}, f.Board.Memory)
	require.Len(t, f.Board.Devices, 2)
	assert.Equal(t, "2000.gpu", f.Board.Devices[0].Name)
	assert.Equal(t, "/sys/devices/platform/soc@0/2000.gpu", f.Board.Devices[0].Sysfs, "what the tree says")
	assert.Equal(t, "/sys/devices/platform/soc@0/other@5/1000.vpu", f.Board.Devices[1].Sysfs, "where it really is")
	pools := map[string]string{}
	for _, h := range f.Board.Heaps {
		pools[h.Name] = h.Pool
	}
	assert.Equal(t, map[string]string{
		"system": "system", "default_cma_region": "cma", "linux,cma": "cma", "protected,secure-video": "protected", "protected,trusted-ui": "protected",
	}, pools)
	assert.Equal(t, []string{
		"2000.gpu is in the device tree and not under /sys/bus/platform/devices",
		"how large the protected memory is is not to be seen: 64MiB assumed",
		"heap strange of this machine is of no kind that its name tells: left out",
		"this machine has no heap default_cma_region: its kernel gives another name to it, or none",
	}, f.Notes)
}

func TestAPCWithTwoGPUs(t *testing.T) {
	const pci = "sys/bus/pci/devices/"
	device := func(files map[string]string, name, class, vendor, unit, group string) {
		real := "sys/devices/pci0000:00/" + name + "/"
		files[pci+name] = "-> ../../../devices/pci0000:00/" + name
		files[real+"class"], files[real+"vendor"], files[real+"device"], files[real+"dma_mask_bits"] = class+"\n", vendor+"\n", "0x1234\n", "32\n"
		if unit != "" {
			files[real+"iommu"] = "-> ../../virtual/iommu/" + unit
			files[real+"iommu_group"] = "-> ../../../kernel/iommu_groups/" + group
		}
	}
	files := map[string]string{
		"proc/iomem":                     "00001000-0009fbff : System RAM\n000a0000-000fffff : Reserved\n00100000-7fffffff : System RAM\n  01000000-01ffffff : Kernel code\n100000000-47fffffff : System RAM\n",
		"sys/class/dmi/id/sys_vendor":    "Example Inc.\n",
		"sys/class/dmi/id/product_name":  "Tower 9000\n",
		"sys/kernel/iommu_groups/1/type": "DMA-FQ\n",
		"sys/kernel/iommu_groups/2/type": "identity\n",
		"sys/class/dma_heap/system/dev":  "",
	}
	device(files, "0000:00:02.0", "0x030000", "0x8086", "dmar0", "1")
	device(files, "0000:00:03.0", "0x030000", "0x1002", "dmar1", "2")
	device(files, "0000:00:04.0", "0x048000", "0x1131", "", "")
	device(files, "0000:00:1f.3", "0x040300", "0x8086", "dmar1", "1")
	f := probed(t, files)
	assert.Equal(t, "tower-9000", f.Board.Name)
	assert.Equal(t, "Example Inc. Tower 9000", f.Board.Description)
	assert.Equal(t, []board.Memory{
		{Name: "memory@1000", Base: 0x1000, Size: 0x9e000}, {Name: "memory@100000", Base: 0x100000, Size: 0x7ff00000},
		{Name: "memory@100000000", Base: 4 << 30, Size: 14 << 30},
	}, f.Board.Memory)
	assert.Equal(t, []board.Heap{{Name: "system", Pool: "system"}}, f.Board.Heaps)
	snoops := []devices.Coherency{devices.CoherencySnoops, devices.CoherencySync}
	assert.Equal(t, []board.Device{
		{
			Name: "0000:00:02.0", Sysfs: "/sys/devices/pci0000:00/0000:00:02.0", DriverClass: "drm-shmem", IOMMU: "dmar0",
			Constraints: &devices.Constraints{PitchAlignment: 64, Coherency: snoops},
		},
		{ // Its IOMMU hands addresses through; its driver is not bound, so that its mask says nothing.
			Name: "0000:00:03.0", Sysfs: "/sys/devices/pci0000:00/0000:00:03.0", DriverClass: "drm-shmem", Heap: "system",
			Constraints: &devices.Constraints{PitchAlignment: 256, AddressRanges: []devices.AddressRange{{Size: 1 << 44}}, Coherency: snoops},
		},
		{
			Name: "0000:00:04.0", Sysfs: "/sys/devices/pci0000:00/0000:00:04.0", DriverClass: "vb2-dma-sg", Heap: "system",
			Constraints: &devices.Constraints{AddressRanges: []devices.AddressRange{{Size: 4 << 30}}, Coherency: snoops},
		},
	}, f.Board.Devices)
	assert.Equal(t, []board.IOMMU{{Name: "dmar0", Granule: 4096}}, f.Board.IOMMUs)
	assert.Empty(t, f.Notes)

	unserved, err := f.Board.Unserved()
	require.NoError(t, err)
	require.Len(t, unserved, 1, "the capture card reaches 4 GiB, and the system pool lies above")
	assert.Equal(t, "0000:00:04.0", unserved[0].Device)
}

func TestMemoryAsFarAsItIsToBeSeen(t *testing.T) {
	hidden := "00000000-00000000 : System RAM\n"
	f := probed(t, map[string]string{
		"proc/iomem": hidden, "proc/meminfo": "MemTotal:        3000000 kB\nCmaTotal:         262144 kB\n",
		"sys/devices/system/memory/block_size_bytes":   "8000000\n",
		"sys/devices/system/memory/memory0/phys_index": "00000000\n", "sys/devices/system/memory/memory0/state": "online\n",
		"sys/devices/system/memory/memory1/phys_index": "00000001\n", "sys/devices/system/memory/memory1/state": "online\n",
		"sys/devices/system/memory/memory33/phys_index": "00000021\n", "sys/devices/system/memory/memory33/state": "offline\n",
		"sys/devices/system/memory/memory32/phys_index": "00000020\n", "sys/devices/system/memory/memory32/state": "online\n",
	})
	assert.Equal(t, []board.Memory{{Name: "memory@0", Size: 256 << 20}, {Name: "memory@100000000", Base: 4 << 30, Size: 128 << 20}}, f.Board.Memory)
	assert.Len(t, f.Board.Heaps, 1, "a CMA area does not fill the memory")

	f = probed(t, map[string]string{"proc/iomem": hidden, "proc/meminfo": "MemTotal:        3000001 kB\nCmaTotal:         262144 kB\n"})
	assert.Equal(t, []board.Memory{{Name: "memory@100000000", Base: 4 << 30, Size: 3000000 << 10}}, f.Board.Memory)
	assert.Equal(t, "default_cma_region", f.Board.Heaps[1].Name)
	assert.Len(t, f.Notes, 3)
}

func TestThisMachineHasABoard(t *testing.T) {
	f, err := Probe(Options{})
	require.NoError(t, err)
	assert.NotEmpty(t, f.Board.Memory)
}

func TestNamesOfMachinesBecomeNamesOfBoards(t *testing.T) {
	for text, want := range map[string]string{
		"": "probed", "---": "probed", "rpi-5-b": "rpi-5-b", "Standard PC (i440FX + PIIX, 1996)": "standard-pc-i440fx-piix-1996", "a/b!": "a-b", "..": "probed",
	} {
		assert.Equal(t, want, nameOf(text), text)
	}
}
