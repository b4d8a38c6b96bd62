// Package leaktest is what every TestMain of a package with descriptors ends in. It is for tests only; the product never imports
// it.
package leaktest

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

// Run runs the tests and gives the exit status: 1 also if they left a goroutine, a descriptor or a child process behind, which is
// told on stderr.
func Run(m *testing.M) int {
	before := Descriptors()
	code := m.Run()
	leaked := func(what string, detail any) {
		fmt.Fprintf(os.Stderr, "leaked %s: %v\n", what, detail)
		code = 1
	}
	if err := goleak.Find(); err != nil {
		leaked("goroutines", err)
	}
	for fd, file := range Descriptors() {
		if before[fd] == "" && !ofRuntime(file) {
			leaked("descriptor "+fd, file)
		}
	}
	if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); !errors.Is(err, unix.ECHILD) {
		leaked("child", fmt.Sprintf("wait4 gives %d, %v", pid, err))
	}
	return code
}

// ofRuntime is whether the Go runtime opens such a file when it first needs one: its poller, and the pidfd of a self-test.
func ofRuntime(file string) bool {
	return strings.HasPrefix(file, "anon_inode:[event") || strings.HasPrefix(file, "anon_inode:[pidfd")
}

// Descriptors is what each open descriptor of this process refers to, by its number.
func Descriptors() map[string]string {
	open := map[string]string{}
	entries, _ := filepath.Glob("/proc/self/fd/*")
	for _, e := range entries {
		if file, err := os.Readlink(e); err == nil {
			open[filepath.Base(e)] = file
		}
	}
	return open
}
