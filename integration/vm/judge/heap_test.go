package judge

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/heapfs/heapfs/integration/vm"
)

// heapPart: the clients' idea of a heap is the kernel's own: they pass on the real one.
var heapPart = part{
	name:  "kernel-heap",
	smoke: true,
	on:    withHeaps,
	steps: func(vm.Kernel) []vm.Step {
		var steps []vm.Step
		for _, name := range []string{"basic-static", "basic-musl", "basic-32", "goclient", "threads", "forks", "passfd", "maps"} {
			steps = append(steps, vm.Step{Name: name, Script: "/clients/" + name})
		}
		return limited(steps)
	},
	check: func(t *testing.T, _ vm.Kernel, step vm.StepResult) {
		assert.Contains(t, step.Stdout, ": ok\n")
		assert.Empty(t, step.Stderr)
	},
}

// selftestPart: the kernel's own test of its heaps, on the kernel's heap with a real importer (vgem), and under heapfs.
var selftestPart = part{
	name:  "selftest",
	smoke: true,
	on:    withHeaps,
	files: func(t *testing.T) map[string]string {
		program := filepath.Join(site.dir, "selftest")
		if out, err := exec.Command("../../selftest.sh", "6.12", program).CombinedOutput(); err != nil {
			skip(t, "the kernel's selftest cannot be built: "+strings.TrimSpace(string(out)), "integration/selftest.sh 6.12 /tmp/dmabuf-heap")
		}
		return map[string]string{"/bin/selftest": program}
	},
	steps: func(vm.Kernel) []vm.Step {
		return limited([]vm.Step{
			// Without vgem the test has nothing to import into, and says so: a memfd would be refused.
			{Name: "heapfs", Script: "heapfs run -- selftest"},
			{Name: "heapfs-as-user", Script: "su user -c 'heapfs run -- selftest'"},
			{Name: "kernel", Script: "selftest", Modules: []string{"vgem"}},
		})
	},
	check: func(t *testing.T, _ vm.Kernel, step vm.StepResult) {
		assert.NotContains(t, step.Stdout, "not ok")
		assert.Contains(t, step.Stdout, "# Testing heap: system\n")
		if strings.HasSuffix(step.Name, "/kernel") {
			assert.Contains(t, step.Stdout, "pass:11 fail:0 xfail:0 xpass:0 skip:0 error:0")
			assert.Regexp(t, `(?m)^ok 1 Import buffer \d+$`, step.Stdout)
		} else {
			assert.Contains(t, step.Stdout, "# Testing heap: default_cma_region\n")
			assert.Contains(t, step.Stdout, " fail:0 ")
		}
	},
}
