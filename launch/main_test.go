package launch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// executeRole is the environment variable that turns this binary into one that becomes the command in its arguments.
const executeRole = "HEAPFS_TEST_EXECUTE"

// TestMain fails on goroutines and descriptors that tests leave behind.
func TestMain(m *testing.M) {
	if os.Getenv(executeRole) != "" {
		os.Unsetenv(executeRole)
		err := execute(os.Args[1:])
		var e *Error
		if !errors.As(err, &e) {
			fmt.Println("no *Error:", err)
			os.Exit(1)
		}
		fmt.Print(e)
		os.Exit(e.Code)
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
