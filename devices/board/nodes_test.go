package board

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/devices"
)

func nodes(t *testing.T, b *Board) map[string]Node {
	t.Helper()
	list, err := b.Nodes()
	require.NoError(t, err)
	byName := map[string]Node{}
	for _, n := range list {
		byName[n.Name] = n
	}
	require.Len(t, byName, len(list))
	return byName
}

func TestADeviceThatNoHeapServesHasNoNode(t *testing.T) {
	b := parse(t, head+ram+"pools: [{name: s, kind: scatter}]\nheaps: [{name: system, pool: s}, {name: reserved, pool: s}]\ndevices: [{name: d}]\n")
	assert.NotContains(t, nodes(t, b), "d", "no default CMA heap: reserved is scatter")
	b = parse(t, head+cma+"iommus: [{name: i}]\nheaps: [{name: h, pool: cma, default: true}]\ndevices: [{name: d, iommu: i}]\n")
	assert.NotContains(t, nodes(t, b), "d", "no system heap")
}

func TestNodesAreHeapsThenAliasesThenDevices(t *testing.T) {
	list, err := parse(t, everything).Nodes()
	require.NoError(t, err)
	root := Node{Pool: "rest", Heap: "system", Kind: KindScatter, Mode: 0o444}
	main := Node{Pool: "cma", Heap: "default_cma_region", Kind: KindContiguous, Mode: 0o660, UID: 1000, GID: 44, Quota: 32 << 20}
	limited := root
	limited.Limits = []devices.Limits{{
		Device: "1000.vpu", MaxSize: 64 << 20, MaxSegments: 128, MaxSegmentSize: 64 << 10, SegmentBoundary: 4 << 30,
	}}
	with := func(n Node, name, device string, alias bool) Node {
		n.Name, n.ExpName, n.Device, n.Alias = name, name, device, alias
		return n
	}
	assert.Equal(t, []Node{
		with(root, "system", "", false),
		with(main, "default_cma_region", "", false),
		with(Node{Pool: "cma", Heap: "cma-uncached", Kind: KindContiguous, Mode: 0o600, UID: 7, GID: -1}, "cma-uncached", "", false),
		with(Node{Pool: "secure", Heap: "protected,secure-video", Kind: KindProtected, Mode: 0o600, UID: -1, GID: -1}, "protected,secure-video", "", false),
		with(Node{Pool: "huge", Heap: "huge", Kind: KindScatter, Mode: 0o600, UID: -1, GID: -1}, "huge", "", false),
		with(main, "linux,cma", "", true),
		with(main, "reserved", "", true),
		with(limited, "1000.vpu", "1000.vpu", false),
		with(main, "2000.cam", "2000.cam", false),
		with(Node{Pool: "dma", Kind: KindCoherent, Mode: 0o600, UID: -1, GID: -1}, "3000.dsp", "3000.dsp", false),
		with(main, "4000.gpu", "4000.gpu", false),
	}, list)
}

func TestAMemoryRegionPrefersTheHeapOverItsPool(t *testing.T) {
	b := parse(t, head+ram+"pools: [{name: p, kind: coherent, size: 1MiB}]\nheaps: [{name: h, pool: p, quota: 4K}]\ndevices: [{name: d, memoryRegion: p}]\n")
	n := nodes(t, b)["d"]
	assert.Equal(t, Node{Name: "d", ExpName: "d", Pool: "p", Heap: "h", Device: "d", Kind: KindCoherent, Mode: 0o600, UID: -1, GID: -1, Quota: 4096}, n)
}

func TestTheDefaultCMAHeapIsMarkedOrHasAKernelName(t *testing.T) {
	pools := ram + "pools: [{name: a, kind: contiguous, size: 1MiB}, {name: b, kind: contiguous, size: 1MiB}]\n"
	b := parse(t, head+pools+"heaps: [{name: x, pool: a}]\n")
	assert.Nil(t, b.DefaultCMA())
	b = parse(t, head+pools+"heaps: [{name: x, pool: a, aliases: [reserved]}, {name: \"linux,cma\", pool: b}]\n")
	assert.Equal(t, "linux,cma", b.DefaultCMA().Name)
	b = parse(t, head+pools+"heaps: [{name: x, pool: a, default: true}, {name: default_cma_region, pool: b}]\n")
	assert.Equal(t, "x", b.DefaultCMA().Name)
}

func TestTheVideoDecodersOfTheBuiltInBoardsGetWhatTheyNeed(t *testing.T) {
	for _, tc := range []struct {
		board, device string
		kind          Kind
		heap          string
	}{
		{"imx8mq-evk", "38300000.video-codec", KindContiguous, "default_cma_region"},
		{"imx8mq-evk", "38310000.video-codec", KindContiguous, "default_cma_region"},
		{"imx8mq-evk", "38000000.gpu", KindScatter, "system"},
		{"rk3399-rockpro64", "ff650000.video-codec", KindScatter, "system"},
		{"rk3399-rockpro64", "ff9a0000.gpu", KindScatter, "system"},
	} {
		b, err := Load(tc.board)
		require.NoError(t, err)
		n := nodes(t, b)[tc.device]
		assert.Equal(t, tc.kind, n.Kind, tc.device)
		assert.Equal(t, tc.heap, n.Heap, tc.device)
		assert.Equal(t, tc.device, n.ExpName)
	}
}

func TestTheGenericBoardHasTheKernelsHeapsAndNoDevices(t *testing.T) {
	b, err := Load("generic")
	require.NoError(t, err)
	assert.Empty(t, b.Devices)
	list, err := b.Nodes()
	require.NoError(t, err)
	var names []string
	for _, n := range list {
		names = append(names, n.Name)
	}
	assert.Equal(t, []string{"system", "default_cma_region", "linux,cma"}, names)
	assert.Equal(t, list[1].Pool, list[2].Pool)
	assert.True(t, list[2].Alias)
}
