package judge

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/integration/vm"
)

// fuzzKernel is where the fuzzer compares.
const fuzzKernel = "6.12"

// fuzzBoard has one heap, of a size that a sequence can find whole at its end (fuzz.PoolBytes).
const fuzzBoard = `apiVersion: heapfs/v1
name: fuzz
memory: [{name: ram, base: 0x40000000, size: 64M}]
pools: [{name: pool, kind: scatter, size: 2M}]
heaps: [{name: system, pool: pool}]
`

const (
	fuzzTime = 6 * time.Minute // for the run; a machine with two free processors needs a quarter of it
	fuzzBoot = 8 * time.Minute
)

func fuzzConfig(t *testing.T) vm.Config {
	t.Helper()
	heaptest := filepath.Join(t.TempDir(), "heaptest")
	require.NoError(t, buildProgram(heaptest, "../../../cmd/heaptest"))
	return vm.Config{
		Kernel: fuzzKernel,
		CPUs:   2,
		Files:  map[string]string{"/bin/heapfs": site.heapfs, "/bin/heaptest": heaptest},
		Texts:  map[string]string{"/etc/fuzz.yaml": fuzzBoard},
	}
}

// TestFuzz: the same sequences on the kernel's heap and on heapfs's.
func TestFuzz(t *testing.T) {
	if !full {
		t.Skip("not in the smoke run; to run it: make test-vm")
	}
	t.Parallel()
	cfg := fuzzConfig(t)
	cfg.Timeout = fuzzBoot
	cfg.Steps = []vm.Step{
		{Name: "fuzz", Script: "heaptest fuzz --ops 20000 -- heapfs run --board /etc/fuzz.yaml --", Timeout: fuzzTime},
		{Name: "fuzz-udmabuf", Timeout: fuzzTime,
			Script: "heaptest fuzz --as udmabuf --ops 3000 --quotas=false --seed 3 -- heapfs run --export udmabuf --board /etc/fuzz.yaml --"},
		// Without /dev/udmabuf heapfs has no sync files of the kernel's, and hands out stand-ins.
		{Name: "fuzz-stand-ins", Script: "rm /dev/udmabuf; heaptest fuzz --ops 2000 --quotas=false --seed 2 --stand-ins -- heapfs run --board /etc/fuzz.yaml --",
			Timeout: fuzzTime},
	}
	r := boot(t, cfg)
	for _, step := range cfg.Steps {
		said := r.Step(step.Name)
		t.Logf("%s\n%s", step.Name, said.Stdout)
		assert.True(t, said.OK(), "%v\n%s", said, said.Stderr)
		assert.Contains(t, said.Stdout, "both sides agree")
	}
}
