package devices

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The heaps of the tests: 1 GiB of pieces above 4 GiB, contiguous memory below, a device's own uncached memory, a protected range.
var (
	scatter   = Heap{Name: "system", Base: 4 << 30, Size: 1 << 30, Chunks: []Bytes{1 << 20, 64 << 10, 4096}, Coherency: []Coherency{CoherencySnoops, CoherencySync}}
	cma       = Heap{Name: "cma", Base: 1 << 30, Size: 64 << 20, Quota: 32 << 20, Coherency: []Coherency{CoherencySnoops, CoherencySync}}
	coherent  = Heap{Name: "dsp", Base: 2 << 30, Size: 16 << 20, Coherency: []Coherency{CoherencyUncached, CoherencySync}}
	protected = Heap{Name: "secure", Base: 3 << 30, Size: 16 << 20, Protected: true}
	fourHeaps = []Heap{scatter, cma, coherent, protected}
)

func device(name string, c Constraints) Device { return Device{Name: name, Constraints: c} }

// serving lists the heaps that serve.
func serving(r Result) []string {
	names := []string{}
	for _, h := range r.Heaps {
		if h.Serves {
			names = append(names, h.Name)
		}
	}
	return names
}

// exclusions gives device, constraint and reason of each exclusion of a heap.
func exclusions(r Result, heap string) []string {
	all := []string{}
	for _, h := range r.Heaps {
		for _, e := range h.ExcludedBy {
			if h.Name == heap {
				all = append(all, e.Device+" "+e.Constraint+": "+e.Reason)
			}
		}
	}
	return all
}

