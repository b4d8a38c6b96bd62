package devices

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
)

func merged(cs ...Constraints) Merged {
	set := make([]Device, len(cs))
	for i, c := range cs {
		set[i] = Device{Name: string(rune('a' + i)), Constraints: c}
	}
	return Negotiate(nil, set, Ask{}).Merged
}

func TestMerge(t *testing.T) {
	a := Constraints{
		AddressRanges: []AddressRange{{Base: 0x8000, Size: 0x8000}, {Base: 0x1000, Size: 0x3000}},
		Alignment:     64, PitchAlignment: 64, MaxPitch: 16384, MaxSize: 1 << 20, MaxSegments: 16, MaxSegmentSize: 1 << 16, IOMMUGranule: 4096,
	}
	b := Constraints{
		Contiguous: true, AddressRanges: []AddressRange{{Base: 0x3000, Size: 0x6000}},
		Alignment: 256, PitchAlignment: 96, MaxPitch: 8192, MaxSize: 2 << 20, MaxSegments: 8, SegmentBoundary: 1 << 32, IOMMUGranule: 65536,
		Coherency: []Coherency{CoherencySync, CoherencyUncached}, Protected: ProtectedAccepts,
	}
	c := Constraints{Coherency: []Coherency{CoherencySnoops, CoherencySync}, Protected: ProtectedAccepts}
	want := Merged{
		Contiguous: true, AddressRanges: []AddressRange{{Base: 0x3000, Size: 0x1000}, {Base: 0x8000, Size: 0x1000}},
		Alignment: 256, PitchAlignment: 192, MaxPitch: 8192, MaxSize: 1 << 20, MaxSegments: 8, MaxSegmentSize: 1 << 16, SegmentBoundary: 1 << 32,
		IOMMUGranule: 65536, Coherency: []Coherency{CoherencySync}, Protected: ProtectedRefuses, Required: []string{},
	}
	assert.Equal(t, want, merged(a, b, c))
	assert.Equal(t, Merged{Protected: ProtectedAccepts, Required: []string{}}, merged())
	assert.Equal(t, ProtectedRequires, merged(c, Constraints{Protected: ProtectedRequires}).Protected)
}

func TestWhatNoBufferFulfilsIsAConflict(t *testing.T) {
	rows := []struct {
		name string
		set  []Constraints
		want []Conflict
	}{
		{"two primes beyond 64 bits", []Constraints{{PitchAlignment: 1<<32 + 15}, {PitchAlignment: 1<<33 + 17}, {PitchAlignment: 3}},
			[]Conflict{{"pitchAlignment", "the least common multiple is beyond 64 bits"}}},
		{"pitch", []Constraints{{PitchAlignment: 64}, {PitchAlignment: 96}, {MaxPitch: 128}},
			[]Conflict{{"maxPitch", "the least pitch 192 is more than 128"}}},
		{"addresses", []Constraints{{AddressRanges: []AddressRange{{Base: 0, Size: 1}}}, {AddressRanges: []AddressRange{{Base: 1, Size: 1}}}},
			[]Conflict{{"addressRanges", "no address is reached by all"}}},
		{"coherency", []Constraints{{Coherency: []Coherency{CoherencySync}}, {Coherency: []Coherency{CoherencySnoops}}},
			[]Conflict{{"coherency", "the devices have no way in common"}}},
		{"protected", []Constraints{{}, {Protected: ProtectedRequires}},
			[]Conflict{{"protected", "b requires memory without a CPU mapping, a refuses it"}}},
	}
	for _, r := range rows {
		assert.Equal(t, r.want, merged(r.set...).Conflicts, r.name)
	}
	none := merged(Constraints{AddressRanges: []AddressRange{{Base: 5}}})
	assert.NotNil(t, none.AddressRanges, "no address is not every address")
	assert.Empty(t, none.AddressRanges)
}

func TestLCM(t *testing.T) {
	for _, r := range []struct {
		a, b, want uint64
		ok         bool
	}{
		{0, 0, 0, true}, {0, 7, 7, true}, {7, 0, 7, true}, {64, 256, 256, true}, {64, 96, 192, true}, {1 << 33, 3 << 33, 3 << 33, true},
		{math.MaxUint64, math.MaxUint64, math.MaxUint64, true}, {1 << 63, 3, 0, false}, {math.MaxUint64, 2, 0, false},
	} {
		got, ok := lcm(r.a, r.b)
		assert.Equal(t, r.ok, ok, "%d %d", r.a, r.b)
		if ok {
			assert.Equal(t, r.want, got, "%d %d", r.a, r.b)
		}
	}
}
