package fs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// ownNamespace is set in the process that may mount without being seen by anybody.
const ownNamespace = "HEAPFS_TEST_OWN_NAMESPACE"

// TestMain runs the tests in a mount namespace of their own, as an ordinary user in a user namespace too, and fails on what they
// leave behind: goroutines, descriptors, mounts.
func TestMain(m *testing.M) {
	if os.Getenv(ownNamespace) == "" {
		os.Exit(inOwnNamespace())
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		fmt.Fprintln(os.Stderr, "mount --make-rprivate /:", err)
		os.Exit(1)
	}
	before := descriptors()
	code := m.Run()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, "leaked goroutines:", err)
		code = 1
	}
	for fd, file := range descriptors() {
		// The runtime's own: the poller, and the pidfd of its self-test.
		if before[fd] == "" && !strings.HasPrefix(file, "anon_inode:[event") && !strings.HasPrefix(file, "anon_inode:[pidfd") {
			fmt.Fprintf(os.Stderr, "leaked descriptor %s: %s\n", fd, file)
			code = 1
		}
	}
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

// descriptors is what each open descriptor refers to.
func descriptors() map[string]string {
	open := map[string]string{}
	entries, _ := filepath.Glob("/proc/self/fd/*")
	for _, e := range entries {
		if file, err := os.Readlink(e); err == nil {
			open[filepath.Base(e)] = file
		}
	}
	return open
}
