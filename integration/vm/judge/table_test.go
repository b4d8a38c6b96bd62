package judge

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/integration/vm"
)

// table is what `make test-vm` prints at its end, row by row: kernel, step, verdict, seconds.
var table sync.Mutex

// record enters a boot. name is the test's.
func record(t *testing.T, r *vm.Result, err error) {
	t.Helper()
	table.Lock()
	defer table.Unlock()
	var rows strings.Builder
	row := func(step, verdict string, seconds float64) {
		fmt.Fprintf(&rows, "%-6s %-46s %-14s %7.1f\n", r.Kernel, step, verdict, seconds)
	}
	row("up ("+r.Accel+")", "", r.Up.Seconds())
	for _, step := range r.Steps {
		row("  "+step.Name, step.String(), step.Elapsed.Seconds())
	}
	verdict := "ended"
	if err != nil {
		verdict = "failed" // as a test may want it to
	}
	row(t.Name(), verdict, r.Elapsed.Seconds())
	t.Log("\n" + rows.String())
	// Written at once: a run that is broken off has its table too.
	if path := os.Getenv(tableEnv); path != "" {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		require.NoError(t, err)
		_, err = f.WriteString(rows.String())
		require.NoError(t, errors.Join(err, f.Close()))
	}
}
