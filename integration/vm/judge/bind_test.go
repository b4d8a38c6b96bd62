package judge

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/integration/vm"
)

// bindBoard has a device that needs contiguous memory, and a heap of each kind.
const bindBoard = `apiVersion: heapfs/v1alpha1
name: bind
memory: [{name: ram, base: 1GiB, size: 1GiB}]
pools: [{name: cma, kind: contiguous, size: 64MiB}, {name: system, kind: scatter, size: 64MiB}]
heaps:
  - {name: system, pool: system}
  - {name: "linux,cma", pool: cma}
devices:
  - {name: vpu}
`

// bindPart: programs that know nothing of heapfs give buffers to a camera of vivid whose driver takes any memory (vmalloc). Bound to a
// device that needs contiguous memory, what is scattered is refused all the same, and nothing else changes.
var bindPart = part{
	name: "bind",
	files: func(t *testing.T) map[string]string {
		dir := filepath.Join(site.dir, "bind")
		build := exec.Command("make", "--silent", "--directory=../../clients", "OUT="+dir,
			"PROGRAMS=vivid queue queue-32 queue-32-time64 heapexport.so")
		out, err := build.CombinedOutput()
		require.NoError(t, err, "build of the clients (install gcc, gcc-multilib and make, or run `make deps`)\n%s", out)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "board.yaml"), []byte(bindBoard), 0o644))
		if err := withLibraries("v4l2-ctl", filepath.Join(dir, "v4l")); err != nil {
			skip(t, err.Error(), "scripts/deps.sh vm && make test-vm")
		}
		return map[string]string{"/bind": dir}
	},
	steps: func(vm.Kernel) []vm.Step {
		const (
			here  = "chmod 666 /dev/udmabuf; name=$(grep -l vivid-000-vid-cap /sys/class/video4linux/*/name); node=/dev/$(basename ${name%/name}); "
			run   = "heapfs run --board /bind/board.yaml --export udmabuf --events /tmp/bind-events "
			bound = run + "--bind $node=vpu -- "
			told  = "; status=$?; echo refusals $(grep -c attach_failed /tmp/bind-events); exit $status"
			// The other camera gives the buffers, or heapexport.so does in its place.
			ctl = "/bind/v4l/ld.so --library-path /bind/v4l %s /bind/v4l/v4l2-ctl -d $node " +
				"--set-fmt-video=width=640,height=360,pixelformat=YUYV %s --stream-count=2 2>&1"
			other   = "other=$(grep -l vivid-001-vid-cap /sys/class/video4linux/*/name); other=/dev/$(basename ${other%/name}); "
			dmabuf  = "--export-device $other --stream-dmabuf"
			preload = "--preload /bind/heapexport.so"
		)
		steps := []vm.Step{
			{Name: "unbound", Script: here + run + "-- /bind/vivid --device $node --heap system --expect ok" + told, Modules: []string{"vivid n_devs=2 allocators=0,1"}},
			{Name: "scattered", Script: here + bound + "/bind/vivid --device $node --heap system --expect EFAULT" + told},
			{Name: "contiguous", Script: here + bound + "/bind/vivid --device $node --heap linux,cma --expect ok" + told},
			{Name: "v4l2-ctl-own", Script: here + bound + fmt.Sprintf(ctl, "", "--stream-mmap") + told},
			{Name: "v4l2-ctl-other", Script: here + other + bound + fmt.Sprintf(ctl, "", dmabuf) + told},
			{Name: "v4l2-ctl-scattered", Script: here + other + "export HEAP=system BYTES=460800; " + bound + fmt.Sprintf(ctl, preload, dmabuf) + told},
			{Name: "v4l2-ctl-contiguous", Script: here + other + "export HEAP=linux,cma BYTES=460800; " + bound + fmt.Sprintf(ctl, preload, dmabuf) + told},
		}
		for _, program := range []string{"queue", "queue-32", "queue-32-time64"} {
			script := "heapfs run --board /bind/board.yaml --bind /dev/null=vpu -- /bind/" + program + " /dev/null "
			steps = append(steps, vm.Step{Name: program, Script: script + "system 1000000; " + script + "linux,cma 1000000"})
		}
		return limited(steps)
	},
	check: func(t *testing.T, _ vm.Kernel, step vm.StepResult) {
		assert.Empty(t, step.Stderr)
		switch name := strings.TrimPrefix(step.Name, "bind/"); name {
		case "unbound", "contiguous":
			assert.Equal(t, "vivid: ok: ok\nrefusals 0\n", step.Stdout)
		case "scattered":
			assert.Equal(t, "vivid: EFAULT: ok\nrefusals 1\n", step.Stdout)
		case "v4l2-ctl-scattered":
			assert.Contains(t, step.Stdout, "VIDIOC_QBUF returned -1 (Bad address)")
			assert.Contains(t, step.Stdout, "refusals 1\n")
		case "v4l2-ctl-own", "v4l2-ctl-other", "v4l2-ctl-contiguous":
			assert.Equal(t, "<<\nrefusals 0\n", strings.ReplaceAll(step.Stdout, "< ", "<"), "two frames")
		default:
			const passed = "single ENOTTY\nplanes ENOTTY\nshort planes ENOTTY\nmmap ENOTTY\nprime ENOTTY\nanother file ENOTTY\nno file ENOTTY\n"
			refused := strings.NewReplacer("single ENOTTY", "single EFAULT", "\nplanes ENOTTY", "\nplanes EFAULT", "prime ENOTTY", "prime EFAULT")
			assert.Equal(t, refused.Replace(passed)+passed, step.Stdout)
		}
	},
}

// withLibraries copies a program of the machine's into dir, with the libraries that it needs; its loader is called ld.so.
func withLibraries(name, dir string) error {
	program, err := exec.LookPath(name)
	if err != nil {
		return fmt.Errorf("%s is missing: %w", name, err)
	}
	out, err := exec.Command("ldd", program).Output()
	if err != nil {
		return fmt.Errorf("ldd %s: %w", program, err)
	}
	copies := map[string]string{name: program}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		switch {
		case len(fields) >= 3 && fields[1] == "=>":
			copies[fields[0]] = fields[2]
		case len(fields) > 0 && strings.Contains(fields[0], "/ld-"):
			copies["ld.so"] = fields[0]
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for to, from := range copies {
		if err := copyProgram(filepath.Join(dir, to), from); err != nil {
			return err
		}
	}
	return nil
}

func copyProgram(to, from string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // read only
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}

// TestBind is for the full run, on one kernel: what it shows is heapfs's doing, and not the kernel's.
func TestBind(t *testing.T) {
	t.Parallel()
	for _, k := range vm.Kernels {
		if !full || !withHeaps(k) || !k.Smoke {
			continue
		}
		t.Run(k.Version, func(t *testing.T) {
			t.Parallel()
			cfg := vm.Config{Kernel: k.Version, CPUs: 2, Files: map[string]string{"/bin/heapfs": site.heapfs}, Timeout: bindTime}
			if !bindPart.prepare(t, k, &cfg) {
				return
			}
			r := boot(t, cfg)
			t.Run(bindPart.name, func(t *testing.T) { bindPart.judge(t, k, r) })
		})
	}
}

// bindTime limits the boot of TestBind.
const bindTime = 3 * time.Minute