func TestEachConstraintExcludesWhatItMust(t *testing.T) {
	below4G := []AddressRange{{Base: 0, Size: 4 << 30}}
	rows := []struct {
		name    string
		set     []Device
		ask     Ask
		serve   []string
		heap    string // of which the exclusions are
		against []string
	}{
		{"nothing asked", nil, Ask{}, []string{"system", "cma", "dsp", "secure"}, "system", nil},
		{"any memory", []Device{device("a", Constraints{})}, Ask{}, []string{"system", "cma", "dsp"}, "secure",
			[]string{"a protected: refuses memory without a CPU mapping"}},
		{"contiguous", []Device{device("b", Constraints{Contiguous: true}), device("a", Constraints{Contiguous: true})}, Ask{},
			[]string{"cma", "dsp"}, "system", []string{
				"a contiguous: needs one segment, the heap gives pieces of 1MiB at the most",
				"b contiguous: needs one segment, the heap gives pieces of 1MiB at the most",
			}},
		{"an address limit", []Device{device("a", Constraints{AddressRanges: below4G})}, Ask{}, []string{"cma", "dsp"}, "system",
			[]string{"a addressRanges: does not reach 0x100000000-0x13fffffff of the heap"}},
		{"part of a heap out of reach", []Device{device("a", Constraints{AddressRanges: []AddressRange{{Base: 0, Size: 1<<30 + 4096}}})}, Ask{},
			[]string{}, "cma", []string{"a addressRanges: does not reach 0x40001000-0x43ffffff of the heap"}},
		{"a hole in the reach", []Device{device("a", Constraints{AddressRanges: []AddressRange{
			{Base: 1<<30 + 8192, Size: 1 << 30}, {Base: 0, Size: 1<<30 + 4096},
		}})}, Ask{}, []string{}, "cma", []string{"a addressRanges: does not reach 0x40001000-0x40001fff of the heap"}},
		{"ranges that touch", []Device{device("a", Constraints{AddressRanges: []AddressRange{
			{Base: 1<<30 + 4096, Size: math.MaxUint64}, {Base: 0, Size: 1<<30 + 4096, BusOffset: 0},
		}})}, Ask{}, []string{"system", "cma", "dsp"}, "cma", nil},
		{"reach that has nothing in common", []Device{
			device("a", Constraints{AddressRanges: below4G}), device("b", Constraints{AddressRanges: []AddressRange{{Base: 4 << 30, Size: 4 << 30}}}),
		}, Ask{}, []string{}, "system", []string{"a addressRanges: does not reach 0x100000000-0x13fffffff of the heap"}},
		{"a large granule", []Device{device("a", Constraints{IOMMUGranule: 64 << 10})}, Ask{}, []string{"cma", "dsp"}, "system",
			[]string{"a iommuGranule: needs segments that are multiples of 64KiB, the heap's are of 4KiB"}},
		{"a granule that fits", []Device{device("a", Constraints{IOMMUGranule: 4096})}, Ask{}, []string{"system", "cma", "dsp"}, "system", nil},
		{"uncached only", []Device{device("a", Constraints{Coherency: []Coherency{CoherencyUncached}})}, Ask{}, []string{"dsp"}, "cma",
			[]string{"a coherency: is kept coherent by uncached only, the heap offers snoops, sync"}},
		{"each with the heap, not with each other", []Device{
			device("b", Constraints{Coherency: []Coherency{CoherencySync}}), device("a", Constraints{Coherency: []Coherency{CoherencySnoops}}),
		}, Ask{}, []string{}, "cma", []string{
			"a coherency: is kept coherent by snoops only, which the other devices do not have in common",
			"b coherency: is kept coherent by sync only, which the other devices do not have in common",
		}},
		{"protected required", []Device{device("a", Constraints{Protected: ProtectedRequires})}, Ask{}, []string{"secure"}, "system",
			[]string{"a protected: requires memory without a CPU mapping"}},
		{"nothing to keep coherent in protected memory", []Device{
			device("a", Constraints{Protected: ProtectedRequires, Coherency: []Coherency{CoherencyUncached}}),
		}, Ask{}, []string{"secure"}, "secure", nil},
		{"protected required and accepted", []Device{
			device("decoder", Constraints{Protected: ProtectedRequires}), device("display", Constraints{Protected: ProtectedAccepts}),
		}, Ask{}, []string{"secure"}, "secure", nil},
		{"protected required and refused", []Device{
			device("decoder", Constraints{Protected: ProtectedRequires}), device("display", Constraints{Protected: ProtectedRefuses}),
		}, Ask{}, []string{}, "secure", []string{"display protected: refuses memory without a CPU mapping"}},
		{"limits without a length", []Device{device("a", Constraints{MaxSize: 4096, MaxSegments: 1})}, Ask{},
			[]string{"system", "cma", "dsp"}, "system", nil},
		{"too long for a device", []Device{device("a", Constraints{MaxSize: 4096})}, Ask{Size: 4097}, []string{}, "cma",
			[]string{"a maxSize: takes 4KiB at the most, not 4097"}},
		{"too long for heaps", nil, Ask{Size: 33 << 20}, []string{"system"}, "cma", []string{" size: holds 32MiB at the most"}},
		{"too many segments", []Device{device("a", Constraints{MaxSegments: 2})}, Ask{Size: 2<<20 + 1}, []string{"cma", "dsp"}, "system",
			[]string{"a maxSegments: takes 2 segments at the most, not 3"}},
		{"one segment that has to be cut", []Device{device("a", Constraints{Contiguous: true, MaxSegmentSize: 64 << 10})}, Ask{Size: 128 << 10},
			[]string{}, "cma", []string{"a maxSegments: takes 1 segments at the most, not 2"}},
		{"layout never excludes", []Device{
			device("a", Constraints{PitchAlignment: 1 << 40, Alignment: 1 << 40, MaxPitch: 1}), device("b", Constraints{PitchAlignment: math.MaxUint64}),
		}, Ask{}, []string{"system", "cma", "dsp"}, "system", nil},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			got := Negotiate(fourHeaps, r.set, r.ask)
			assert.Equal(t, r.serve, serving(got))
			if r.against == nil {
				r.against = []string{}
			}
			assert.Equal(t, r.against, exclusions(got, r.heap))
			if len(r.serve) == 0 {
				assert.Nil(t, got.Choice)
				assert.Contains(t, got.Why(), "no heap serves all; system: ")
				return
			}
			require.NotNil(t, got.Choice)
			assert.Equal(t, r.serve[0], *got.Choice, "the first that serves")
		})
	}
}

func TestAHeapOfUnknownPlaceServesWhoReachesAll(t *testing.T) {
	anywhere := []Heap{{Name: "x"}}
	r := Negotiate(anywhere, []Device{device("a", Constraints{AddressRanges: []AddressRange{{Base: 0, Size: 4 << 30}}})}, Ask{})
	assert.Equal(t, []string{"a addressRanges: does not reach all memory, and where the heap lies is unknown"}, exclusions(r, "x"))
	r = Negotiate(anywhere, []Device{device("a", Constraints{AddressRanges: []AddressRange{{Base: 0, Size: math.MaxUint64}, {Base: math.MaxUint64, Size: 1}}})},
		Ask{Size: 1 << 50})
	assert.Equal(t, []string{"x"}, serving(r))
}

