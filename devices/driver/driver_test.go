package driver

import (
	"math/bits"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEachEntryIsWholeAndSaysWhereItIsFrom(t *testing.T) {
	seen := map[string]bool{}
	source := regexp.MustCompile(`^drivers/[a-zA-Z0-9_/-]+\.c$`)
	for _, k := range Table() {
		assert.False(t, seen[k.Compatible], "%s is there twice", k.Compatible)
		seen[k.Compatible] = true
		assert.Regexp(t, `^[a-z0-9]+,[a-zA-Z0-9._-]+$`, k.Compatible)
		assert.Regexp(t, source, k.Source, k.Compatible)
		assert.Contains(t, Classes(), k.Class, k.Compatible)
		assert.NotEmpty(t, k.Import, k.Compatible)
		assert.LessOrEqual(t, k.MaskBits, 64, k.Compatible)
		assert.False(t, k.OwnMMU && k.Import.Contiguous(), "%s: who has an MMU needs no contiguous memory", k.Compatible)
		assert.Equal(t, 1, bits.OnesCount64(max(k.Alignment, 1)), k.Compatible)
	}
	for _, u := range units {
		assert.Regexp(t, source, u.Source, u.Compatible)
		assert.Equal(t, 1, bits.OnesCount64(u.Granule), u.Compatible)
		assert.Zero(t, u.Base%u.Granule, u.Compatible)
	}
	for _, c := range Classes() {
		assert.True(t, slices.ContainsFunc(Table(), func(k Knowledge) bool { return k.Class == c }), "no device is a %s", c)
	}
}

func TestTheMostSpecificStringThatIsKnownCounts(t *testing.T) {
	assert.Nil(t, Find(nil))
	assert.Nil(t, Find([]string{"vendor,nothing"}))
	assert.Nil(t, FindUnit([]string{"arm,mmu-500"}))
	k := Find([]string{"rockchip,rk3399-mali", "arm,mali-t860"})
	require.NotNil(t, k)
	assert.Equal(t, "arm,mali-t860", k.Compatible)
	assert.True(t, k.OwnMMU)
	assert.Equal(t, "rockchip,iommu", FindUnit([]string{"x", "rockchip,iommu"}).Compatible)
}

func TestLimits(t *testing.T) {
	for maskBits, want := range map[int]uint64{0: 1 << 32, 32: 1 << 32, 36: 1 << 36, 64: 0} {
		assert.Equal(t, want, (&Knowledge{MaskBits: maskBits}).Limit(), maskBits)
	}
}

func TestPCIDevicesAreKnownByVendorAndClass(t *testing.T) {
	assert.Nil(t, FindPCI(0x8086, 0x020000), "a network card")
	assert.Nil(t, FindPCI(0x8086, 0x040300), "sound")
	amd := FindPCI(0x1002, 0x030000)
	require.NotNil(t, amd)
	assert.Equal(t, uint64(256), amd.PitchAlignment)
	assert.Equal(t, GPU, FindPCI(0x1af4, 0x038000).Class)
	assert.Equal(t, Camera, FindPCI(0x1131, 0x048000).Class)
}
