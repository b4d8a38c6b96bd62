package judge

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/integration/vm"
)

// Machines that end badly: each says how, in its time.
func TestMachineThatEndsBadlySaysHow(t *testing.T) {
	t.Parallel()
	noKernel := filepath.Join(t.TempDir(), "vmlinuz")
	require.NoError(t, os.WriteFile(noKernel, []byte("this is no kernel\n"), 0o644))
	tests := map[string]struct {
		smoke bool
		rest  bool // in the run of all only
		cfg   vm.Config
		is    error
		says  string
		heard string // of the step's output, which is not lost
	}{
		"no kernel": {cfg: vm.Config{Image: noKernel}, is: vm.ErrNotUp, says: "qemu: "},
		"no init":   {cfg: vm.Config{Append: "rdinit=/nonexistent"}, is: vm.ErrNotUp, says: "Kernel panic"},
		"too slow":  {cfg: vm.Config{Up: 100 * time.Millisecond}, is: vm.ErrNotUp, says: "within 100ms"},
		"panics": {
			smoke: true, cfg: vm.Config{Script: "echo here; sleep 1; echo c > /proc/sysrq-trigger; sleep 60"},
			is: vm.ErrDied, says: "in step script", heard: "here\n",
		},
		"powers off": {
			rest: true,
			cfg:  vm.Config{Script: "echo here; sleep 1; poweroff -f; sleep 60"}, is: vm.ErrDied, says: "in step script", heard: "here\n",
		},
		"kills the guest's agent": {
			cfg: vm.Config{Script: "echo here; sleep 1; kill -9 $PPID; sleep 60"}, is: vm.ErrDied, says: "in step script", heard: "here\n",
		},
		"hangs": {
			cfg: vm.Config{Script: "echo here; sleep 1000", Timeout: 15 * time.Second},
			is:  vm.ErrTimeout, says: "in step script", heard: "here\n",
		},
		"warns": {
			rest: true,
			cfg:  vm.Config{Script: "echo here; echo '<4>BUG: sleeping function' > /dev/kmsg"},
			is:   vm.ErrKernel, says: "BUG: sleeping function", heard: "here\n",
		},
		"no memory": {
			rest: true,
			cfg: vm.Config{
				Script: "echo here; echo 1 > /proc/sys/vm/overcommit_memory; dd if=/dev/zero of=/dev/null bs=1G count=1",
				Memory: 256,
			},
			is: vm.ErrKernel, says: "oom-killer", heard: "here\n",
		},
	}
	for name, tt := range tests {
		if !full && !tt.smoke || tt.rest && !all {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.cfg.Kernel, tt.cfg.CPUs = "6.12", 1
			r, err := try(t, tt.cfg)
			require.ErrorIs(t, err, tt.is)
			assert.ErrorContains(t, err, tt.says)
			assert.ErrorContains(t, err, "Linux 6.12")
			assert.Equal(t, tt.heard, r.Step("script").Stdout)
		})
	}
}

// What goes wrong inside a step is the step's own affair: the others run.
func TestStepThatFailsKeepsNoOtherFromRunning(t *testing.T) {
	t.Parallel()
	r := boot(t, vm.Config{
		Kernel: "6.12",
		CPUs:   1,
		Texts:  map[string]string{"/bin/hello": "#!/bin/sh\necho hello $1\n"},
		Steps: []vm.Step{
			{Name: "seven", Script: "echo out; echo err >&2; exit 7"},
			{Name: "killed", Script: "kill -9 $$"},
			{Name: "slow", Script: "echo begun; sleep 1000 & sleep 1000", Timeout: 2 * time.Second},
			{Name: "noise", Script: "echo 'noise 0 end 0 0 00000000' > /dev/ttyS1; dd if=/dev/urandom bs=1k count=8 of=/dev/ttyS1 2>/dev/null"},
			{Name: "background", Script: "sleep 1000 & echo left"},
			{Name: "marker", Script: "test ! -e /.job && ! grep -q job /proc/cmdline"},
			{Name: "last", Script: "hello again; head -c 100000 /dev/zero > /tmp/zeros; su user -c id"},
		},
		Collect: []string{"/tmp/zeros", "/tmp/nothing"},
	})
	want := map[string]int{"seven": 7, "killed": 137, "slow": 137, "noise": 0, "background": 0, "marker": 0, "last": 0}
	for name, status := range want {
		assert.Equal(t, status, r.Step(name).Status, name)
		assert.True(t, r.Step(name).Ended, name)
	}
	assert.Equal(t, "out\n", r.Step("seven").Stdout)
	assert.Equal(t, "err\n", r.Step("seven").Stderr)
	assert.True(t, r.Step("slow").TimedOut)
	assert.Equal(t, "begun\n", r.Step("slow").Stdout)
	assert.Equal(t, "left\n", r.Step("background").Stdout)
	assert.Contains(t, r.Step("last").Stdout, "hello again\nuid=1001(user)")
	assert.Len(t, r.Failed(), 3)
	assert.Equal(t, make([]byte, 100000), r.Files["/tmp/zeros"])
	assert.NotContains(t, r.Files, "/tmp/nothing")
	assert.Regexp(t, `^6\.12\.`, r.Release)
}

// The kernels that a boot needs are fetched from the network; without it, and with an empty cache, there is no boot.
func TestKernelWhosePackageCannotBeHadIsNamed(t *testing.T) {
	t.Setenv("HEAPFS_CACHE", t.TempDir())
	t.Setenv("HEAPFS_VM_MIRROR", "http://127.0.0.1:1/debian")
	r, err := vm.Boot(t.Context(), vm.Config{Kernel: "6.18"})
	require.ErrorIs(t, err, vm.ErrPackage)
	assert.ErrorContains(t, err, "Linux 6.18")
	assert.ErrorContains(t, err, "127.0.0.1")
	assert.Nil(t, r)
}
