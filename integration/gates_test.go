package integration

import (
	"errors"
	"os"
	"syscall"
	"testing"
)

// inCI: a skip there would pass for a test that ran.
func inCI() bool { return os.Getenv("CI") == "true" }

// skip skips a test, and fails it under CI. how is the command that makes the test run.
func skip(t *testing.T, reason, how string) {
	t.Helper()
	if inCI() {
		t.Fatalf("%s: not skipped under CI=true; to run it: %s", reason, how)
	}
	t.Skipf("%s; to run it: %s", reason, how)
}

// kernelLacks skips a test for what no command on this machine could mend, under CI too.
func kernelLacks(t *testing.T, reason string) {
	t.Helper()
	t.Skip("kernel lacks: " + reason)
}

func requireRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		skip(t, "needs root", "sudo -E env PATH=$PATH go test ./integration -run '^"+t.Name()+"$'")
	}
}

// require32Bit skips where programs of the other word size do not start.
func require32Bit(t *testing.T) {
	t.Helper()
	program := client("basic-32")
	if _, err := os.Stat(program); err != nil {
		kernelLacks(t, "32-bit programs (this architecture has none)")
	}
	_, err := os.StartProcess(program, []string{program}, &os.ProcAttr{Env: []string{"HEAP_DIR=/nonexistent"}, Files: []*os.File{nil, nil, nil}})
	if errors.Is(err, syscall.ENOEXEC) {
		kernelLacks(t, "32-bit programs (ia32_emulation is off)")
	}
}
