package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/cmd/heaptest/answers"
	"github.com/heapfs/heapfs/cmd/heaptest/judge"
	"github.com/heapfs/heapfs/cmd/heaptest/rows"
)

const document = "../../docs/conformance.md"

func records(t *testing.T) []*judge.Run {
	t.Helper()
	runs, err := judge.ReadRuns(answers.Files)
	require.NoError(t, err)
	return runs
}

func TestRowsAreWellFormed(t *testing.T) {
	id := regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
	seen := map[string]bool{}
	for _, r := range rows.All() {
		assert.Regexp(t, id, r.ID)
		assert.False(t, seen[r.ID], "%s is there twice", r.ID)
		assert.NotEmpty(t, r.What, r.ID)
		assert.NotNil(t, r.Try, r.ID)
		seen[r.ID] = true
	}
	_, err := rows.Find("no-such-row")
	assert.ErrorContains(t, err, "no-such-row")
}

// What a kernel answers comes from a record, in every row and for every kernel that is a judge.
func TestEveryRowHasItsRecords(t *testing.T) {
	kernels := judge.Kernels(records(t))
	require.NotEmpty(t, kernels)
	for _, k := range kernels {
		known := map[string]bool{}
		for _, r := range rows.All() {
			known[r.ID] = true
			_, recorded := k.Answers[r.ID]
			_, sourced := judge.Sourced[r.ID]
			assert.True(t, recorded != sourced, "%s: %s must have a record or an answer read from the source, one of both", k.Kernel, r.ID)
		}
		for id := range k.Answers {
			assert.True(t, known[id], "%s: there is no row %s any more: make the record anew", k.Kernel, id)
		}
	}
}

func TestRecordsHaveNoFailuresInThem(t *testing.T) {
	bad := regexp.MustCompile(`set-up:|exit status|no answer|helper: status|^signal:`)
	for _, run := range records(t) {
		assert.NotEmpty(t, run.MadeBy, "%s %s: by which command was it made?", run.As, run.Kernel)
		for id, a := range run.Answers {
			assert.NotRegexp(t, bad, a, "%s %s: %s", run.As, run.Kernel, id)
		}
	}
}

func TestListIsWellFormed(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range judge.List() {
		assert.Regexp(t, `^[NBSUF][1-9][0-9]*$`, d.ID)
		assert.False(t, seen[d.ID], "%s is there twice", d.ID)
		seen[d.ID] = true
		for name, text := range map[string]string{"Kernel": d.Kernel, "Here": d.Here, "Why": d.Why} {
			assert.NotEmpty(t, text, "%s must have %s", d.ID, name)
			assert.NotContains(t, strings.ReplaceAll(text, "[ -c … ]", ""), "|", "%s: %s stands in a table", d.ID, name)
		}
		assert.NotEmpty(t, d.On, "%s must name an export", d.ID)
		assert.True(t, len(d.Rows) > 0 || d.Test != "", "%s must have rows, or name the test that would notice", d.ID)
		for _, e := range d.On {
			assert.True(t, slices.Contains(judge.Exports, e) || e == judge.Kernel && d.Sometimes, "%s: %s", d.ID, e)
		}
		for _, x := range d.Rows {
			_, err := rows.Find(x.Row)
			assert.NoError(t, err, d.ID)
			for _, e := range x.On {
				assert.Contains(t, d.On, e, "%s: %s", d.ID, x.Row)
			}
		}
	}
}

// A test that an entry names must exist: in Go, or as a client.
func TestTestsThatTheListNamesExist(t *testing.T) {
	for _, d := range judge.List() {
		for _, name := range regexp.MustCompile(`Test\w+`).FindAllString(d.Test, -1) {
			assert.True(t, inTests(t, "func "+name+"("), "%s: there is no %s in integration", d.ID, name)
		}
		for _, name := range regexp.MustCompile(`clients/(\w+)`).FindAllStringSubmatch(d.Test, -1) {
			_, err := os.Stat("../../integration/" + name[0] + ".c")
			assert.NoError(t, err, d.ID)
		}
	}
}

func inTests(t *testing.T, text string) bool {
	found := errors.New("found")
	err := filepath.WalkDir("../../integration", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		data, err := os.ReadFile(path)
		if err == nil && bytes.Contains(data, []byte(text)) {
			return found
		}
		return err
	})
	if !errors.Is(err, found) {
		require.NoError(t, err)
	}
	return err != nil
}

// An entry that lists the kernel's own answer could never be noticed as needless; a row with two entries could be either's.
func TestEntriesDifferFromTheKernelAndFromEachOther(t *testing.T) {
	for _, k := range judge.Kernels(records(t)) {
		for _, e := range judge.Exports {
			owner := map[string]string{}
			for _, d := range judge.List() {
				for _, x := range d.Rows {
					if !slices.Contains(d.On, e) || len(x.On) > 0 && !slices.Contains(x.On, e) ||
						k.Version.Before(x.From) || x.Before != (judge.Version{}) && !k.Version.Before(x.Before) {
						continue
					}
					assert.NotEqual(t, k.Answers[x.Row], x.Answer, "%s on %s, %s: %s", d.ID, e, k.Kernel, x.Row)
					assert.Empty(t, owner[x.Row], "%s on %s: %s is another entry's, too", d.ID, e, x.Row)
					owner[x.Row] = d.ID
				}
			}
		}
	}
}

func TestRecordedRunsAreAsListed(t *testing.T) {
	unlisted, err := newReport(records(t)).Unlisted()
	require.NoError(t, err)
	assert.Empty(t, unlisted)
}

func TestDocumentIsGenerated(t *testing.T) {
	var want bytes.Buffer
	require.NoError(t, newReport(records(t)).Write(&want))
	got, err := os.ReadFile(document)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(want.Bytes(), got), "docs/conformance.md is not what \"heaptest report\" writes: run it and look at the difference")
}

// The numbers in the document's header are what a reviewer sees grow.
func TestHeaderHasTheNumbers(t *testing.T) {
	got, err := os.ReadFile(document)
	require.NoError(t, err)
	header := fmt.Sprintf("Deviations: memfd %d rows, udmabuf %d rows, fuse %d rows, fuse-cached %d rows.\n",
		judge.Count(judge.List(), judge.Memfd), judge.Count(judge.List(), judge.Udmabuf), judge.Count(judge.List(), judge.Fuse),
		judge.Count(judge.List(), judge.FuseCached))
	assert.True(t, strings.Contains(string(got), header), "docs/conformance.md must say %q", header)
}
