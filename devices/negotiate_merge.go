package devices

import (
	"math"
	"math/bits"
	"slices"
	"sort"
	"strings"
)

// Merged is what all devices of a set together ask of a buffer. All numbers are in bytes; a zero number means that there is no such
// constraint. Its JSON uses the names of the board file.
type Merged struct {
	// Contiguous if any device needs it.
	Contiguous bool `json:"contiguous"`
	// AddressRanges are the physical addresses that all reach, as the CPU counts them, without overlaps and in order. Nil means
	// all; empty, and not nil, means none.
	AddressRanges []AddressRange `json:"addressRanges,omitzero"`
	// Alignment of the start: the least common multiple.
	Alignment Bytes `json:"alignment,omitempty"`
	// PitchAlignment is the least common multiple.
	PitchAlignment Bytes `json:"pitchAlignment,omitempty"`
	// MaxPitch, MaxSize, MaxSegments, MaxSegmentSize and SegmentBoundary are the least.
	MaxPitch        Bytes  `json:"maxPitch,omitempty"`
	MaxSize         Bytes  `json:"maxSize,omitempty"`
	MaxSegments     uint32 `json:"maxSegments,omitempty"`
	MaxSegmentSize  Bytes  `json:"maxSegmentSize,omitempty"`
	SegmentBoundary Bytes  `json:"segmentBoundary,omitempty"`
	// IOMMUGranule is the least common multiple.
	IOMMUGranule Bytes `json:"iommuGranule,omitempty"`
	// Coherency lists the ways that all have in common. Nil means that no device cares; empty, and not nil, that there is none.
	Coherency []Coherency `json:"coherency,omitzero"`
	// Protected is "requires" if any device does, else "refuses" if any device does, else "accepts".
	Protected Protected `json:"protected"`

	// Required lists what a program has to take into account with the chosen heap: RequiredContiguous, RequiredSync and
	// RequiredNoCPU. Never nil.
	Required []string `json:"required"`
	// Conflicts are constraints that no buffer fulfils. Those of layout exclude no heap.
	Conflicts []Conflict `json:"conflicts,omitempty"`
	// Size is the length that was judged: as asked, or that of Layout.
	Size Bytes `json:"size,omitempty"`
	// Layout of the image that was asked for.
	Layout *Layout `json:"layout,omitempty"`

	wanted []Capability // that were asked for
	common string       // the heap that each device is given alone, if it is the same
}

// What a program has to take into account.
const (
	// RequiredContiguous: the memory has to be physically one segment, which is scarce.
	RequiredContiguous = "contiguous"
	// RequiredSync: CPU access has to be bracketed by DMA_BUF_IOCTL_SYNC.
	RequiredSync = "sync"
	// RequiredNoCPU: the CPU cannot map the buffer.
	RequiredNoCPU = "no-cpu-access"
)

// Conflict is a constraint that no buffer fulfils for all devices at once.
type Conflict struct {
	Constraint string `json:"constraint"`
	Reason     string `json:"reason"`
}

// merge unites the constraints of members, which are sorted.
func merge(members []member) Merged {
	m := Merged{Protected: ProtectedAccepts, Required: []string{}}
	var reach spans
	var refuses, requires string
	common, cares := allWays, false
	for i := range members {
		d := &members[i]
		c := &d.Constraints
		m.Contiguous = m.Contiguous || c.Contiguous
		reach = reach.intersect(d.reach)
		m.Alignment = m.lcm(constraintAlignment, m.Alignment, c.Alignment)
		m.PitchAlignment = m.lcm(constraintPitchAlignment, m.PitchAlignment, c.PitchAlignment)
		m.IOMMUGranule = m.lcm(constraintIOMMUGranule, m.IOMMUGranule, c.IOMMUGranule)
		m.MaxPitch = least(m.MaxPitch, c.MaxPitch)
		m.MaxSize = least(m.MaxSize, c.MaxSize)
		m.MaxSegments = least(m.MaxSegments, c.MaxSegments)
		m.MaxSegmentSize = least(m.MaxSegmentSize, c.MaxSegmentSize)
		m.SegmentBoundary = least(m.SegmentBoundary, c.SegmentBoundary)
		if d.ways != 0 {
			common &= d.ways
			cares = true
		}
		switch c.protected() {
		case ProtectedRefuses:
			refuses = d.Name
		case ProtectedRequires:
			requires = d.Name
		}
		if i == 0 {
			m.common = d.Heap
		} else if m.common != d.Heap {
			m.common = ""
		}
	}
	m.AddressRanges = reach.ranges()
	if reach != nil && len(reach) == 0 {
		m.conflict(constraintAddressRanges, "no address is reached by all")
	}
	if cares {
		m.Coherency = common.list()
	}
	if cares && common == 0 {
		m.conflict(constraintCoherency, "the devices have no way in common")
	}
	switch {
	case requires != "" && refuses != "":
		m.Protected = ProtectedRequires
		m.conflict(constraintProtected, requires+" requires memory without a CPU mapping, "+refuses+" refuses it")
	case requires != "":
		m.Protected = ProtectedRequires
	case refuses != "":
		m.Protected = ProtectedRefuses
	}
	if m.MaxPitch != 0 && m.PitchAlignment > m.MaxPitch {
		m.conflict(constraintMaxPitch, "the least pitch "+m.PitchAlignment.String()+" is more than "+m.MaxPitch.String())
	}
	return m
}

func (m *Merged) conflict(constraint, reason string) {
	m.Conflicts = append(m.Conflicts, Conflict{constraint, reason})
}

