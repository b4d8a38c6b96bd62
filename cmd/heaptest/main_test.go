package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/cmd/heaptest/rows"
)

// This test's program plays rows, as the suite starts itself for each.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == rowCommand || os.Args[1] == rows.HelperCommand) {
		os.Exit(run(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// A plain file is no heap: what it answers differs from every kernel, and is listed nowhere.
func TestSuiteFailsOnWhatIsNoHeap(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "system"), nil, 0o600))
	for _, as := range []string{"kernel", "memfd", "udmabuf", "fuse"} {
		assert.Equal(t, statusFail, suite(context.Background(), []string{"--dir", dir, "--as", as, "--run", "^alloc-len-0$"}), as)
	}
	// A row that can't even be asked fails, too.
	assert.Equal(t, statusFail, suite(context.Background(), []string{"--dir", dir, "--run", "^buf-stat-size$"}))
	// What no heap is needed for is as on a kernel.
	assert.Equal(t, statusOK, suite(context.Background(), []string{"--dir", dir, "--run", "^foreign-pipe$|^open-missing$"}))
}

func TestSuiteWithoutAHeapSaysSo(t *testing.T) {
	assert.Equal(t, statusUsage, suite(context.Background(), []string{"--dir", t.TempDir()}))
	assert.Equal(t, statusUsage, suite(context.Background(), []string{"--run", "no-such-row"}))
	assert.Equal(t, statusUsage, run([]string{rowCommand}))
	assert.Equal(t, statusUsage, run([]string{rowCommand, "no-such-row"}))
	assert.Equal(t, statusUsage, run([]string{rows.HelperCommand}))
	assert.Equal(t, statusUsage, run([]string{"report", "/no/such/run"}))
}
