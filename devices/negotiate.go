package devices

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Heap is what a negotiation knows of a heap.
type Heap struct {
	Name string `json:"name"`

	// Base and Size are the physical range, in bytes, from which its buffers come. A zero Size is an unknown place: such a heap
	// serves only devices that reach all memory, and its capacity is not judged.
	Base Address `json:"base"`
	Size Bytes   `json:"size"`

	// Quota is the most that may be allocated, in bytes; zero is Size.
	Quota Bytes `json:"quota,omitempty"`

	// Chunks are the lengths, in bytes and largest first, of the pieces of which a buffer is made; each starts at a multiple of
	// the last. Empty means that a buffer is physically one piece.
	Chunks []Bytes `json:"chunks,omitempty"`

	// Coherency lists the ways in which a device and the CPU may be kept coherent on its memory. Empty means that there is
	// nothing to keep coherent.
	Coherency []Coherency `json:"coherency,omitempty"`

	// Protected memory has no CPU mapping.
	Protected bool `json:"protected,omitempty"`
}

// Device is a device that takes part in a negotiation.
type Device struct {
	Name string `json:"name"`

	// Heap is the heap that the system gives to this device when it is alone, or "".
	Heap string `json:"heap,omitempty"`

	Constraints Constraints `json:"constraints"`
}

// Ask is what is to be allocated, as far as it is known. The zero value asks for a buffer of any length.
type Ask struct {
	// Size of the buffer in bytes, or zero.
	Size Bytes
	// Image gives the size when Size is zero: with the pitch that the devices ask for.
	Image *Image
	// Require lists what the program needs besides; a heap with which one of it is lost does not serve.
	Require []Capability
}

// Result is the answer of a negotiation. Its JSON is that of `heapfs negotiate --json`.
type Result struct {
	// Choice is the name of the chosen heap, nil when none serves.
	Choice *string `json:"choice"`
	// Heaps are the verdicts in the order of the heaps' rank.
	Heaps []Verdict `json:"heaps"`
	// Merged is what all devices together ask for.
	Merged Merged `json:"merged"`
}

// Verdict says whether a heap serves all devices, and if not, all that stands against it.
type Verdict struct {
	Name       string      `json:"name"`
	Serves     bool        `json:"serves"`
	ExcludedBy []Exclusion `json:"excluded_by"` // never nil
}

// Exclusion is one reason against a heap.
type Exclusion struct {
	// Device is empty where the heap itself is not what was asked for.
	Device string `json:"device"`
	// Constraint is named as in a board file: contiguous, addressRanges, iommuGranule, coherency, protected, maxSize,
	// maxSegments; or size, for the heap's own capacity, or required, for a capability that was asked for.
	Constraint string `json:"constraint"`
	// Reason is a short text for people.
	Reason string `json:"reason"`
}

// The names of constraints in an Exclusion or a Conflict: those of the board file.
const (
	constraintContiguous     = "contiguous"
	constraintAddressRanges  = "addressRanges"
	constraintAlignment      = "alignment"
	constraintPitchAlignment = "pitchAlignment"
	constraintMaxPitch       = "maxPitch"
	constraintMaxSize        = "maxSize"
	constraintMaxSegments    = "maxSegments"
	constraintIOMMUGranule   = "iommuGranule"
	constraintCoherency      = "coherency"
	constraintProtected      = "protected"
	constraintSize           = "size"
	constraintRequired       = "required"
)

// Negotiate finds the heaps that serve all devices of a set, and chooses one. heaps are in the order of their rank, the one to be
// preferred first. The order of the devices changes nothing, and one device more never makes a heap serve that did not before.
//
// Placement (contiguous, address ranges, granule, coherency, protected) decides. Limits that depend on the length (sizes and
// segments) decide only when ask has a length. Layout (alignments, pitch) never does: it is merged and reported.
//
// The choice is the first heap that serves; but where the system gives one and the same heap to each device of the set alone, and
// that heap serves, it is chosen.
func Negotiate(heaps []Heap, set []Device, ask Ask) Result {
	members := make([]member, len(set))
	for i := range set {
		members[i] = newMember(&set[i])
	}
	slices.SortStableFunc(members, func(a, b member) int { return strings.Compare(a.Name, b.Name) })

	merged := merge(members)
	merged.ask(ask)
	r := Result{Heaps: make([]Verdict, len(heaps)), Merged: merged}
	for i := range members {
		if e := members[i].limits.judgeSize(r.Merged.Size); e != nil {
			members[i].tooLong = e.reason()
		}
	}
	best, usual := -1, 0
	for i := range heaps {
		h := &heaps[i]
		why := against(h, members, &r.Merged, usual)
		usual = len(why)
		r.Heaps[i] = Verdict{Name: h.Name, Serves: len(why) == 0, ExcludedBy: why}
		if len(why) > 0 {
			continue
		}
		if best < 0 || h.Name == r.Merged.common {
			best = i
		}
	}
	if best >= 0 {
		r.Choice = &heaps[best].Name
		r.Merged.require(&heaps[best])
	}
	return r
}

