package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// site is what TestMain prepares for all tests: copies that every user can execute.
var site struct {
	dir      string // world-readable, ends with the run
	heapfs   string // the binary under test
	heaptest string // the conformance suite
	clients  string // the folder of client programs
	home     string // the ordinary user's home
	runtime  string // the ordinary user's XDG_RUNTIME_DIR
}

func TestMain(m *testing.M) {
	if inside := os.Getenv(insideEnv); inside != "" {
		enterAndExec(inside) // does not return
	}
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	if err := prepareSite(); err != nil {
		fmt.Fprintln(os.Stderr, "integration:", err)
		_ = os.RemoveAll(site.dir)
		return 1
	}
	before := takeInventory()
	status := m.Run()
	leaks := before.leaks()
	for _, leak := range leaks {
		fmt.Fprintln(os.Stderr, "integration: left behind:", leak)
	}
	if err := os.RemoveAll(site.dir); err != nil {
		leaks = append(leaks, err.Error())
		fmt.Fprintln(os.Stderr, "integration:", err)
	}
	if len(leaks) > 0 && status == 0 {
		status = 1
	}
	return status
}

// client returns the path of a client program.
func client(name string) string { return filepath.Join(site.clients, name) }
