package judge

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/integration/vm"
)

// stepTime limits a step of seconds: under tcg, a busy machine makes minutes of them.
const stepTime = 2 * time.Minute

// doors: heapfs tells its story and takes a first client, as root and as an ordinary user, on kernels with and without heaps.
var doors = part{
	name:  "doors",
	smoke: true,
	steps: func(k vm.Kernel) []vm.Step {
		steps := []vm.Step{
			{Name: "doctor", Script: "heapfs doctor"},
			{Name: "demo", Script: "heapfs demo"},
			{Name: "demo-as-user", Script: "su user -c 'heapfs demo'"},
			{Name: "basic-as-user", Script: "su user -c 'heapfs run -- /clients/basic-static'"},
		}
		if !middle(k) {
			steps = append(steps, vm.Step{Name: "basic-32-as-user", Script: "su user -c 'heapfs run -- /clients/basic-32'"})
		}
		if !k.Heaps {
			steps = append([]vm.Step{{Name: "without-heapfs", Script: "/clients/basic-static; test $? = 2"}}, steps...)
		}
		return limited(steps)
	},
	check: func(t *testing.T, _ vm.Kernel, step vm.StepResult) {
		switch name := strings.TrimPrefix(step.Name, "doors/"); {
		case name == "doctor":
			assert.Contains(t, step.Stdout, "run: works")
		case name == "without-heapfs":
			assert.Equal(t, "open /dev/dma_heap/system: No such file or directory\n", step.Stderr)
		case strings.HasPrefix(name, "demo"):
			checkDemo(t, step.Stdout)
		default:
			checkClient(t, step)
		}
	},
}

// fewClients are enough for the kernels between the oldest and the newest: a plain caller, many at once, and one that is killed.
var fewClients = []string{"basic-static", "threads", "killed"}

// middle: neither the oldest nor the newest, so that less is run there.
func middle(k vm.Kernel) bool { return !all && (k.Version == "6.12" || k.Version == "6.18") }

// variants are one program built in other ways. heapfs sees the same calls of them on each kernel.
var variants = []string{"basic-musl", "basic-32", "goclient"}

// clientsPart: every static client under heapfs.
var clientsPart = part{
	name:  "clients",
	smoke: true,
	steps: func(k vm.Kernel) []vm.Step {
		arguments := map[string]string{"exhaust": " linux,cma 1048576", "killed": " linux,cma 1048576"}
		var steps []vm.Step
		for _, name := range clients {
			if middle(k) && !slices.Contains(fewClients, name) || !all && (!full || k.Version != "6.1") && slices.Contains(variants, name) {
				continue
			}
			if name == "hang" && (!full || k.Version != "6.1") {
				continue // waits ten seconds for the server to give up: once is enough
			}
			steps = append(steps, vm.Step{Name: name, Script: "heapfs run -- /clients/" + name + arguments[name]})
		}
		return limited(steps)
	},
	check: func(t *testing.T, _ vm.Kernel, step vm.StepResult) { checkClient(t, step) },
}

// limited gives a time limit to the steps that have none.
func limited(steps []vm.Step) []vm.Step {
	for i := range steps {
		if steps[i].Timeout == 0 {
			steps[i].Timeout = stepTime
		}
	}
	return steps
}

func checkClient(t *testing.T, step vm.StepResult) {
	t.Helper()
	assert.Contains(t, step.Stdout, ": ok\n")
	// A copy-out that fails leaves nothing in the caller.
	assert.NotContains(t, step.Stdout, "note:")
	assert.Empty(t, step.Stderr)
}

// checkDemo: the same request is one extent on the board whose decoder needs that, and several on the other.
func checkDemo(t *testing.T, said string) {
	t.Helper()
	_, boards, found := strings.Cut(said, "i.MX 8M")
	require.True(t, found, said)
	imx, rk, found := strings.Cut(boards, "RK3399")
	require.True(t, found, said)
	assert.Regexp(t, `\b(1|one) (contiguous )?extent\b`, imx)
	assert.Regexp(t, `\b([2-9]|[1-9]\d+) (scattered )?extents\b`, rk)
}
