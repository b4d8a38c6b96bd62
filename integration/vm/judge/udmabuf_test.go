package judge

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/integration/vm"
)

// importers are the modules that take dma-bufs: a DRM driver, and a camera that captures by vmalloc and another one by dma-contig.
var importers = []string{"vgem", "vivid n_devs=2 allocators=0,1"}

// hugePages lets memfds have huge pages, which makes contiguous buffers contiguous.
const hugePages = "echo advise > /sys/kernel/mm/transparent_hugepage/shmem_enabled; "

// camera runs the client of vivid on one of the two cameras, 0 or 1. what is "ok" or "EFAULT".
func camera(n int, run, heap, what string) string {
	return fmt.Sprintf("name=$(grep -l vivid-00%d-vid-cap /sys/class/video4linux/*/name) && %s/udmabuf/vivid --device /dev/$(basename ${name%%/name}) "+
		"--heap %s --expect %s", n, run, heap, what)
}

// udmabufPart: with --export udmabuf real drivers take heapfs's buffers, as they take those of the kernel's heap, and refuse what they
// refuse there. Each comparison stands beside the same on the kernel's own heap.
var udmabufPart = part{
	name: "udmabuf",
	on:   withHeaps,
	files: func(t *testing.T) map[string]string {
		dir, err := udmabufPrograms()
		if errors.Is(err, errNoSelftest) {
			skip(t, err.Error(), "integration/selftest.sh 6.12 /tmp/dmabuf-heap")
		}
		require.NoError(t, err)
		return map[string]string{"/udmabuf": dir}
	},
	steps: func(vm.Kernel) []vm.Step {
		const run = "heapfs run --export udmabuf -- "
		// Without the device the first of these says so; the second, with it, works for an ordinary user too.
		steps := []vm.Step{
			{Name: "refused", Script: "chmod 600 /dev/udmabuf; su user -c 'heapfs run --export udmabuf -- true'; test $? = 125"},
			{Name: "as-user", Script: "chmod 666 /dev/udmabuf; su user -c '" + run + "/clients/threads'"},
			{Name: "unit-small-pages", Script: "echo never > /sys/kernel/mm/transparent_hugepage/shmem_enabled; " + unitTests},
			{Name: "unit-huge-pages", Script: hugePages + unitTests},
			{Name: "limit", Script: run + "/udmabuf/hold system 80000000 1 < /dev/null; heapfs doctor | grep ' udmabuf '"},
			{Name: "selftest", Script: run + "/udmabuf/selftest", Modules: importers},
			{Name: "vgem-kernel", Script: "/udmabuf/vgem system 1200000"},
			{Name: "vivid-kernel", Script: camera(0, "", "system", "ok")},
			{Name: "contig-kernel", Script: camera(1, "", "system", "EFAULT")},
			{Name: "contig-scattered", Script: hugePages + camera(1, run, "system", "EFAULT")},
			{Name: "contig-contiguous", Script: hugePages + camera(1, run, "linux,cma", "ok")},
			{Name: "phys", Script: hugePages + run + "sh -c '(sleep 3; echo quit) | /udmabuf/hold linux,cma 2000000 1 & sleep 1; heapfs buffers --phys; wait'"},
			{Name: "imported", Script: imported},
		}
		for _, heap := range []string{"system", "linux,cma"} {
			steps = append(steps,
				vm.Step{Name: "vgem-" + heap, Script: run + "/udmabuf/vgem " + heap + " 1200000"},
				vm.Step{Name: "vivid-" + heap, Script: camera(0, run, heap, "ok")})
		}
		return limited(steps)
	},
	check: func(t *testing.T, k vm.Kernel, step vm.StepResult) {
		switch name := strings.TrimPrefix(step.Name, "udmabuf/"); {
		case name == "refused":
			assert.Equal(t, `heapfs: run: export "udmabuf": open /dev/udmabuf: permission denied; open it to the user: chmod 0666 /dev/udmabuf, `+
				"or a udev rule\n", step.Stderr)
		case strings.HasPrefix(name, "unit-"):
			assert.NotContains(t, step.Stdout, "SKIP")
			assert.Regexp(t, `(?m)^PASS$`, step.Stdout)
		case name == "limit":
			assert.Regexp(t, `a buffer may have \d+ MiB \(size_limit_mb\) and 1024 ranges \(list_limit\)`, step.Stdout)
			if strings.Contains(step.Stdout, " 64 MiB ") { // more on 7.3
				assert.Contains(t, step.Stdout, "error ENOMEM")
			}
		case name == "selftest":
			// The board has three heap nodes, and each passes as the kernel's own heap does.
			assert.Contains(t, step.Stdout, "pass:33 fail:0 xfail:0 xpass:0 skip:0 error:0")
			assert.Len(t, regexp.MustCompile(`(?m)^ok \d+ Import buffer \d+$`).FindAllString(step.Stdout, -1), 3)
		case name == "phys":
			// 2,000,000 bytes are less than a huge page, and so lie in one piece.
			assert.Regexp(t, `\+1956KiB +1 +1956KiB`, step.Stdout)
		case name == "imported":
			assert.Equal(t, "live 1, freed 0\nlive 0, freed 1\nvgem: ok\n", step.Stdout)
		default:
			assert.Contains(t, step.Stdout, ": ok\n")
			assert.Empty(t, step.Stderr)
		}
	},
}

