package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/heapfs/heapfs/cmd/heaptest/answers"
	"github.com/heapfs/heapfs/cmd/heaptest/judge"
	"github.com/heapfs/heapfs/cmd/heaptest/report"
	"github.com/heapfs/heapfs/cmd/heaptest/rows"
)

// newReport makes the report of runs.
func newReport(runs []*judge.Run) *report.Report {
	r := &report.Report{Runs: runs, List: judge.List(), Sourced: judge.Sourced, What: map[string]string{}}
	for _, row := range rows.All() {
		r.What[row.ID] = row.What
		r.Order = append(r.Order, row.ID)
	}
	return r
}

// writeReport writes docs/conformance.md from the runs that are named, or from those that this program carries.
func writeReport(paths []string, out io.Writer) int {
	runs, err := readRuns(paths)
	if err != nil {
		return complain(err)
	}
	r := newReport(runs)
	if err := r.Write(out); err != nil {
		return complain(fmt.Errorf("report: %w", err))
	}
	unlisted, err := r.Unlisted()
	if err != nil {
		return complain(fmt.Errorf("report: %w", err))
	}
	for _, u := range unlisted {
		fmt.Fprintln(os.Stderr, "FAIL", u)
	}
	if len(unlisted) > 0 {
		return statusFail
	}
	return statusOK
}

func readRuns(paths []string) ([]*judge.Run, error) {
	if len(paths) == 0 {
		return judge.ReadRuns(answers.Files)
	}
	var runs []*judge.Run
	for _, p := range paths {
		f, err := os.Open(p)
		if err != nil {
			return nil, fmt.Errorf("report: %w", err)
		}
		run, err := judge.ReadRun(f, p)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("report: %w", err)
		}
		runs = append(runs, run)
	}
	slices.SortStableFunc(runs, func(a, b *judge.Run) int { return a.Version.Compare(b.Version) })
	if len(judge.Kernels(runs)) == 0 {
		return nil, errors.New("report: no run on a kernel's own heap is among the files")
	}
	return runs, nil
}
