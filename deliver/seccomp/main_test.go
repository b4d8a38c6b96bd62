package seccomp

import (
	"os"
	"testing"

	"github.com/heapfs/heapfs/internal/leaktest"
)

// TestMain fails on what the tests leave behind.
func TestMain(m *testing.M) {
	if scene := os.Getenv(callerRole); scene != "" {
		os.Exit(beCaller(scene))
	}
	os.Exit(leaktest.Run(m))
}