var errNoSelftest = errors.New("the kernel's selftest cannot be built")

// udmabufPrograms builds what the part runs, once for all kernels, and gives the folder.
var udmabufPrograms = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(site.dir, "udmabuf")
	build := exec.Command("make", "--silent", "--directory=../../clients", "OUT="+dir, "PROGRAMS=vgem vivid hold")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build of the clients: %w (install gcc and make, or run `make deps`)\n%s", err, out)
	}
	if err := buildUnitTests(filepath.Join(dir, "backing.test"), "../../../backing"); err != nil {
		return "", err
	}
	if out, err := exec.Command("../../selftest.sh", "6.12", filepath.Join(dir, "selftest")).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", errNoSelftest, strings.TrimSpace(string(out)))
	}
	return dir, nil
})

// unitTests are those of package backing that need /dev/udmabuf.
const unitTests = "/udmabuf/backing.test -test.v -test.timeout " + unitTime + " -test.run 'Udmabuf|MemoryOfBuffers|SweepTells|RangeIs|InTheMachine|EndIsSeen|Holders'"

const unitTime = "50s"

// imported: a buffer that only a driver holds any more is live, and its end is seen when the driver lets go: the first buffer of the
// client is the one that it imports.
const imported = `mkfifo /tmp/udmabuf-in
heapfs run --export udmabuf --events /tmp/udmabuf-events -- sh -c '
exec 3<>/tmp/udmabuf-in
/udmabuf/vgem system 1200000 hold < /tmp/udmabuf-in > /tmp/udmabuf-out &
tell() { echo "live $(heapfs buffers | grep -c system), freed $(grep "\"buffer\":1," /tmp/udmabuf-events | grep -c "\"free\"")"; }
until grep -q imported /tmp/udmabuf-out; do sleep 0.1; done
sleep 1; tell; echo go >&3
until grep -q released /tmp/udmabuf-out; do sleep 0.1; done
tell; echo go >&3; wait; tail -n 1 /tmp/udmabuf-out'`

// TestUdmabuf is for the full run: the kernels are booted for this part alone, because of its modules and its time.
func TestUdmabuf(t *testing.T) {
	t.Parallel()
	for _, k := range vm.Kernels {
		// The one in the middle has no rule of its own (vmap of huge pages: 6.12 has the defect, 7.3 has not).
		if !full || !withHeaps(k) || k.Version == "6.18" && !all {
			continue
		}
		t.Run(k.Version, func(t *testing.T) {
			t.Parallel()
			cfg := vm.Config{
				Kernel:  k.Version,
				CPUs:    2,
				Files:   map[string]string{"/bin/heapfs": site.heapfs, "/clients": site.clients},
				Timeout: udmabufTime,
			}
			if !udmabufPart.prepare(t, k, &cfg) {
				return
			}
			r := boot(t, cfg)
			t.Run(udmabufPart.name, func(t *testing.T) { udmabufPart.judge(t, k, r) })
		})
	}
}

// udmabufTime limits a boot of TestUdmabuf.
const udmabufTime = 5 * time.Minute
