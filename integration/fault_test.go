package integration

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// answers runs hold with faults and gives what each ALLOC ended with: "buffer", or the errno's name.
func answers(t *testing.T, who leg, faults []string, heap, size, count string) []string {
	t.Helper()
	args := []string{"run"}
	for _, fault := range faults {
		args = append(args, "--fault", fault)
	}
	r := heapfs(t, who, options{}, append(args, "--", client("hold"), heap, size, count)...)
	require.Equal(t, 0, r.status)
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
	require.Equal(t, "ready", lines[len(lines)-1])
	lines = lines[:len(lines)-1]
	for i, line := range lines {
		if strings.HasPrefix(line, "buffer ") {
			lines[i] = "buffer"
		}
		lines[i] = strings.TrimPrefix(lines[i], "error ")
	}
	return lines
}

// want makes a list of n successes, with the errno at the given places, counted from 1.
func want(n int, errno string, at ...int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = "buffer"
	}
	for _, i := range at {
		list[i-1] = errno
	}
	return list
}

func TestFaultsOnDemand(t *testing.T) {
	tests := []struct {
		name   string
		faults []string
		heap   string
		n      string
		want   []string
	}{
		{"none", nil, "system", "5", want(5, "")},
		{"the third", []string{"system:alloc=ENOMEM@3"}, "system", "5", want(5, "ENOMEM", 3)},
		{"each tenth", []string{"system:alloc=ENOMEM@every=10"}, "system", "21", want(21, "ENOMEM", 10, 20)},
		{"each one", []string{"system:alloc=EINTR"}, "system", "3", want(3, "EINTR", 1, 2, 3)},
		{"two faults", []string{"system:alloc=EINTR@1", "system:alloc=EMFILE@2"}, "system", "3", []string{"EINTR", "buffer", "EMFILE"}},
		{"another heap", []string{"linux,cma:alloc=ENOMEM"}, "system", "3", want(3, "")},
		{"a name with a comma", []string{"linux,cma:alloc=ENOMEM@2"}, "linux,cma", "3", want(3, "ENOMEM", 2)},
		{"every heap", []string{"*:alloc=ENOMEM@1"}, "default_cma_region", "2", want(2, "ENOMEM", 1)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			legs(t, func(t *testing.T, who leg) {
				got := answers(t, who, tt.faults, tt.heap, "4096", tt.n)
				if tt.name == "two faults" {
					// Whether an ALLOC that failed counts for the next fault is not specified: three tries, two failures.
					assert.ElementsMatch(t, tt.want, got)
					return
				}
				assert.Equal(t, tt.want, got)
			})
		})
	}
}

func TestFaultIsSeenInTheEvents(t *testing.T) {
	legs(t, func(t *testing.T, who leg) {
		file := filepath.Join(ownDir(t), "events.jsonl")
		r := heapfs(t, who, options{}, "run", "--fault", "system:alloc=ENOMEM@2", "--events", file, "--", client("hold"), "system", "4096", "3")
		require.Equal(t, 0, r.status)
		lines := readEvents(t, file)
		checkEvents(t, who, lines)
		assert.Equal(t, 1, count(lines, "alloc_failed"))
		for _, line := range lines {
			if line.Event == "alloc_failed" {
				assert.Equal(t, "ENOMEM", line.Errno)
				assert.Contains(t, line.Reason, "fault")
			}
		}
	})
}

func TestDelayIsWaitedFor(t *testing.T) {
	legs(t, func(t *testing.T, who leg) {
		began := time.Now()
		answers(t, who, []string{"system:delay=100ms"}, "system", "4096", "5")
		assert.GreaterOrEqual(t, time.Since(began), 500*time.Millisecond) // a lower bound only
	})
}

// A fragmented pool refuses a long run though its total would do, and its pieces are the same for the same seed.
func TestFragmentedPool(t *testing.T) {
	layout := func(t *testing.T, who leg, seed string) []extent {
		t.Helper()
		file := filepath.Join(ownDir(t), "events.jsonl")
		r := heapfs(t, who, options{}, "run", "--fault", "linux,cma:fragment="+seed, "--events", file,
			"--", client("hold"), "linux,cma", "65536", "20")
		require.Equal(t, 0, r.status)
		var extents []extent
		for _, line := range readEvents(t, file) {
			if line.Event == "alloc" {
				require.Len(t, line.Extents, 1, "contiguous all the same")
				extents = append(extents, line.Extents...)
			}
		}
		require.Len(t, extents, 20)
		return extents
	}
	legs(t, func(t *testing.T, who leg) {
		const half = "134217728"
		assert.Equal(t, []string{"buffer"}, answers(t, who, nil, "linux,cma", half, "1"))
		assert.Equal(t, []string{"ENOMEM"}, answers(t, who, []string{"linux,cma:fragment=7"}, "linux,cma", half, "1"))
		seven := layout(t, who, "7")
		assert.Equal(t, seven, layout(t, who, "7"))
		assert.NotEqual(t, seven, layout(t, who, "8"))
	})
}

func TestMalformedFaultIsOneClearLine(t *testing.T) {
	for _, spec := range []string{
		"", "system", "system:", "system:alloc", "system:alloc=EWHAT", "system:alloc=ENOMEM@", "system:alloc=ENOMEM@0",
		"system:alloc=ENOMEM@every=0", "system:delay=soon", "system:delay=-1s", "system:fragment=x", "system:melt=1", ":alloc=ENOMEM",
		"no-such-heap:alloc=ENOMEM",
	} {
		t.Run(spec, func(t *testing.T) {
			t.Parallel()
			legs(t, func(t *testing.T, who leg) {
				r := heapfs(t, who, options{stderrWanted: true}, "run", "--fault", spec, "--", "echo", "ran")
				assert.Equal(t, 125, r.status)
				assert.Empty(t, r.stdout, "the command must not run")
				assert.Contains(t, oneLine(t, r.stderr), "fault")
			})
		})
	}
}
