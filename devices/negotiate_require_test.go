package devices

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestALostRequiredCapabilityExcludesTheHeap(t *testing.T) {
	heaps := []Heap{
		{Name: "pages", Chunks: []Bytes{1 << 20, 4096}, Coherency: []Coherency{CoherencySnoops, CoherencySync}},
		{Name: "cma", Coherency: []Coherency{CoherencySnoops, CoherencySync}},
		{Name: "uncached", Coherency: []Coherency{CoherencyUncached, CoherencySync}},
		{Name: "tee", Protected: true},
	}
	accepts := Constraints{Protected: ProtectedAccepts}
	syncOnly := Constraints{Protected: ProtectedAccepts, Coherency: []Coherency{CoherencySync, CoherencyUncached}}
	rows := []struct {
		name    string
		require []Capability
		c       Constraints
		serve   []string
		why     map[string]string
	}{
		{"all at once", []Capability{CapabilityCPU, CapabilityProtected}, accepts, nil, map[string]string{
			"pages": "protected: has a CPU mapping", "tee": "cpu-access: has no CPU mapping",
		}},
		{"a way that a device has not", []Capability{CapabilitySnoops}, syncOnly, nil, map[string]string{
			"cma": "snoops: not all devices have it", "uncached": "snoops: offers uncached, sync", "tee": "snoops: has no CPU mapping",
		}},
		{"contiguous", []Capability{CapabilityContiguous}, accepts, []string{"cma", "uncached", "tee"}, map[string]string{
			"pages": "contiguous: gives pieces of 1MiB at the most",
		}},
		{"cpu-access", []Capability{CapabilityCPU}, accepts, []string{"pages", "cma", "uncached"}, nil},
		{"protected", []Capability{CapabilityProtected}, accepts, []string{"tee"}, nil},
		{"snoops, of devices that do not care", []Capability{CapabilitySnoops}, accepts, []string{"pages", "cma"}, nil},
		{"uncached", []Capability{CapabilityUncached}, syncOnly, []string{"uncached"}, nil},
		{"sync", []Capability{CapabilitySync}, syncOnly, []string{"pages", "cma", "uncached"}, nil},
		{"nothing", nil, accepts, []string{"pages", "cma", "uncached", "tee"}, nil},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			answer := Negotiate(heaps, []Device{device("a", r.c)}, Ask{Require: r.require})
			var serve []string
			why := map[string][]Exclusion{}
			for _, v := range answer.Heaps {
				why[v.Name] = v.ExcludedBy
				if v.Serves {
					serve = append(serve, v.Name)
				}
			}
			assert.Equal(t, r.serve, serve)
			for heap, reason := range r.why {
				assert.Contains(t, why[heap], Exclusion{"", "required", reason})
			}
		})
	}
	_, err := ParseCapability("fast")
	require.ErrorIs(t, err, ErrCapability)
	for _, c := range Capabilities() {
		got, err := ParseCapability(string(c))
		require.NoError(t, err)
		assert.Equal(t, c, got)
	}
}
