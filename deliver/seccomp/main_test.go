package seccomp

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// TestMain fails on goroutines, descriptors and children that tests leave behind.
func TestMain(m *testing.M) {
	if scene := os.Getenv(callerRole); scene != "" {
		os.Exit(beCaller(scene))
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
	if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); !errors.Is(err, unix.ECHILD) {
		fmt.Fprintf(os.Stderr, "leaked child: wait4 gives %d, %v\n", pid, err)
		code = 1
	}
	os.Exit(code)
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
