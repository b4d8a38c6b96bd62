package judge

import (
	"context"
	"errors"
	"os"
	"regexp"
	"runtime"
	"testing"
	"time"

	"github.com/heapfs/heapfs/integration/vm"
	"github.com/heapfs/heapfs/integration/vm/room"
)

// skip skips a test, and fails it under CI. how is the command that makes the test run.
func skip(t *testing.T, reason, how string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s: not skipped under CI=true; to run it: %s", reason, how)
	}
	t.Skipf("%s; to run it: %s", reason, how)
}

// bootTime limits a boot together with the download of its kernel, which the boot's own time does not count.
const bootTime = 12 * time.Minute

// processors are this machine's.
var processors = room.New(runtime.NumCPU())

// try boots a machine whose end the test will judge. It gates on what the machine lacks: a tool, or a kernel's package.
func try(t *testing.T, cfg vm.Config) (*vm.Result, error) {
	t.Helper()
	// What emulated processors wait for while another machine has theirs costs more than their number says: side by side, two machines of two
	// take three to four times as long each, and of one twice as long.
	if cfg.CPUs == 0 {
		cfg.CPUs = 2
	}
	defer processors.Take(cfg.CPUs, cfg.Timeout)()
	ctx, cancel := context.WithTimeout(t.Context(), bootTime)
	defer cancel()
	r, err := vm.Boot(ctx, cfg)
	switch {
	case errors.Is(err, vm.ErrTools):
		skip(t, err.Error(), "scripts/deps.sh vm && make test-vm")
	case errors.Is(err, vm.ErrPackage):
		skip(t, err.Error(), "make test-vm with Debian's package sources in reach")
	}
	if r != nil {
		record(t, r, err)
	}
	return r, err
}

// emulators are ends that tcg may be to blame for. With two processors it now and then trips over the kernel's patching of itself: an oops
// "int3", most often before anything of ours runs; or, seen once in the midst of a test, a double fault with half a pointer in the flags
// register. Only steps on the kernel's own heap count, which have its name: where heapfs runs, such an end fails the test at once.
var emulators = regexp.MustCompile(`died in step \S*kernel\S*; .*Oops: (int3|double fault)`)

// boot boots a machine that is to do all of its work: anything else fails the test. The result is never nil; steps that did not
// begin are not OK in it.
func boot(t *testing.T, cfg vm.Config) *vm.Result {
	t.Helper()
	r, err := try(t, cfg)
	if errors.Is(err, vm.ErrNotUp) || r != nil && r.Accel == "tcg" && err != nil && emulators.MatchString(err.Error()) {
		t.Log("once more, as the emulator may have tripped: ", err)
		r, err = try(t, cfg)
	}
	if err != nil {
		t.Error(err)
	}
	if r == nil {
		t.FailNow()
	}
	return r
}
