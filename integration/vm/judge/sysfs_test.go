package judge

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/heapfs/heapfs/integration/vm"
)

// listHeap prints all that /sys has of the system heap: names, modes, links and contents.
const listHeap = `cd /sys/class/dma_heap && readlink system && cd system/ || exit 1
find . | sort | while read -r f; do echo "$f $(stat -c %A "$f") $(readlink "$f")"; done
for f in dev uevent power/control power/runtime_status power/runtime_active_time power/runtime_suspended_time; do echo "$f: $(cat "$f")"; done
stat -c '%A %U' /sys/class/dma_heap /sys/devices/virtual/dma_heap
`

var (
	// Debian's kernels are built with CONFIG_PM_ADVANCED_DEBUG, which adds these to each power/.
	debugOnly = regexp.MustCompile(`(?m)^\./power/(async|runtime_active_kids|runtime_enabled|runtime_usage) .*\n`)
	// The number is whatever is free.
	major = regexp.MustCompile(`(?m)(^dev: |MAJOR=)\d+`)
)

// sysfsPart: /sys describes a heap as the kernel does.
var sysfsPart = part{
	name:  "sysfs",
	smoke: true,
	on:    withHeaps,
	steps: func(vm.Kernel) []vm.Step {
		return limited([]vm.Step{
			{Name: "kernel", Script: listHeap},
			{Name: "heapfs", Script: "heapfs run -- sh -s <<'END'\n" + listHeap + "END"},
			{Name: "heapfs-as-user", Script: "su user -c 'heapfs run -- sh -s' <<'END'\n" + listHeap + "END"},
		})
	},
	finish: func(t *testing.T, _ vm.Kernel, r *vm.Result) {
		plain := func(step string) string {
			return major.ReplaceAllString(debugOnly.ReplaceAllString(r.Step("sysfs/"+step).Stdout, ""), "${1}N")
		}
		assert.Contains(t, plain("kernel"), "./uevent -rw-r--r--")
		assert.Equal(t, plain("kernel"), plain("heapfs"))
		// In the user's namespace root is somebody else.
		assert.Equal(t, owners.ReplaceAllString(plain("kernel"), "$1"), owners.ReplaceAllString(plain("heapfs-as-user"), "$1"))
	},
}

// owners are the words at the end of the last two lines.
var owners = regexp.MustCompile(`(?m)^(drwxr-xr-x) \w+$`)
