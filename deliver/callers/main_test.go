package callers

import (
	"os"
	"testing"

	"github.com/heapfs/heapfs/internal/leaktest"
)

// TestMain fails on what the tests leave behind.
func TestMain(m *testing.M) { os.Exit(leaktest.Run(m)) }
