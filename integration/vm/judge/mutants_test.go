package judge

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/integration/vm"
	"github.com/heapfs/heapfs/integration/vm/mutants"
)

const (
	mutantTime  = 90 * time.Second // for one mutant
	mutantsBoot = 10 * time.Minute // for all of them
	// mutantOps bounds how long a mutant is looked at. Most are found in the first hundred operations; those that leak slowly need more.
	mutantOps = "8000"
	fewOps    = "500" // for the same program without one
)

// TestFuzzerFindsMutants: a fuzzer that agrees with anything proves nothing. The heapfs without a defect must pass (TestFuzz). The full run
// takes half of the mutants, for its time; `make test-vm VM=all` takes all.
func TestFuzzerFindsMutants(t *testing.T) {
	if !full {
		t.Skip("not in the smoke run; to run it: make test-vm")
	}
	t.Parallel()
	chosen := mutants.Half()
	if all {
		chosen = mutants.All
	}
	cfg := fuzzConfig(t)
	cfg.Timeout = mutantsBoot
	cfg.Files["/bin/mutants"] = buildMutants(t)
	fuzz := func(name, ops string) vm.Step {
		return vm.Step{
			Name:    name,
			Script:  mutants.Env + "=" + name + " heaptest fuzz --ops " + ops + " --quotas=false --shrink=false --differences 1 -- mutants run --board /etc/fuzz.yaml --",
			Timeout: mutantTime,
		}
	}
	cfg.Steps = []vm.Step{fuzz("none", fewOps)}
	for _, m := range chosen {
		cfg.Steps = append(cfg.Steps, fuzz(m, mutantOps))
	}
	r := boot(t, cfg)
	assert.True(t, r.Step("none").OK(), "the program differs without a defect: %v\n%s", r.Step("none"), r.Step("none").Stdout)
	for _, m := range chosen {
		t.Run(m, func(t *testing.T) {
			said := r.Step(m)
			require.Equal(t, 1, said.Status, "%v: the fuzzer has not found it\n%s\n%s", said, said.Stdout, said.Stderr)
		})
	}
}

// buildMutants makes the program that is all of them and returns its path.
func buildMutants(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../../..")
	require.NoError(t, err)
	out := filepath.Join(t.TempDir(), "mutants")
	require.NoError(t, mutants.Build(root, t.TempDir(), out))
	return out
}
