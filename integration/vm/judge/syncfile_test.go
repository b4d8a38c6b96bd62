package judge

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/integration/vm"
)

const (
	// syncRows are the sync file's rows, without a deviation: udmabuf's list allows none of them.
	syncRows = `heapfs --log-level debug run -- heaptest --as udmabuf --run '^(syncfile|fileinfo|merge)-'`
	// standInRows are the same with the deviations of stand-ins.
	standInRows = `heapfs --log-level debug run -- heaptest --as memfd -v --run '^(syncfile|fileinfo|merge)-'`
	// syncClient is a client that exports, merges and imports.
	syncClient = "heapfs run -- /clients/basic-static"
)

// syncTime limits the boot of TestSyncFilesByEachDevice.
const syncTime = 5 * time.Minute

// TestSyncFilesByEachDevice: sync files are the kernel's own by whatever device leads to one, and stand-ins where none does. The machine
// loses its devices on the way, so it has no other part's steps.
func TestSyncFilesByEachDevice(t *testing.T) {
	if !full {
		t.Skip("not in the smoke run; to run it: make test-vm")
	}
	t.Parallel()
	unit := filepath.Join(site.dir, "backing-syncfile.test")
	require.NoError(t, buildUnitTests(unit, "../../../backing"))

	const asUser = "su user -c "
	rows := []struct{ name, script, said string }{
		{"unit", "/bin/backing.test -test.v -test.timeout " + unitTime + " -test.run 'DevicesOfTheMachine|RenderNodes'", ""},
		{"udmabuf", syncRows + " && " + syncClient, "device=/dev/udmabuf"},
		// vgem has no synchronisation objects, so its render node is in vain.
		{"card", "rm /dev/udmabuf; " + syncRows, "device=/dev/dri/card0"},
		{"closed-to-user", asUser + `"` + standInRows + `"`, "sync files are stand-ins"},
		{"card-as-user", "chmod 666 /dev/dri/card0; " + asUser + `"` + syncRows + " && " + syncClient + `"`, "device=/dev/dri/card0"},
		{"render-node-alone", "rm /dev/dri/card0; " + standInRows, "DRM_IOCTL_SYNCOBJ_CREATE: operation not supported"},
		{"none", "rm -r /dev/dri; " + standInRows + " && " + syncClient, "sync files are stand-ins"},
	}
	cfg := vm.Config{
		Kernel:  "6.12",
		CPUs:    2,
		Modules: []string{"vgem"},
		Files: map[string]string{
			"/bin/heapfs": site.heapfs, "/bin/heaptest": site.heaptest, "/bin/backing.test": unit, "/clients": site.clients,
		},
		Timeout: syncTime,
	}
	for _, r := range rows {
		cfg.Steps = append(cfg.Steps, vm.Step{Name: r.name, Script: r.script})
	}
	cfg.Steps = limited(cfg.Steps)
	result := boot(t, cfg)
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			step := result.Step(r.name)
			require.True(t, step.OK(), "%v\n%s\n%s", step, step.Stdout+step.Stderr, result.Tail())
			if r.name == "unit" {
				assert.Regexp(t, `(?m)^PASS$`, step.Stdout)
				assert.Contains(t, step.Stdout, "--- PASS: TestDevicesOfTheMachineGiveTheKernelsSyncFiles//dev/dri/card0")
				assert.Contains(t, step.Stdout, "--- PASS: TestRenderNodesMakeNoDumbBuffers")
				return
			}
			assert.Contains(t, step.Stdout, " 0 FAIL")
			assert.Equal(t, strings.Contains(r.script, syncClient), strings.Contains(step.Stdout, "basic: "))
			assert.Contains(t, step.Stderr, r.said)
		})
	}
}
