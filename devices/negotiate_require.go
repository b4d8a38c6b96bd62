package devices

import (
	"errors"
	"fmt"
	"slices"
)

// Capability is something that a program needs of a buffer, whatever its devices say. A set of devices and a heap that lose a capability
// that is required fail.
type Capability string

// The capabilities. Those of coherency have the names of the ways (CoherencySnoops and so on): heap and devices must all have that way.
const (
	// CapabilityContiguous: physically one segment.
	CapabilityContiguous Capability = "contiguous"
	// CapabilityCPU: the CPU can map the buffer.
	CapabilityCPU Capability = "cpu-access"
	// CapabilityProtected: the CPU can't.
	CapabilityProtected Capability = "protected"
	// CapabilitySnoops: the CPU's caches are snooped, so that nothing is to be bracketed.
	CapabilitySnoops = Capability(CoherencySnoops)
	// CapabilityUncached: mappings are uncached, so that nothing is to be bracketed.
	CapabilityUncached = Capability(CoherencyUncached)
	// CapabilitySync: DMA_BUF_IOCTL_SYNC keeps the buffer coherent.
	CapabilitySync = Capability(CoherencySync)
)

// Capabilities lists the known capabilities in the order of their declaration.
func Capabilities() []Capability {
	return []Capability{
		CapabilityContiguous, CapabilityCPU, CapabilityProtected, CapabilitySnoops, CapabilityUncached, CapabilitySync,
	}
}

// ErrCapability is the reason when a word is no capability.
var ErrCapability = errors.New("no such capability")

// ParseCapability reads the name of a capability. The error is an ErrCapability with the word.
func ParseCapability(text string) (Capability, error) {
	if c := Capability(text); slices.Contains(Capabilities(), c) {
		return c, nil
	}
	return "", fmt.Errorf("%q: %w", text, ErrCapability)
}

// lacks says why a required capability is lost with the heap; "" if it is not.
func (h *candidate) lacks(c Capability, m *Merged) string {
	switch c {
	case CapabilityContiguous:
		if len(h.Chunks) > 0 {
			return "contiguous: gives pieces of " + h.Chunks[0].String() + " at the most"
		}
	case CapabilityCPU:
		if h.Protected {
			return "cpu-access: has no CPU mapping"
		}
	case CapabilityProtected:
		if !h.Protected {
			return "protected: has a CPU mapping"
		}
	default:
		way := waysOf([]Coherency{Coherency(c)})
		switch {
		case h.Protected:
			return string(c) + ": has no CPU mapping"
		case h.ways&way == 0:
			return string(c) + ": offers " + h.ways.String()
		case m.Coherency != nil && waysOf(m.Coherency)&way == 0:
			return string(c) + ": not all devices have it"
		}
	}
	return ""
}