// member is a device in a negotiation, with what need not be worked out for each heap again.
type member struct {
	*Device
	reach   spans // nil: everything
	ways    ways  // of Coherency, 0: any
	limits  Limits
	limited bool
	tooLong string // the reason, if the size that is asked for is too long

	segments uint64 // for which tooMany says the reason
	tooMany  string
}

func newMember(d *Device) member {
	m := member{Device: d, reach: spansOf(d.Constraints.AddressRanges), ways: waysOf(d.Constraints.Coherency)}
	m.limits, m.limited = d.Limits()
	return m
}

// candidate is a heap in a negotiation. Devices are often excluded for the same reason; its text is made once.
type candidate struct {
	*Heap
	ways ways
	why  []Exclusion

	contiguous string
	missed     span
	reach      string
	granule    Bytes
	granular   string
	coherency  [1 << len(coherencies)]string
}

func (h *candidate) add(device, constraint, reason string) {
	h.why = append(h.why, Exclusion{device, constraint, reason})
}

// against lists all that stands against a heap, the devices in the order of their names. It is never nil. Room is made for as many
// reasons as are usual.
func against(heap *Heap, members []member, m *Merged, usual int) []Exclusion {
	h := candidate{Heap: heap, ways: waysOf(heap.Coherency), why: make([]Exclusion, 0, usual)}
	if capacity := h.capacity(); m.Size != 0 && h.Size != 0 && m.Size > capacity {
		h.add("", constraintSize, "holds "+capacity.String()+" at the most")
	}
	for _, c := range m.wanted {
		if lost := h.lacks(c, m); lost != "" {
			h.add("", constraintRequired, lost)
		}
	}
	common := h.ways // what is left after each device
	alone := true    // no device excludes the heap by coherency alone
	for i := range members {
		d := &members[i]
		h.place(d)
		if h.ways != 0 && d.ways != 0 {
			common &= d.ways
			if h.ways&d.ways == 0 {
				alone = false
				if h.coherency[d.ways] == "" {
					h.coherency[d.ways] = "is kept coherent by " + d.ways.String() + " only, the heap offers " + h.ways.String()
				}
				h.add(d.Name, constraintCoherency, h.coherency[d.ways])
			}
		}
		if m.Size != 0 && d.limited {
			h.size(d, m.Size)
		}
	}
	if alone && common == 0 && h.ways != 0 {
		// Each device has a way in common with the heap, and not all have the same one.
		for i := range members {
			if d := &members[i]; d.ways != 0 {
				h.add(d.Name, constraintCoherency, "is kept coherent by "+d.ways.String()+" only, which the other devices do not have in common")
			}
		}
	}
	return h.why
}

// place adds what in a device speaks against a heap for every buffer.
func (h *candidate) place(d *member) {
	c := &d.Constraints
	if c.Contiguous && len(h.Chunks) > 0 {
		if h.contiguous == "" {
			h.contiguous = "needs one segment, the heap gives pieces of " + h.Chunks[0].String() + " at the most"
		}
		h.add(d.Name, constraintContiguous, h.contiguous)
	}
	if d.reach != nil {
		at, ok := d.reach.misses(h.Heap)
		if !ok && (h.reach == "" || at != h.missed) {
			h.missed = at
			h.reach = "does not reach 0x" + strconv.FormatUint(at.first, 16) + "-0x" + strconv.FormatUint(at.last, 16) + " of the heap"
			if h.Size == 0 {
				h.reach = "does not reach all memory, and where the heap lies is unknown"
			}
		}
		if !ok {
			h.add(d.Name, constraintAddressRanges, h.reach)
		}
	}
	if n := len(h.Chunks); c.IOMMUGranule != 0 && n > 0 && h.Chunks[n-1]%c.IOMMUGranule != 0 {
		if h.granule != c.IOMMUGranule {
			h.granule = c.IOMMUGranule
			h.granular = "needs segments that are multiples of " + h.granule.String() + ", the heap's are of " + h.Chunks[n-1].String()
		}
		h.add(d.Name, constraintIOMMUGranule, h.granular)
	}
	switch p := c.protected(); {
	case h.Protected && p == ProtectedRefuses:
		h.add(d.Name, constraintProtected, "refuses memory without a CPU mapping")
	case !h.Protected && p == ProtectedRequires:
		h.add(d.Name, constraintProtected, "requires memory without a CPU mapping")
	}
}

