package fs

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

// TestMain runs the tests in a mount namespace of their own, as an ordinary user in a user namespace too, and fails on what they
// leave behind: goroutines, descriptors, mounts.
func TestMain(m *testing.M) {
	if os.Getenv(holderSocket) != "" {
		os.Exit(holderMain())
	}
	if os.Getenv(ownNamespace) == "" {
		os.Exit(inOwnNamespace())
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		fmt.Fprintln(os.Stderr, "mount --make-rprivate /:", err)
		os.Exit(1)
	}
	code := leaktest.Run(m)
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(mounts), "fuse.heapfs-test") {
		fmt.Fprintf(os.Stderr, "leaked mount (%v):\n%s", err, mounts)
		code = 1
	}
	os.Exit(code)
}

// inOwnNamespace runs this test binary once more and returns its exit status.
func inOwnNamespace() int {
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), ownNamespace+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	case os.Getenv("CI") == "true":
		fmt.Fprintln(os.Stderr, "these tests mount:", err)
		return 1
	default:
		fmt.Fprintln(os.Stderr, "skipped, these tests mount:", err, "- run as root, or: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0")
		return 0
	}
}
