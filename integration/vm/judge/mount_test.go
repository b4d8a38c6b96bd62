package judge

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/heapfs/heapfs/integration/vm"
)

// mountedScript is a command of the guest's, "mounted FLAG... -- CMD": CMD with the heaps of a `heapfs mount` at /dev/dma_heap and in
// /sys, in a mount namespace of its own. Its status is CMD's, unless heapfs does not end well.
const mountedScript = `#!/bin/sh
flags=
while [ "$1" != -- ]; do flags="$flags $1"; shift; done
shift
export dir=$(mktemp -d)
mkdir $dir/heaps $dir/sys
[ -d /dev/dma_heap ] || { mkdir /dev/dma_heap && made=yes; }
heapfs mount --socket $dir/sock --sysfs $dir/sys $flags $dir/heaps &
until [ -e $dir/sys/class/dma_heap ] || ! kill -0 $!; do sleep 0.1; done
unshare -m sh -c 'mount --bind $dir/heaps /dev/dma_heap && mount --bind $dir/sys /sys && exec "$@"' sh "$@"
status=$?
[ -z "$made" ] || rmdir /dev/dma_heap
kill $! && wait $! || exit 124
exit $status
`

// mountPart: the way in of programs that heapfs did not start, with FUSE passthrough and, on a kernel that has none, without.
var mountPart = part{
	name: "mount",
	on:   func(k vm.Kernel) bool { return k.Version == "6.1" || k.Version == "6.12" || k.Version == "7.3" },
	files: func(*testing.T) map[string]string {
		return map[string]string{"/bin/heaptest": site.heaptest}
	},
	texts: map[string]string{"/etc/fuzz.yaml": fuzzBoard, "/bin/mounted": mountedScript},
	steps: func(k vm.Kernel) []vm.Step {
		as := "fuse-cached"
		if k.Passthrough {
			as = "fuse"
		}
		rows := "."
		if k.Version == "7.3" { // what may be another's there than on 6.12
			rows = "^(buf|map|mmap|mprotect|mremap|madvise|pages)-"
		}
		steps := []vm.Step{
			{Name: "client", Script: "mounted -- /clients/basic-static"},
			{Name: "conformance", Script: "mounted -- heaptest --as " + as + " --run '" + rows + "'", Timeout: conformanceTime},
		}
		if k.Version == "6.12" {
			// The caller of 32 bits that mount refuses; run takes it (doors, clients).
			steps = append(steps, vm.Step{
				Name: "client-32", Script: "mounted --events /tmp/32.json -- /clients/basic-32; test $? = 1 && grep -o 'it is no 64-bit program.*' /tmp/32.json | head -n 1",
			})
		}
		if k.Version == fuzzKernel {
			steps = append(steps, vm.Step{
				Name: "fuzz", Script: "heaptest fuzz --ops 2000 --quotas=false --seed 3 --as fuse -- mounted --board /etc/fuzz.yaml --", Timeout: fuzzTime,
			})
		}
		return limited(steps)
	},
	check: func(t *testing.T, _ vm.Kernel, step vm.StepResult) {
		switch strings.TrimPrefix(step.Name, "mount/") {
		case "client":
			checkClient(t, step)
		case "client-32":
			assert.Contains(t, step.Stdout, "start it with heapfs run instead")
			assert.Contains(t, step.Stderr, "Cannot allocate memory")
		case "conformance":
			assert.Contains(t, step.Stdout, " 0 FAIL")
		case "fuzz":
			assert.Contains(t, step.Stdout, "both sides agree")
		}
	},
}

// yamaPart: nobody may trace anybody, root included. It is the last part, as the setting can't be taken back.
var yamaPart = part{
	name:  "yama",
	on:    func(k vm.Kernel) bool { return k.Version == "7.3" },
	texts: map[string]string{"/bin/mounted": mountedScript},
	steps: func(vm.Kernel) []vm.Step {
		return limited([]vm.Step{
			{Name: "off", Script: "echo 3 > /proc/sys/kernel/yama/ptrace_scope"},
			{Name: "mount", Script: "mounted --events /tmp/yama.json -- /clients/basic-static; test $? = 1 && grep alloc_failed /tmp/yama.json"},
			{Name: "doctor", Script: "heapfs doctor; true"},
		})
	},
	check: func(t *testing.T, _ vm.Kernel, step vm.StepResult) {
		switch strings.TrimPrefix(step.Name, "yama/") {
		case "mount":
			assert.Contains(t, step.Stdout, "ENOMEM")
			assert.Contains(t, step.Stderr, "programs can't be given buffers")
			assert.Contains(t, step.Stderr, "ptrace_scope")
		case "doctor":
			assert.Contains(t, step.Stdout, "ptrace_scope")
		}
	},
}
