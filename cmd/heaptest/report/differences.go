package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/heapfs/heapfs/cmd/heaptest/judge"
)

// kernels writes the rows in which real kernels differ from each other.
func (r *Report) kernels() string {
	kernels := judge.Kernels(r.Runs)
	columns := []string{"row", "what"}
	for _, k := range kernels {
		columns = append(columns, release(k.Kernel))
	}
	t := newTable(columns...)
	for _, id := range r.Order {
		cells, seen := []string{id, r.what(id)}, map[string]bool{}
		for _, k := range kernels {
			a, tried := k.Answers[id]
			if !tried {
				cells = append(cells, "not tried")
				continue
			}
			seen[a] = true
			cells = append(cells, answer(a))
		}
		if len(seen) > 1 {
			t.row(cells...)
		}
	}
	return t.String()
}

// release cuts what a distribution adds.
func release(s string) string {
	v, _, _ := strings.Cut(s, "+")
	v, _, _ = strings.Cut(v, "-")
	return v
}

// Judged gives the verdicts on a run of heapfs by the records among the runs.
func (r *Report) Judged(run *judge.Run) ([]judge.Line, error) {
	j, err := judge.New(run.Header, r.Runs, r.List, r.Sourced)
	if err != nil {
		return nil, err
	}
	var lines []judge.Line
	for _, id := range r.Order {
		if a, tried := run.Answers[id]; tried {
			lines = append(lines, j.Answer(id, a))
		}
	}
	return lines, nil
}

// Unlisted gives a line of text for every answer of heapfs that neither is the kernel's nor is listed.
func (r *Report) Unlisted() ([]string, error) {
	var found []string
	for _, run := range r.Runs {
		lines, err := r.Judged(run)
		if err != nil {
			return nil, err
		}
		for _, l := range lines {
			if l.Verdict == judge.Fail {
				found = append(found, fmt.Sprintf("%s on %s: %s: %s: got %s, a kernel %s",
					run.As, release(run.Kernel), l.Row, l.Reason, answer(l.Answer), answer(l.Expected)))
			}
		}
	}
	return found, nil
}

// unlisted writes what Unlisted found, as a section of its own, or nothing.
func (r *Report) unlisted() (string, error) {
	found, err := r.Unlisted()
	if err != nil || len(found) == 0 {
		return "", err
	}
	var b strings.Builder
	b.WriteString("\n## Not as listed\n\nThe suite fails with these; they are to be corrected.\n\n")
	for _, f := range slices.Compact(found) {
		b.WriteString("* " + f + "\n")
	}
	return b.String(), nil
}
