package board

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestADeviceThatNoHeapServesIsAllowedAndReported(t *testing.T) {
	b := parse(t, head+ram+`pools: [{name: s, kind: scatter}]
heaps: [{name: system, pool: s}]
devices:
  - {name: near, constraints: {addressRanges: [{base: 0, size: 1GiB}], maxSegments: 8}}
  - {name: fine, constraints: {maxSegments: 8}}
  - {name: plain}
`)
	list, err := b.Unserved()
	require.NoError(t, err)
	assert.Equal(t, []Unserved{
		{"near", "no heap serves all; system: near does not reach 0x40000000-0x7fffffff of the heap"},
		{"plain", "no heap serves all; system: plain needs one segment, the heap gives pieces of 1MiB at the most"},
	}, list)

	list, err = parse(t, head+"devices: [{name: d}]\n").Unserved()
	require.NoError(t, err)
	assert.Equal(t, []Unserved{{"d", "the board has no heaps"}}, list)

	_, err = (&Board{}).Unserved()
	require.Error(t, err)
}

func TestEveryDeviceOfABuiltInBoardHasAHeap(t *testing.T) {
	for _, name := range Builtins() {
		b, err := Load(name)
		require.NoError(t, err)
		list, err := b.Unserved()
		require.NoError(t, err)
		for _, u := range list {
			// A context bank of a DSP without an IOMMU, on a handset without CMA.
			assert.Equal(t, "5c00000.remoteproc:glink-edge:fastrpc:compute-cb@0", u.Device, "%s: %s", name, u.Reason)
		}
	}
}
