package judge

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/heapfs/heapfs/integration/vm"
)

// part is a share of the suite that runs in the one boot of each kernel.
type part struct {
	name  string
	smoke bool                   // in the smoke run too
	on    func(k vm.Kernel) bool // on which kernels; nil: on all

	// files are brought into the machine: guest path, host path. nil: none. /bin/heapfs and /clients are there anyway. It may skip.
	files func(t *testing.T) map[string]string
	texts map[string]string // the same of contents, executable
	// steps run in this order. Their names get the part's before them: "PART/STEP". Each must end with status 0.
	steps func(k vm.Kernel) []vm.Step
	// collect are guest paths of files that steps write.
	collect []string
	// check looks at what a step said that has ended with status 0; nil: the status says it all.
	check func(t *testing.T, k vm.Kernel, step vm.StepResult)
	// finish looks at all of the part's boot, after its steps; nil: nothing more to look at.
	finish func(t *testing.T, k vm.Kernel, r *vm.Result)
}

// parts is the suite, in the order in which a machine runs it. A module stays loaded once a step has asked for it.
var parts = []part{doors, clientsPart, heapPart, sysfsPart, conformancePart, mountPart, selftestPart, yamaPart}

// withHeaps: the kernels that can judge.
func withHeaps(k vm.Kernel) bool { return k.Heaps }

// kernelTime limits the steps of a kernel together.
const kernelTime = 15 * time.Minute

// TestKernels runs the suite on each kernel.
func TestKernels(t *testing.T) {
	t.Parallel()
	for _, k := range vm.Kernels {
		if !full && !k.Smoke {
			continue
		}
		t.Run(k.Version, func(t *testing.T) {
			t.Parallel()
			cfg := vm.Config{
				Kernel:  k.Version,
				Files:   map[string]string{"/bin/heapfs": site.heapfs, "/clients": site.clients},
				Texts:   map[string]string{},
				Timeout: kernelTime,
			}
			var here []part
			for _, p := range parts {
				if (full || p.smoke) && (p.on == nil || p.on(k)) && p.prepare(t, k, &cfg) {
					here = append(here, p)
				}
			}
			r := boot(t, cfg)
			for _, p := range here {
				t.Run(p.name, func(t *testing.T) { p.judge(t, k, r) })
			}
		})
	}
}

// prepare adds a part to a boot, unless it skips itself.
func (p part) prepare(t *testing.T, k vm.Kernel, cfg *vm.Config) bool {
	if p.files != nil {
		var files map[string]string
		t.Run(p.name+"-files", func(t *testing.T) { files = p.files(t) })
		if files == nil {
			return false
		}
		maps.Copy(cfg.Files, files)
	}
	maps.Copy(cfg.Texts, p.texts)
	for _, step := range p.steps(k) {
		step.Name = p.name + "/" + step.Name
		cfg.Steps = append(cfg.Steps, step)
	}
	cfg.Collect = append(cfg.Collect, p.collect...)
	return true
}

func (p part) judge(t *testing.T, k vm.Kernel, r *vm.Result) {
	for _, step := range p.steps(k) {
		t.Run(step.Name, func(t *testing.T) {
			said := r.Step(p.name + "/" + step.Name)
			if !said.Ended {
				t.Fatal("did not end: see the failure of the boot")
			}
			if !said.OK() {
				t.Fatalf("%v\n%s\n%s", said, strings.TrimSpace(said.Stdout+said.Stderr), r.Tail())
			}
			if p.check != nil {
				p.check(t, k, said)
			}
		})
	}
	if p.finish != nil {
		p.finish(t, k, r)
	}
}
