package fuzz

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Quotas that a run must reach.
const (
	minShare = 3  // percent of the operations that each kind must be
	minRow   = 20 // times that each required refusal must be met
)

// Stats counts what a run did.
type Stats struct {
	Sequences int
	Ops       int
	Kinds     [kinds]int
	Done      [kinds]int // of these, with a success on the left side
	Skipped   int
	Rows      map[string]int
	Excused   map[string]int
}

func newStats() *Stats { return &Stats{Rows: map[string]int{}, Excused: map[string]int{}} }

// add counts a sequence by the left side's answers. What could not be done is no operation.
func (s *Stats) add(ops []Op, left []Result) {
	s.Sequences++
	for i := range ops {
		if ops[i].Kind == KindEnd {
			continue
		}
		if left[i].Code == codeSkipped {
			s.Skipped++
			continue
		}
		s.Ops++
		s.Kinds[ops[i].Kind]++
		if left[i].Code >= 0 {
			s.Done[ops[i].Kind]++
		}
		if row := rowOf(&ops[i], &left[i]); row != "" {
			s.Rows[row]++
		}
	}
}

// Unmet are the quotas that the run missed, a line each.
func (s *Stats) Unmet(rules []excuse) []string {
	var lines []string
	for k, n := range s.Kinds {
		if n*100 < minShare*s.Ops {
			lines = append(lines, fmt.Sprintf("operation %q: %d of %d, below %d %%", Kind(k), n, s.Ops, minShare))
		}
	}
	for _, row := range required {
		if s.Rows[row] < minRow {
			lines = append(lines, fmt.Sprintf("refusal %q: met %d times, not %d", row, s.Rows[row], minRow))
		}
	}
	for _, rule := range rules {
		line := fmt.Sprintf("excuse %s: never needed; either nothing asks for it or docs/conformance.md has a row too many", rule.row)
		if !rule.rare && s.Excused[rule.row] == 0 && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return lines
}

// Print writes the table.
func (s *Stats) Print(w io.Writer) {
	fmt.Fprintf(w, "%d operations in %d sequences, %d left out because what they need had failed\n", s.Ops, s.Sequences, s.Skipped)
	fmt.Fprintf(w, "%-12s %7s %7s %9s\n", "operation", "times", "share", "succeeded")
	for k, n := range s.Kinds {
		fmt.Fprintf(w, "%-12s %7d %6.1f%% %8.0f%%\n", Kind(k), n, percent(n, s.Ops), percent(s.Done[k], n))
	}
	fmt.Fprintf(w, "%-50s %7s\n", "refusal (* must be met at least 20 times)", "times")
	for _, row := range sortedKeys(s.Rows, required) {
		mark := ' '
		if slices.Contains(required, row) {
			mark = '*'
		}
		fmt.Fprintf(w, "%c %-48s %7d\n", mark, row, s.Rows[row])
	}
	var rows []string
	for _, row := range sortedKeys(s.Excused, nil) {
		rows = append(rows, fmt.Sprintf("%s %d", row, s.Excused[row]))
	}
	fmt.Fprintf(w, "excused by docs/conformance.md: %s\n", strings.Join(rows, ", "))
}

func percent(n, of int) float64 {
	if of == 0 {
		return 0
	}
	return 100 * float64(n) / float64(of)
}

func sortedKeys(m map[string]int, more []string) []string {
	keys := slices.Clone(more)
	for k := range m {
		if !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}
