package judge

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/integration/vm"
	"github.com/heapfs/heapfs/integration/vm/mutants"
)

const (
	mutantTime  = 90 * time.Second // for one mutant
	mutantsBoot = 10 * time.Minute // for all of them
	// mutantOps bounds how long a mutant is looked at. Most are found in the first hundred operations; those that leak slowly need more.
	mutantOps = 8000
)

// TestFuzzerFindsMutants: a fuzzer that agrees with anything proves nothing. The heapfs without a defect must pass (TestFuzz). The full run
// takes half of the mutants, as each is a build; `make test-vm VM=all` takes all.
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
	cfg.Files["/mutants"] = buildMutants(t, chosen)
	for _, m := range chosen {
		cfg.Steps = append(cfg.Steps, vm.Step{
			Name:    m.Name,
			Script:  fmt.Sprintf("heaptest fuzz --ops %d --quotas=false --shrink=false --differences 1 -- /mutants/%s run --board /etc/fuzz.yaml --", mutantOps, m.Name),
			Timeout: mutantTime,
		})
	}
	r := boot(t, cfg)
	for _, m := range chosen {
		t.Run(m.Name, func(t *testing.T) {
			said := r.Step(m.Name)
			require.Equal(t, 1, said.Status, "%v: the fuzzer has not found it\n%s\n%s", said, said.Stdout, said.Stderr)
		})
	}
}

// buildMutants makes the chosen ones in a folder of its own and returns that.
func buildMutants(t *testing.T, chosen []mutants.Mutant) string {
	t.Helper()
	root, err := filepath.Abs("../../..")
	require.NoError(t, err)
	out := filepath.Join(t.TempDir(), "mutants")
	require.NoError(t, os.Mkdir(out, 0o755))
	overlays := t.TempDir()
	errs := make([]error, len(chosen))
	room := make(chan struct{}, runtime.NumCPU())
	var wg sync.WaitGroup
	for i, m := range chosen {
		wg.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			errs[i] = m.Build(root, overlays, filepath.Join(out, m.Name))
		})
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	return out
}
