package trees

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sort"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/devices/board"
	"github.com/heapfs/heapfs/devices/dtb"
	"github.com/heapfs/heapfs/integration/vm"
)

func TestMain(m *testing.M) {
	if os.Getenv("HEAPFS_VM") == "" {
		fmt.Println("trees: fetches a kernel package, so nothing is run here: make test-vm")
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// blobs gives the files of a kernel's device trees.
func blobs(t *testing.T, version string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	dir, err := vm.DeviceTrees(ctx, version)
	require.NoError(t, err)
	var files []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".dtb" {
			files = append(files, path)
		}
		return err
	}))
	return files
}

// judged is what became of one blob.
type judged struct {
	imported, skipped int
	took              time.Duration
}

// TestEveryBlobGivesTheDevicesThatDTCGives reads each blob twice. The devices found are the same; each is on the board or is listed with
// its class; and the board is one that can be written and read again.
func TestEveryBlobGivesTheDevicesThatDTCGives(t *testing.T) {
	_, err := exec.LookPath("dtc")
	require.NoError(t, err, "dtc is missing: make deps, or apt-get install device-tree-compiler")
	files := blobs(t, "6.12")
	require.Greater(t, len(files), 1000)

	var mu sync.Mutex
	var all judged
	var slowest time.Duration
	byClass := map[string]int{}
	work := make(chan string)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for file := range work {
				j, skipped := judge(t, file)
				mu.Lock()
				all.imported += j.imported
				all.skipped += j.skipped
				all.took += j.took
				slowest = max(slowest, j.took)
				for _, s := range skipped {
					byClass[s.Class]++
				}
				mu.Unlock()
			}
		})
	}
	for _, f := range files {
		work <- f
	}
	close(work)
	wg.Wait()
	t.Logf("%d blobs: %d devices imported, %d skipped; parsing and importing took %v, the slowest %v",
		len(files), all.imported, all.skipped, all.took.Round(time.Millisecond), slowest.Round(10*time.Microsecond))
	for class, n := range byClass {
		t.Logf("skipped, %s: %d", class, n)
	}
	assert.Positive(t, all.imported)
}

func judge(t *testing.T, file string) (judged, []dtb.Skipped) {
	data, err := os.ReadFile(file)
	if !assert.NoError(t, err) {
		return judged{}, nil
	}
	name := filepath.Base(file)
	start := time.Now()
	tree, err := dtb.Parse(data)
	if !assert.NoError(t, err, name) {
		return judged{}, nil
	}
	im, err := tree.Import(dtb.Options{Name: name})
	took := time.Since(start)
	if !assert.NoError(t, err, name) {
		return judged{}, nil
	}

	want, err := candidates(t.Context(), file)
	if !assert.NoError(t, err, name) {
		return judged{}, nil
	}
	var got []string
	for _, c := range tree.Candidates() {
		got = append(got, c.Node.Path())
	}
	sort.Strings(got)
	assert.Equal(t, want, got, name)

	var ended []string
	for _, o := range im.Origins {
		ended = append(ended, o.Node.Path())
	}
	for _, s := range im.Skipped {
		ended = append(ended, s.Path)
		assert.NotEmpty(t, s.Class, name)
		assert.NotEmpty(t, s.Reason, name)
	}
	sort.Strings(ended)
	assert.Equal(t, want, ended, name)

	text, err := im.Marshal(name)
	if assert.NoError(t, err, name) {
		again, err := board.Parse(name, text)
		assert.NoError(t, err, name)
		assert.Equal(t, im.Board, again, name)
	}
	return judged{len(im.Origins), len(im.Skipped), took}, im.Skipped
}

// The built-in boards that stand for a tree of this kernel have the devices that the tree has now, as they are in the tree.
func TestBuiltInBoardsAreWhatTheirTreesSay(t *testing.T) {
	for _, name := range []string{"imx8mq-evk", "rk3399-rockpro64"} {
		var data []byte
		for _, f := range blobs(t, "6.12") {
			if filepath.Base(f) == name+".dtb" {
				var err error
				data, err = os.ReadFile(f)
				require.NoError(t, err)
			}
		}
		tree, err := dtb.Parse(data)
		require.NoError(t, err, name)
		want, err := board.Load(name)
		require.NoError(t, err)
		o := dtb.Options{Name: name}
		for _, m := range want.Memory {
			o.Memory = append(o.Memory, dtb.Range{Base: uint64(m.Base), Size: uint64(m.Size)})
		}
		im, err := tree.Import(o)
		require.NoError(t, err, name)
		assert.Equal(t, want.Memory, im.Board.Memory, name)
		assert.Equal(t, want.IOMMUs, im.Board.IOMMUs, name)
		assert.Equal(t, want.Devices, im.Board.Devices, name)
		assert.Equal(t, want.Policy, im.Board.Policy, name)
	}
}