// size adds what in a device speaks against a heap for a buffer of that length.
func (h *candidate) size(d *member, size Bytes) {
	if d.tooLong != "" {
		h.add(d.Name, constraintMaxSize, d.tooLong)
	}
	if e := d.limits.judgeSegments(d.limits.fewest(h.Chunks, size)); e != nil {
		if d.segments != e.Got {
			d.segments, d.tooMany = e.Got, e.reason()
		}
		h.add(d.Name, e.Constraint, d.tooMany)
	}
}

// capacity is the most that a heap may hold.
func (h *Heap) capacity() Bytes {
	if h.Quota != 0 && h.Quota < h.Size {
		return h.Quota
	}
	return h.Size
}

// protected gives Protected or its default.
func (c *Constraints) protected() Protected {
	if c.Protected == "" {
		return ProtectedRefuses
	}
	return c.Protected
}

// Why is the answer in one line: the choice, or for each heap the first thing that stands against it.
func (r *Result) Why() string {
	if r.Choice != nil {
		return "the choice is " + *r.Choice
	}
	const shown = 4 // heaps; a board may have many, and a line is to be read
	var b strings.Builder
	b.WriteString("no heap serves all")
	for i, v := range r.Heaps {
		if i == shown {
			fmt.Fprintf(&b, "; and %d more", len(r.Heaps)-shown)
			break
		}
		e := v.ExcludedBy[0]
		fmt.Fprintf(&b, "; %s: %s", v.Name, strings.TrimSpace(e.Device+" "+e.Reason))
	}
	return b.String()
}

// Platform is what a system brings to a negotiation: its heaps in the order of their rank, and its devices by name.
type Platform struct {
	Heaps   []Heap   `json:"heaps,omitempty"`
	Devices []Device `json:"devices,omitempty"`
	// Policy says which heap serves a usage ("camera"), by a name that the heap has.
	Policy map[string]string `json:"policy,omitempty"`
}

// The reasons why a set of names is none of a platform's.
var (
	ErrUnknownDevice = errors.New("no such device")
	ErrSameDevice    = errors.New("given twice")
	ErrNoDevices     = errors.New("no device given")
)

// ErrUnknownUsage is the reason when a policy says nothing of a usage.
var ErrUnknownUsage = errors.New("no heap for this usage")

// HeapFor gives the name of the heap that the policy has for a usage. The error is an ErrUnknownUsage with the usage.
func (p *Platform) HeapFor(usage string) (string, error) {
	heap, ok := p.Policy[usage]
	if !ok {
		return "", fmt.Errorf("usage %q: %w", usage, ErrUnknownUsage)
	}
	return heap, nil
}

// Set finds devices by their names. Errors are ErrUnknownDevice and ErrSameDevice, with the name, and ErrNoDevices.
func (p *Platform) Set(names []string) ([]Device, error) {
	if len(names) == 0 {
		return nil, ErrNoDevices
	}
	set := make([]Device, 0, len(names))
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return nil, fmt.Errorf("device %q: %w", name, ErrSameDevice)
		}
		at := slices.IndexFunc(p.Devices, func(d Device) bool { return d.Name == name })
		if at < 0 {
			return nil, fmt.Errorf("device %q: %w", name, ErrUnknownDevice)
		}
		set = append(set, p.Devices[at])
	}
	return set, nil
}

// Negotiate is Negotiate for devices of the platform by their names. Errors are those of Set.
func (p *Platform) Negotiate(names []string, ask Ask) (Result, error) {
	set, err := p.Set(names)
	if err != nil {
		return Result{}, err
	}
	return Negotiate(p.Heaps, set, ask), nil
}