// lcm merges two alignments. One that goes beyond 64 bits is fulfilled by address 0 alone: a conflict, and the greatest number that
// stands for it from then on.
func (m *Merged) lcm(constraint string, a, b Bytes) Bytes {
	if a == math.MaxUint64 || b == 0 {
		return a
	}
	v, ok := lcm(uint64(a), uint64(b))
	if !ok {
		m.conflict(constraint, "the least common multiple is beyond 64 bits")
		return math.MaxUint64
	}
	return Bytes(v)
}

// ask takes in what is to be allocated.
func (m *Merged) ask(a Ask) {
	m.Size, m.wanted = a.Size, a.Require
	if a.Image == nil {
		return
	}
	layout, err := a.Image.layout(max(m.PitchAlignment, 1))
	if err != nil {
		m.conflict(constraintPitchAlignment, err.Error())
		return
	}
	m.Layout = &layout
	for _, p := range layout.Planes {
		if m.MaxPitch != 0 && p.Pitch > m.MaxPitch {
			m.conflict(constraintMaxPitch, "the image's pitch "+p.Pitch.String()+" is more than "+m.MaxPitch.String())
			break
		}
	}
	if m.Size == 0 {
		m.Size = layout.Size
	}
}

// require says what the choice asks of a program.
func (m *Merged) require(h *Heap) {
	if m.Contiguous {
		m.Required = append(m.Required, RequiredContiguous)
	}
	if h.Protected {
		m.Required = append(m.Required, RequiredNoCPU)
		return
	}
	if m.Coherency != nil && waysOf(h.Coherency)&waysOf(m.Coherency) == waysOf([]Coherency{CoherencySync}) {
		m.Required = append(m.Required, RequiredSync)
	}
}

// lcm of two numbers, 0 being none. It reports false when the result does not fit.
func lcm(a, b uint64) (uint64, bool) {
	if a == 0 || b == 0 {
		return a | b, true
	}
	x, y := a, b
	for y != 0 {
		x, y = y, x%y
	}
	hi, lo := bits.Mul64(a/x, b)
	return lo, hi == 0
}

// least of two limits, 0 being none.
func least[T Bytes | uint32](a, b T) T {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// coherencies are the known capabilities; ways is a set of them, a bit each.
var coherencies = [...]Coherency{CoherencySnoops, CoherencyUncached, CoherencySync}

type ways uint8

const allWays ways = 1<<len(coherencies) - 1

func waysOf(all []Coherency) ways {
	var w ways
	for _, c := range all {
		if i := slices.Index(coherencies[:], c); i >= 0 {
			w |= 1 << i
		}
	}
	return w
}

func (w ways) list() []Coherency {
	all := make([]Coherency, 0, len(coherencies))
	for i, c := range coherencies {
		if w&(1<<i) != 0 {
			all = append(all, c)
		}
	}
	return all
}

// String names them, joined by a comma.
func (w ways) String() string {
	s := ""
	for _, c := range w.list() {
		if s != "" {
			s += ", "
		}
		s += string(c)
	}
	return s
}

// span is a range of addresses, its last one included: so that the whole space has one.
type span struct{ first, last uint64 }

// spans are sorted, and none touches the next. Nil stands for the whole space.
type spans []span

// spansOf gives nil for no ranges, and for all addresses. A range of size 0 has no address, one beyond the end ends there.
func spansOf(ranges []AddressRange) spans {
	if len(ranges) == 0 {
		return nil
	}
	all := make(spans, 0, len(ranges))
	for _, r := range ranges {
		if r.Size == 0 {
			continue
		}
		last := uint64(r.Base) + uint64(r.Size) - 1
		if last < uint64(r.Base) {
			last = math.MaxUint64
		}
		all = append(all, span{uint64(r.Base), last})
	}
	sort.Slice(all, func(i, j int) bool { return all[i].first < all[j].first })
	out := all[:0]
	for _, s := range all {
		if n := len(out); n > 0 && (out[n-1].last == math.MaxUint64 || s.first <= out[n-1].last+1) {
			out[n-1].last = max(out[n-1].last, s.last)
			continue
		}
		out = append(out, s)
	}
	if len(out) == 1 && out[0] == (span{0, math.MaxUint64}) {
		return nil
	}
	return out
}

// misses gives the first part of a heap that is in none of the spans; true when there is no such part.
func (s spans) misses(h *Heap) (span, bool) {
	if h.Size == 0 {
		return span{}, false
	}
	first, last := uint64(h.Base), uint64(h.Base)+uint64(h.Size)-1
	for _, r := range s {
		switch {
		case r.last < first:
			continue
		case r.first > first:
			return span{first, min(last, r.first-1)}, false
		case r.last >= last:
			return span{}, true
		}
		first = r.last + 1
	}
	return span{first, last}, false
}

// intersect gives the addresses of both. The result is nil only if both are.
func (s spans) intersect(o spans) spans {
	if s == nil || o == nil {
		if s == nil {
			return o
		}
		return s
	}
	both := spans{}
	for i, j := 0, 0; i < len(s) && j < len(o); {
		if first, last := max(s[i].first, o[j].first), min(s[i].last, o[j].last); first <= last {
			both = append(both, span{first, last})
		}
		if s[i].last < o[j].last {
			i++
		} else {
			j++
		}
	}
	return both
}

func (s spans) ranges() []AddressRange {
	if s == nil {
		return nil
	}
	all := make([]AddressRange, len(s))
	for i, r := range s {
		all[i] = AddressRange{Base: Address(r.first), Size: Bytes(r.last - r.first + 1)} // never all of them
	}
	return all
}

// CanonicalSet is the one name of a set of devices, whatever the order: sorted, joined by SetSeparator.
func CanonicalSet(names []string) string {
	names = slices.Clone(names)
	slices.Sort(names)
	return strings.Join(names, SetSeparator)
}

// SetSeparator stands between the names of devices in the name of a set: "38300000.video-codec+38310000.video-codec".
const SetSeparator = "+"
