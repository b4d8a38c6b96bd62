package report

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/cmd/heaptest/judge"
)

func run(as judge.Export, release string, answers map[string]string) *judge.Run {
	v, err := judge.ParseVersion(release)
	if err != nil {
		panic(err)
	}
	return &judge.Run{Header: judge.Header{As: as, Kernel: release, MadeBy: "heaptest --record"}, Version: v, Answers: answers}
}

func small(heapfs map[string]string) *Report {
	return &Report{
		Order: []string{"seek", "stat", "poll"},
		What:  map[string]string{"seek": "lseek to 8", "stat": "st_size", "poll": "poll for in|out"},
		Runs: []*judge.Run{
			run(judge.Kernel, "6.12.117+deb12", map[string]string{"seek": "EINVAL", "stat": "12288", "poll": "in|out"}),
			run(judge.Kernel, "7.3.4+deb13", map[string]string{"seek": "EINVAL", "stat": "12288", "poll": "in"}),
			run(judge.Memfd, "6.12.117+deb12", heapfs),
		},
		List: []judge.Deviation{{
			ID: "B1", Kernel: "no seeking", Here: "seeking", Why: "shmem's llseek", On: []judge.Export{judge.Memfd}, Test: "TestSeek",
			Rows: []judge.Difference{{Row: "seek", Answer: "8"}},
		}},
	}
}

func written(t *testing.T, r *Report) string {
	t.Helper()
	var b strings.Builder
	require.NoError(t, r.Write(&b))
	return b.String()
}

func TestDifferenceThatIsNotListedIsTold(t *testing.T) {
	r := small(map[string]string{"seek": "8", "stat": "0", "poll": "in|out"})
	unlisted, err := r.Unlisted()
	require.NoError(t, err)
	assert.Equal(t, []string{"memfd on 6.12.117: stat: differs from the kernel and is not listed: got `0`, a kernel `12288`"}, unlisted)
	assert.Contains(t, written(t, r), "## Not as listed")
}

func TestNeedlessEntryIsTold(t *testing.T) {
	unlisted, err := small(map[string]string{"seek": "EINVAL"}).Unlisted()
	require.NoError(t, err)
	require.Len(t, unlisted, 1)
	assert.Contains(t, unlisted[0], "needless")
}

func TestDocumentHasTheListTheNumbersAndTheKernels(t *testing.T) {
	r := small(map[string]string{"seek": "8", "stat": "12288", "poll": "in|out"})
	unlisted, err := r.Unlisted()
	require.NoError(t, err)
	assert.Empty(t, unlisted)
	doc := written(t, r)
	assert.NotContains(t, doc, "## Not as listed")
	for _, want := range []string{
		"Deviations: memfd 1 rows, udmabuf 0 rows, fuse 0 rows, fuse-cached 0 rows.",
		"| B1 | no seeking | seeking | shmem's llseek | heaptest: `seek`; TestSeek |",
		"| seek | lseek to 8 | `EINVAL` | `8` | B1 |",
		"| row | what | 6.12.117 | 7.3.4 |",
		"| poll | poll for in∣out | `in∣out` | `in` |",
		"| kernel | 6.12.117+deb12 | user | no | 3 | `heaptest --record` |",
	} {
		assert.Contains(t, doc, want)
	}
	assert.NotContains(t, doc, "| stat |", "kernels agree, and nothing deviates")
}

func TestSpanOfADifference(t *testing.T) {
	assert.Empty(t, span(judge.Difference{}))
	assert.Equal(t, " from 6.18 on before 7.3", span(judge.Difference{From: judge.Version{Major: 6, Minor: 18}, Before: judge.Version{Major: 7, Minor: 3}}))
}
