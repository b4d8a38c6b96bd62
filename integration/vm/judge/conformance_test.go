package judge

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/heapfs/heapfs/integration/vm"
)

// conformanceTime limits one run of all rows, each of which is a process of its own.
const conformanceTime = 6 * time.Minute

// conformancePart: the recorded answers are the kernel's still, and heapfs differs from them in what the closed list names and in
// nothing else.
var conformancePart = part{
	name: "conformance",
	on:   withHeaps,
	files: func(*testing.T) map[string]string {
		return map[string]string{"/bin/heaptest": site.heaptest}
	},
	steps: func(k vm.Kernel) []vm.Step {
		steps := []vm.Step{{Name: "kernel", Script: "heaptest --as kernel", Timeout: conformanceTime}}
		// Each export on the newest kernel and one more is enough; memfds have all rows on the host, too.
		if k.Version == "7.3" || all {
			steps = append(steps, vm.Step{Name: "memfd", Script: "heapfs run -- heaptest --as memfd", Timeout: conformanceTime})
		}
		if k.Version != "6.12" {
			steps = append(steps, vm.Step{Name: "udmabuf", Script: "heapfs run --export udmabuf -- heaptest --as udmabuf", Timeout: conformanceTime})
		}
		return steps
	},
	check: func(t *testing.T, _ vm.Kernel, step vm.StepResult) {
		assert.Contains(t, step.Stdout, " 0 FAIL")
		// How many rows each export has is to be seen in the log.
		for line := range strings.Lines(step.Stdout) {
			if strings.HasPrefix(line, "heaptest: ") {
				t.Log(strings.TrimSpace(line))
			}
		}
	},
}
