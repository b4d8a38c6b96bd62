package board

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/devices"
)

// allBoards are the names of the built-in boards.
var allBoards = []string{
	"bcm2711-rpi-4-b", "bcm2712-rpi-5-b", "generic", "imx8mq-evk", "pc-two-gpus", "rk3399-rockpro64", "rk3588-rock-5b",
	"sdm845-oneplus-enchilada",
}

// everything uses every key of the schema.
const everything = `apiVersion: heapfs/v1
name: everything
description: every key
memory:
  - name: low
    base: 0x40000000
    size: 1GiB
    reserved:
      - {name: "memory@42000000", base: 0x42000000, size: 32MiB}
  - {name: high, base: 4GiB, size: 0x40000000}
pools:
  - {name: rest, kind: scatter, region: low}
  - {name: cma, kind: contiguous, region: low, size: 64MiB, align: 64KiB}
  - {name: dma, kind: coherent, region: "memory@42000000"}
  - {name: secure, kind: protected, region: high, base: 0x100000000, size: 16M, pages: 2M}
  - {name: huge, kind: scatter, region: high, pages: 2M}
heaps:
  - {name: system, pool: rest, mode: 0444, owner: root}
  - {name: default_cma_region, pool: cma, aliases: ["linux,cma", reserved], mode: "0660", owner: "1000:44", quota: 32MiB, default: true}
  - {name: cma-uncached, pool: cma, owner: 7}
  - {name: "protected,secure-video", pool: secure}
  - {name: huge, pool: huge}
iommus:
  - {name: smmu, granule: 64KiB, aperture: {base: 0, size: 4GiB}}
devices:
  - name: 1000.vpu
    compatible: [a, b]
    sysfs: /sys/devices/platform/soc@0/1000.vpu
    iommu: smmu
    constraints:
      contiguous: false
      addressRanges: [{base: 0x40000000, size: 1GiB, busOffset: 0x40000000}]
      alignment: 64
      pitchAlignment: 48
      maxPitch: 32768
      maxSize: 64MiB
      maxSegments: 128
      maxSegmentSize: 64KiB
      segmentBoundary: 4GiB
      iommuGranule: 4KiB
      coherency: [snoops, uncached, sync]
      protected: accepts
  - {name: 2000.cam}
  - {name: 3000.dsp, memoryRegion: dma, iommu: smmu}
  - {name: 4000.gpu, heap: "reserved"}
policy: {camera: "linux,cma", render: system}
export: memfd
`

func parse(t *testing.T, text string) *Board {
	t.Helper()
	b, err := Parse("b.yaml", []byte(text))
	require.NoError(t, err)
	return b
}

func TestMarshalledBoardsParseToTheSameBoard(t *testing.T) {
	require.Equal(t, allBoards, Builtins())
	texts := map[string]string{"everything": everything}
	for _, name := range Builtins() {
		text, err := Source(name)
		require.NoError(t, err)
		texts[name] = string(text)
	}
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			b := parse(t, text)
			assert.Equal(t, name, b.Name)
			text, err := b.Marshal()
			require.NoError(t, err)
			assert.Equal(t, b, parse(t, string(text)))
		})
	}
}

func TestEveryKeyIsRead(t *testing.T) {
	b := parse(t, everything)
	assert.Equal(t, &devices.Constraints{
		AddressRanges: []devices.AddressRange{{Base: 0x40000000, Size: 1 << 30, BusOffset: 0x40000000}},
		Alignment:     64, PitchAlignment: 48, MaxPitch: 32768, MaxSize: 64 << 20,
		MaxSegments: 128, MaxSegmentSize: 64 << 10, SegmentBoundary: 4 << 30, IOMMUGranule: 4096,
		Coherency: devices.Coherencies(), Protected: devices.ProtectedAccepts,
	}, b.Devices[0].Constraints)
	assert.Equal(t, "/sys/devices/platform/2000.cam", b.Devices[1].SysfsPath())
	assert.Equal(t, IOMMU{Name: "smmu", Granule: 64 << 10, Aperture: &Aperture{Size: 4 << 30}}, b.IOMMUs[0])
	assert.Equal(t, map[string]string{"camera": "linux,cma", "render": "system"}, b.Policy)
	assert.Equal(t, ExportMemfd, b.Export)
}

func TestListsWithoutEntriesAreEmpty(t *testing.T) {
	b := parse(t, head+"devices:\n  # - name: d\npolicy:\n")
	assert.Empty(t, b.Devices)
	assert.Empty(t, b.Policy)
}

func TestABoardIsJSON(t *testing.T) {
	text, err := json.Marshal(parse(t, everything))
	require.NoError(t, err)
	for _, part := range []string{
		`"apiVersion":"heapfs/v1"`, `"base":1073741824`, `"mode":"0660"`, `"pages":2097152`, `"busOffset":1073741824`,
	} {
		assert.Contains(t, string(text), part)
	}
}

func TestLoadTakesNamesAndPaths(t *testing.T) {
	_, err := Load("generix")
	require.ErrorIs(t, err, ErrUnknown)
	require.EqualError(t, err, `board "generix": no such built-in board: use one of `+strings.Join(allBoards, ", ")+`, or a path with a slash or ending in .yaml`)
	_, err = Load("../builtin/generic")
	require.ErrorIs(t, err, os.ErrNotExist)
	assert.NotContains(t, err.Error(), "\n")
	_, err = Load("/dev/zero")
	require.ErrorContains(t, err, "/dev/zero: larger than 1048576 bytes")
	_, err = Load("missing.yml")
	require.ErrorIs(t, err, os.ErrNotExist)

	file := filepath.Join(t.TempDir(), "b")
	require.NoError(t, os.WriteFile(file, []byte(head), 0o600))
	b, err := Load(file)
	require.NoError(t, err)
	assert.Equal(t, "b", b.Name)
}

func TestTheExampleOfTheFieldReferenceIsABoard(t *testing.T) {
	doc, err := os.ReadFile("../../docs/boards.md")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(doc), "```yaml\n")
	require.True(t, ok)
	text, _, ok := strings.Cut(rest, "```")
	require.True(t, ok)
	kinds := map[string]Kind{}
	for name, n := range nodes(t, parse(t, text)) {
		kinds[name] = n.Kind
	}
	assert.Equal(t, map[string]Kind{
		"system": KindScatter, "default_cma_region": KindContiguous, "linux,cma": KindContiguous,
		"1c00000.video-codec": KindContiguous, "1d00000.display": KindScatter, "1e00000.dsp": KindCoherent,
	}, kinds)
}

func TestADraftsFileIsReadAsTheVersionThatItBecame(t *testing.T) {
	b := parse(t, "apiVersion: heapfs/v1alpha1\nname: b\n")
	assert.Equal(t, APIVersion, b.APIVersion)
	_, err := Parse("b.yaml", []byte("apiVersion: heapfs/v1alpha2\nname: b\n"))
	require.EqualError(t, err, `b.yaml:1:13: apiVersion: "heapfs/v1alpha2" is not heapfs/v1`)
}