func TestAHeapThatAllAreGivenAloneIsPreferred(t *testing.T) {
	to := func(name, heap string) Device { return Device{Name: name, Heap: heap} }
	choice := func(set ...Device) string { return *Negotiate(fourHeaps, set, Ask{}).Choice }
	assert.Equal(t, "system", choice(to("a", "cma"), to("b", "dsp")), "not the same one")
	assert.Equal(t, "system", choice(to("a", "cma"), to("b", "")))
	assert.Equal(t, "system", choice(to("a", "secure")), "it does not serve")
	assert.Equal(t, "cma", choice(to("a", "cma")))
	assert.Equal(t, "dsp", choice(to("a", "dsp"), to("b", "dsp")))
}

func TestWhatAProgramHasToTakeIntoAccount(t *testing.T) {
	required := func(set ...Device) []string { return Negotiate(fourHeaps, set, Ask{}).Merged.Required }
	assert.Equal(t, []string{}, required(device("a", Constraints{})))
	assert.Equal(t, []string{}, required(device("a", Constraints{Coherency: []Coherency{CoherencySnoops, CoherencySync}})))
	assert.Equal(t, []string{}, required(device("a", Constraints{Contiguous: true}), device("b", Constraints{IOMMUGranule: 64 << 10, AddressRanges: []AddressRange{{Base: 0, Size: 1}}})), "there is no choice, so nothing is required")
	assert.Equal(t, []string{RequiredContiguous, RequiredSync}, required(
		device("a", Constraints{Contiguous: true}), device("b", Constraints{Coherency: []Coherency{CoherencySync, CoherencyUncached}})))
	assert.Equal(t, []string{RequiredNoCPU}, required(device("a", Constraints{Protected: ProtectedRequires, Coherency: []Coherency{CoherencySync}})))
}

func TestNamesOfASet(t *testing.T) {
	p := Platform{Heaps: fourHeaps, Devices: []Device{device("a", Constraints{}), device("b", Constraints{Contiguous: true})}}
	for want, names := range map[error][]string{ErrNoDevices: {}, ErrUnknownDevice: {"a", "c"}, ErrSameDevice: {"b", "a", "b"}} {
		_, err := p.Negotiate(names, Ask{})
		assert.ErrorIs(t, err, want)
	}
	r, err := p.Negotiate([]string{"b", "a"}, Ask{})
	require.NoError(t, err)
	assert.Equal(t, "cma", *r.Choice)
	assert.Equal(t, "the choice is cma", r.Why())
	assert.Equal(t, "a+b", CanonicalSet([]string{"b", "a"}))
}

// The form is a contract with scripts.
func TestTheAnswerAsJSON(t *testing.T) {
	none, err := json.Marshal(Negotiate([]Heap{protected}, []Device{device("a", Constraints{Coherency: []Coherency{CoherencySync}}),
		device("b", Constraints{AddressRanges: []AddressRange{{Base: 4096, Size: 4096, BusOffset: 4096}}, Coherency: []Coherency{CoherencySnoops}})}, Ask{}))
	require.NoError(t, err)
	assert.JSONEq(t, `{"choice":null,"heaps":[{"name":"secure","serves":false,"excluded_by":[
		{"device":"a","constraint":"protected","reason":"refuses memory without a CPU mapping"},
		{"device":"b","constraint":"addressRanges","reason":"does not reach 0xc0000000-0xc0ffffff of the heap"},
		{"device":"b","constraint":"protected","reason":"refuses memory without a CPU mapping"}]}],
		"merged":{"contiguous":false,"addressRanges":[{"base":4096,"size":4096}],"coherency":[],"protected":"refuses","required":[],
		"conflicts":[{"constraint":"coherency","reason":"the devices have no way in common"}]}}`, string(none))
	some, err := json.Marshal(Negotiate([]Heap{cma}, nil, Ask{}))
	require.NoError(t, err)
	assert.JSONEq(t, `{"choice":"cma","heaps":[{"name":"cma","serves":true,"excluded_by":[]}],
		"merged":{"contiguous":false,"protected":"accepts","required":[]}}`, string(some))
}

