package report

import (
	"slices"
	"strings"

	"github.com/heapfs/heapfs/cmd/heaptest/judge"
)

// calls writes every row in which an export deviates, with what each kernel answered and what is listed; not by an entry that holds in
// another export, too.
func (r *Report) calls(e, but judge.Export) string {
	t := newTable("row", "what", "a kernel", "heapfs", "listed as")
	told := false
	for _, id := range r.Order {
		for _, d := range r.List {
			if slices.Contains(d.On, but) {
				continue
			}
			var here []string
			for _, x := range d.Rows {
				if x.Row == id && slices.Contains(d.RowsOn(e), id) && slices.Contains(d.On, e) && (len(x.On) == 0 || slices.Contains(x.On, e)) {
					here = append(here, answer(x.Answer)+span(x))
				}
			}
			if len(here) > 0 {
				told = true
				t.row(id, r.what(id), r.kernelAnswers(id), strings.Join(here, "; "), d.ID)
			}
		}
	}
	if !told {
		return "None is listed.\n"
	}
	return t.String()
}

// span says on which kernels a difference shows.
func span(x judge.Difference) string {
	var s string
	if x.From != (judge.Version{}) {
		s += " from " + x.From.String() + " on"
	}
	if x.Before != (judge.Version{}) {
		s += " before " + x.Before.String()
	}
	return s
}

// kernelAnswers gives the answer of the kernels, or of each where they differ.
func (r *Report) kernelAnswers(id string) string {
	if a, ok := r.Sourced[id]; ok {
		return answer(a) + " (source)"
	}
	var versions []string
	by := map[string][]string{}
	for _, k := range judge.Kernels(r.Runs) {
		if a, ok := k.Answers[id]; ok {
			if by[a] == nil {
				versions = append(versions, a)
			}
			by[a] = append(by[a], k.Version.String())
		}
	}
	var parts []string
	for _, a := range versions {
		s := answer(a)
		if len(versions) > 1 {
			s += " (" + strings.Join(by[a], ", ") + ")"
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, "; ")
}
