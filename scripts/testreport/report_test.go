package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// stream writes events as go test -json does: action, package, test, output.
func stream(events ...[4]string) string {
	var b strings.Builder
	for _, e := range events {
		fmt.Fprintf(&b, `{"Action":%q,"Package":%q,"Test":%q,"Output":%q}`+"\n", e[0], e[1], e[2], e[3])
	}
	return b.String()
}

func TestReportJudgesARun(t *testing.T) {
	skipped := func(message string) string {
		return stream(
			[4]string{"start", "p", "", ""},
			[4]string{"run", "p", "TestA", ""},
			[4]string{"output", "p", "TestA", "    a_test.go:7: kernel lacks: said in a mere log line\n"},
			[4]string{"output", "p", "TestA", "    a_test.go:9: " + message + "\n"},
			[4]string{"output", "p", "TestA", "--- SKIP: TestA (0.00s)\n"},
			[4]string{"skip", "p", "TestA", ""},
			[4]string{"output", "p", "", "ok  \tp\t0.1s\n"},
			[4]string{"pass", "p", "", ""},
		)
	}
	tests := []struct {
		name   string
		in     string
		ci     bool
		ok     bool
		last   string
		prints []string
	}{
		{
			name: "nothing ran",
			in:   "",
			last: "0 passed, 0 failed, 0 skipped",
		},
		{
			name: "a package without tests is not a run",
			in:   stream([4]string{"start", "p", "", ""}, [4]string{"output", "p", "", "?   \tp\t[no test files]\n"}, [4]string{"skip", "p", "", ""}),
			last: "0 passed, 0 failed, 0 skipped",
		},
		{
			name: "a failed test says everything",
			in: stream(
				[4]string{"run", "p", "TestA", ""},
				[4]string{"output", "p", "TestA", "    a_test.go:3: wanted 1, got 2\n"},
				[4]string{"fail", "p", "TestA", ""},
				[4]string{"run", "p", "TestB", ""},
				[4]string{"output", "p", "TestB", "quiet, as it passes\n"},
				[4]string{"pass", "p", "TestB", ""},
				[4]string{"output", "p", "", "FAIL\tp\t0.1s\n"},
				[4]string{"fail", "p", "", ""},
			),
			last:   "1 passed, 1 failed, 0 skipped",
			prints: []string{"wanted 1, got 2", "FAIL\tp\t0.1s", "FAILED p TestA"},
		},
		{
			name: "a package that fails with all tests passed is a failure",
			in: stream(
				[4]string{"run", "p", "TestA", ""},
				[4]string{"pass", "p", "TestA", ""},
				[4]string{"output", "p", "", "leaked a descriptor\n"},
				[4]string{"fail", "p", "", ""},
			),
			last:   "1 passed, 1 failed, 0 skipped",
			prints: []string{"leaked a descriptor", "FAILED p\n"},
		},
		{
			name: "a test that a time-out ended is a failure",
			in: stream(
				[4]string{"run", "p", "TestA", ""},
				[4]string{"output", "p", "TestA", "panic: test timed out\n"},
				[4]string{"output", "p", "", "FAIL\tp\t600s\n"},
				[4]string{"fail", "p", "", ""},
			),
			last:   "0 passed, 1 failed, 0 skipped",
			prints: []string{"panic: test timed out", "--- FAIL: p TestA: did not end", "FAIL\tp\t600s"},
		},
		{
			name:   "a stream that breaks off is a failure",
			in:     stream([4]string{"start", "p", "", ""}, [4]string{"run", "p", "TestA", ""}),
			last:   "0 passed, 2 failed, 0 skipped",
			prints: []string{"p TestA: did not end"},
		},
		{
			name:   "what the compiler said is printed",
			in:     `{"ImportPath":"p","Action":"build-output","Output":"p/a.go:1: syntax error\n"}` + "\n" + stream([4]string{"start", "p", "", ""}, [4]string{"fail", "p", "", ""}),
			last:   "0 passed, 1 failed, 0 skipped",
			prints: []string{"p/a.go:1: syntax error"},
		},
		{
			name:   "a line that is not JSON is printed",
			in:     "go: warning\n{not json\n" + skipped("kernel lacks: udmabuf"),
			ok:     true,
			last:   "0 passed, 0 failed, 1 skipped",
			prints: []string{"go: warning\n", "{not json\n"},
		},
		{
			name:   "a skip is accepted outside CI",
			in:     skipped("needs root: sudo make test"),
			ok:     true,
			last:   "0 passed, 0 failed, 1 skipped",
			prints: []string{"--- SKIP: p TestA: needs root: sudo make test", "ok  \tp\t0.1s"},
		},
		{
			name:   "a skip fails CI",
			in:     skipped("needs root: sudo make test"),
			ci:     true,
			last:   "0 passed, 0 failed, 1 skipped",
			prints: []string{"SKIPPED p TestA: needs root: sudo make test"},
		},
		{
			name: "a skip for what the kernel lacks passes CI",
			in:   skipped("kernel lacks: FUSE passthrough (6.9)"),
			ci:   true,
			ok:   true,
			last: "0 passed, 0 failed, 1 skipped",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			r := newReport(&out, tt.ci)
			require.NoError(t, r.read(strings.NewReader(tt.in)))
			assert.Equal(t, tt.ok, r.finish())
			assert.True(t, strings.HasSuffix(out.String(), "\n"+tt.last+"\n"), "closing line of:\n%s", out.String())
			for _, want := range tt.prints {
				assert.Contains(t, out.String(), want)
			}
			assert.NotContains(t, out.String(), "quiet, as it passes")
		})
	}
}

func TestSkipReasonIsTheLastMessage(t *testing.T) {
	for output, want := range map[string]string{
		"":                          "no reason given",
		"--- SKIP: TestA (0.00s)\n": "no reason given",
		"    a_test.go:1: one\n        a_test.go:2: two\n":         "two",
		"    a_test.go:1: first line\n        and a second\n":      "first line",
		"a_test.go:1: not indented, so printed by the test itself": "no reason given",
	} {
		assert.Equal(t, want, skipReason(output), "%q", output)
	}
}

func TestTotalsOfSeveralRunsGather(t *testing.T) {
	path := filepath.Join(t.TempDir(), "totals")
	r := newReport(&strings.Builder{}, false)
	r.passed, r.skipped = 3, 1
	require.NoError(t, r.appendTotals(path))
	require.NoError(t, r.appendTotals(path))
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "3 0 1\n3 0 1\n", string(got))

	err = r.appendTotals(filepath.Join(path, "below-a-file"))
	require.ErrorContains(t, err, "test totals")
}
