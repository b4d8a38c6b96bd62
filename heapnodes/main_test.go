package heapnodes

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails on goroutines and descriptors that tests leave behind.
func TestMain(m *testing.M) {
	before := descriptors()
	code := m.Run()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, "leaked goroutines:", err)
		code = 1
	}
	for fd, file := range descriptors() {
		// The runtime's own poller comes with the first file that it waits for.
		if before[fd] == "" && !strings.HasPrefix(file, "anon_inode:[event") {
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
