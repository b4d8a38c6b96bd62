package ptrace

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/leaktest"
)

// ownNamespace is set in the process that may mount without being seen by anybody.
const ownNamespace = "HEAPFS_TEST_OWN_NAMESPACE"

// TestMain runs the tests in a mount namespace of their own and fails on what they leave behind.
func TestMain(m *testing.M) {
	if scene := os.Getenv(callerScene); scene != "" {
		os.Exit(beCaller(scene))
	}
	if os.Getenv(ownNamespace) == "" {
		os.Exit(inOwnNamespace())
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		fmt.Fprintln(os.Stderr, "mount --make-rprivate /:", err)
		os.Exit(1)
	}
	code := leaktest.Run(m)
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(mounts), fsType) {
		fmt.Fprintf(os.Stderr, "leaked mount (%v):\n%s", err, mounts)
		code = 1
	}
	os.Exit(code)
}

// inOwnNamespace runs this test binary once more and returns its exit status.
func inOwnNamespace() int {
	if os.Geteuid() != 0 && os.Getenv("CI") != "true" {
		fmt.Fprintln(os.Stderr, "skipped, these tests mount and trace - run as root")
		return 0
	}
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), ownNamespace+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	fmt.Fprintln(os.Stderr, "these tests mount, run them as root:", err)
	return 1
}
