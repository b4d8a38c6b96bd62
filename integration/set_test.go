package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	decoder = "38300000.video-codec"
	display = "30320000.lcd-controller"
	gpu     = "38000000.gpu"
)

// setBoard has a decoder with a limit of 1 MiB, a display that takes 3 segments, and a device that no heap serves together with others.
const setBoard = `apiVersion: heapfs/v1
name: sets
memory: [{name: m, base: 0x40000000, size: 1GiB}]
pools: [{name: cma, kind: contiguous, size: 64MiB}, {name: ram, kind: scatter}]
heaps:
  - {name: system, pool: ram}
  - {name: default_cma_region, pool: cma, quota: 8MiB}
iommus: [{name: mmu}]
devices:
  - {name: decoder, constraints: {maxSize: 1MiB}}
  - {name: display, iommu: mmu, constraints: {maxSegments: 3}}
  - {name: gpu, heap: system}
  - {name: tee, iommu: mmu, constraints: {protected: requires}}
`

func writeBoard(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(ownDir(t), "board.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	return file
}

func TestSetThatHasNoNode(t *testing.T) {
	legs(t, func(t *testing.T, who leg) {
		board, file := writeBoard(t, setBoard), filepath.Join(ownDir(t), "events.jsonl")
		names := []string{"gpu+nosuch", "gpu+gpu", "gpu+", "gpu+tee", "a+b+c+d+e+f+g+h+i"}
		script := `for n in "$@"; do if test -e /dev/dma_heap/"$n"; then echo "$n"; fi; done`
		r := heapfs(t, who, options{}, append([]string{"run", "--board", board, "--events", file, "--", "sh", "-c", script, "sh"}, names...)...)
		assert.Equal(t, 0, r.status)
		assert.Empty(t, r.stdout)
		var reasons []string
		for _, line := range readEvents(t, file) {
			if line.Event == "lookup_failed" {
				assert.Equal(t, "ENOENT", line.Errno)
				assert.Equal(t, "sh", line.Comm)
				require.NotNil(t, line.UID)
				assert.Equal(t, uidOf(who), *line.UID)
				reasons = append(reasons, line.Heap+": "+line.Reason)
			}
		}
		require.Len(t, reasons, len(names))
		for i, says := range []string{`"nosuch": no such device`, `"gpu": given twice`, `"": no such device`, "no heap serves all", "9 devices"} {
			assert.Contains(t, reasons[i], names[i])
			assert.Contains(t, reasons[i], says)
		}
	})
}

func TestSetIsOneNodeOverTheHeapThatServesAll(t *testing.T) {
	script := `cd /dev/dma_heap; ls; echo --; stat -c %i "$1+$2+$3" "$3+$1+$2" "$2+$3+$1" "$1+$2"; echo --; ls`
	legs(t, func(t *testing.T, who leg) {
		r := heapfs(t, who, options{}, "run", "--board", "imx8mq-evk", "--", "sh", "-c", script, "sh", decoder, display, gpu)
		require.Equal(t, 0, r.status)
		parts := strings.Split(r.stdout, "--\n")
		require.Len(t, parts, 3)
		assert.NotContains(t, parts[0], "+")
		assert.Equal(t, parts[0], parts[2], "a set is not listed, looked up or not")
		inodes := strings.Fields(parts[1])
		require.Len(t, inodes, 4)
		assert.Equal(t, inodes[0], inodes[1])
		assert.Equal(t, inodes[0], inodes[2])
		assert.NotEqual(t, inodes[0], inodes[3], "another set")
	})
}

func TestSetAllocates(t *testing.T) {
	legs(t, func(t *testing.T, who leg) {
		in := hold(t, who, []string{"--board", "imx8mq-evk"}, gpu+"+"+decoder, 1<<20, 2)
		require.Len(t, in.buffers, 2)
		require.Equal(t, "ok", in.ask("fill %d", in.buffers[0]))
		var buffers []struct {
			bufferAnswer
			Pool string `json:"pool"`
			Kind string `json:"kind"`
		}
		in.outside(t, &buffers, "buffers")
		require.Len(t, buffers, 2)
		for _, b := range buffers {
			assert.Equal(t, gpu+"+"+decoder, b.Heap, "sorted: the one name of the set")
			assert.Equal(t, "cma", b.Pool)
			assert.Equal(t, "contiguous", b.Kind)
			assert.Len(t, b.Extents, 1)
		}
		var ls lsAnswer
		in.outside(t, &ls, "ls")
		for _, h := range ls.Heaps {
			assert.NotContains(t, h.Name, "+")
			if h.Pool == "cma" {
				assert.EqualValues(t, 2<<20, h.PoolUsed, h.Name)
			}
		}
		assert.Equal(t, 0, in.wait())
	})
}

func TestSetHasTheLimitsOfItsMembersAndTheQuotaOfItsHeap(t *testing.T) {
	for _, r := range []struct {
		set           string
		size, allowed int
		reason        string
	}{
		{set: "gpu+decoder", size: 1<<20 + 1, reason: `device "decoder" takes 1MiB at the most`},
		{set: "gpu+display", size: 4 << 20, reason: `device "display" takes 3 segments at the most, not 4`},
		{set: "display+decoder", size: 1 << 20, allowed: 8, reason: "quota"},
	} {
		t.Run(r.set, func(t *testing.T) {
			legs(t, func(t *testing.T, who leg) {
				board, file := writeBoard(t, setBoard), filepath.Join(ownDir(t), "events.jsonl")
				in := hold(t, who, []string{"--board", board, "--events", file}, r.set, r.size, 0)
				for range r.allowed {
					require.Regexp(t, `^buffer \d+$`, in.ask("alloc"))
				}
				assert.Equal(t, "error ENOMEM", in.ask("alloc"))
				require.Equal(t, 0, in.wait())
				lines := readEvents(t, file)
				assert.Equal(t, r.allowed, count(lines, "alloc"))
				require.Equal(t, 1, count(lines, "alloc_failed"))
				for _, line := range lines {
					if line.Event == "alloc_failed" {
						assert.Contains(t, line.Reason, r.reason)
						assert.Equal(t, "ENOMEM", line.Errno)
					}
				}
			})
		})
	}
}

func TestSetIsWhatNegotiateSays(t *testing.T) {
	legs(t, func(t *testing.T, who leg) {
		r := heapfs(t, who, options{}, "negotiate", "--board", "imx8mq-evk", "--json", display, gpu)
		require.Equal(t, 0, r.status)
		var answer struct {
			Choice *string `json:"choice"`
			Heaps  []struct {
				Name   string `json:"name"`
				Serves bool   `json:"serves"`
			} `json:"heaps"`
		}
		require.NoError(t, json.Unmarshal([]byte(r.stdout), &answer))
		require.NotNil(t, answer.Choice)
		assert.Equal(t, "default_cma_region", *answer.Choice)
		require.Len(t, answer.Heaps, 2)

		board := writeBoard(t, setBoard)
		r = heapfs(t, who, options{}, "negotiate", "--board", board, "tee", "gpu")
		assert.Equal(t, 1, r.status)
		assert.Contains(t, r.stdout, "choice: none")
		r = heapfs(t, who, options{stderrWanted: true}, "negotiate", "--board", board, "gpo")
		assert.NotEqual(t, 0, r.status)
		assert.Contains(t, oneLine(t, r.stderr), `did you mean "gpu"?`)
		assert.Empty(t, r.stdout)
	})
}