// randomCase makes heaps and devices of which no two are much alike.
func randomCase(r *rand.Rand, heaps, devs int) ([]Heap, []Device) {
	pick := func(n int) bool { return r.IntN(n) == 0 }
	ways := func() []Coherency {
		all := Coherencies()
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		return all[:r.IntN(len(all)+1)]
	}
	hs := make([]Heap, heaps)
	for i := range hs {
		hs[i] = Heap{Name: fmt.Sprintf("heap%d", i), Base: Address(r.IntN(8)) << 28, Size: Bytes(1+r.IntN(4)) << 28, Coherency: ways(), Protected: pick(4)}
		if pick(2) {
			hs[i].Chunks = []Bytes{1 << 20, 64 << 10, 4096 << r.IntN(3)}
		}
	}
	ds := make([]Device, devs)
	for i := range ds {
		c := Constraints{
			Contiguous: pick(4), Coherency: ways(), Protected: Protecteds()[r.IntN(3)],
			Alignment: 1 << r.IntN(8), PitchAlignment: Bytes(1 + r.IntN(300)), MaxSize: Bytes(r.IntN(3)) << 27, MaxSegments: uint32(r.IntN(200)),
			MaxPitch: Bytes(r.IntN(2)) << 12, MaxSegmentSize: Bytes(r.IntN(3)) << 16, IOMMUGranule: Bytes(r.IntN(2)) << (12 + r.IntN(4)),
		}
		for range r.IntN(3) {
			c.AddressRanges = append(c.AddressRanges, AddressRange{Base: Address(r.IntN(4)) << 28, Size: Bytes(1+r.IntN(10)) << 28})
		}
		ds[i] = Device{Name: fmt.Sprintf("device%d", i), Heap: hs[r.IntN(min(2, heaps))].Name, Constraints: c}
	}
	return hs, ds
}

func TestTheOrderOfDevicesChangesNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	chosen := 0
	for range 2000 {
		heaps, set := randomCase(r, 1+r.IntN(5), 1+r.IntN(5))
		ask := Ask{Size: Bytes(r.IntN(2)) * Bytes(r.IntN(1<<28))}
		want := Negotiate(heaps, set, ask)
		if want.Choice != nil {
			chosen++
		}
		before := slices.Clone(set)
		r.Shuffle(len(set), func(i, j int) { set[i], set[j] = set[j], set[i] })
		got := Negotiate(heaps, set, ask)
		require.Equal(t, want, got, "%v then %v", before, set)
	}
	assert.Greater(t, chosen, 200, "the cases are worth something")
}

func TestOneDeviceMoreNeverHelps(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		heaps, set := randomCase(r, 1+r.IntN(5), 2+r.IntN(4))
		ask := Ask{Size: Bytes(r.IntN(2)) * Bytes(r.IntN(1<<28))}
		more, fewer := Negotiate(heaps, set, ask), Negotiate(heaps, set[1:], ask)
		for i := range heaps {
			require.False(t, more.Heaps[i].Serves && !fewer.Heaps[i].Serves, "%v of %v", heaps[i], set)
		}
	}
}

func TestAServingHeapKeepsEveryMergedConstraint(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 2000 {
		heaps, set := randomCase(r, 1+r.IntN(5), 1+r.IntN(4))
		got := Negotiate(heaps, set, Ask{})
		for i, h := range heaps {
			m := device("all", Constraints{
				Contiguous: got.Merged.Contiguous, AddressRanges: got.Merged.AddressRanges, IOMMUGranule: got.Merged.IOMMUGranule,
				Coherency: got.Merged.Coherency, Protected: got.Merged.Protected,
			})
			if got.Heaps[i].Serves {
				require.Equal(t, []string{h.Name}, serving(Negotiate([]Heap{h}, []Device{m}, Ask{})), "%v", set)
			}
		}
	}
}

func BenchmarkNegotiate64DevicesOver32Heaps(b *testing.B) {
	r := rand.New(rand.NewPCG(7, 8))
	_, mixed := randomCase(r, 32, 64)
	heaps, worst := make([]Heap, 32), make([]Device, 64)
	for i := range heaps {
		heaps[i] = scatter
		heaps[i].Name = fmt.Sprintf("heap%d", i)
	}
	for i := range worst { // each device excludes each heap by four constraints
		worst[i] = device(fmt.Sprintf("device%d", i), Constraints{
			Contiguous: true, AddressRanges: []AddressRange{{Base: 0, Size: 4 << 30}}, IOMMUGranule: 64 << 10, Coherency: []Coherency{CoherencyUncached},
		})
	}
	agreed := make([]Device, 64)
	for i := range agreed {
		agreed[i] = device(fmt.Sprintf("device%d", i), Constraints{
			AddressRanges: []AddressRange{{Base: 0, Size: 8 << 30}}, IOMMUGranule: 4096, Coherency: []Coherency{CoherencySync}, MaxSize: 1 << 28,
		})
	}
	for name, set := range map[string][]Device{"all serve": agreed, "mixed": mixed, "all excluded by all": worst} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				Negotiate(heaps, set, Ask{Size: 8 << 20})
			}
		})
	}
}
