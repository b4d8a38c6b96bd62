package doctor

import (
	"context"
	"fmt"
	"io"
	"strings"

	"golang.org/x/sys/unix"
)

// Result is the outcome of one probe.
type Result struct {
	// Name is the probe's stable name, for instance "seccomp-listener".
	Name string `json:"name"`
	// OK reports that the thing was done.
	OK bool `json:"ok"`
	// Needed reports that `heapfs run` does not work without it, for the
	// user who asked.
	Needed bool `json:"needed"`
	// Unknown reports that the probe could not be made (out of descriptors,
	// of memory, of time). OK is then false and Detail has the reason.
	Unknown bool `json:"unknown,omitempty"`
	// Detail is what was seen: one line.
	Detail string `json:"detail"`
	// For is what heapfs uses it for.
	For string `json:"for"`
	// Since is the first kernel with the feature, empty when it is not the
	// kernel's.
	Since string `json:"since,omitempty"`
	// Hint is how to get it, one line; empty when OK.
	Hint string `json:"hint,omitempty"`
}

// Report is what `heapfs doctor --json` prints.
type Report struct {
	// Run reports that `heapfs run` works for this user on this machine.
	Run bool `json:"run"`
	// Kernel is the release that uname(2) gives, for the reader only.
	Kernel string   `json:"kernel"`
	Probes []Result `json:"probes"`
}

// Check makes all probes, one after the other, each within the time limit, and
// never fails: what went wrong is in the results. The program must have called
// MaybeChild first thing.
func Check(ctx context.Context) Report {
	h := readHost("/")
	found := make(map[string]finding)
	for _, try := range groups {
		for _, f := range try(ctx, h) {
			found[f.Name] = f
		}
	}

	report := Report{Run: true, Kernel: kernelRelease()}
	for _, s := range catalogue {
		f, ok := found[s.name]
		if !ok {
			f = unknown(s.name, "the probe gave no answer")
		}
		r := s.result(h, f)
		if r.Needed && !r.OK {
			report.Run = false
		}
		report.Probes = append(report.Probes, r)
	}
	return report
}

// Missing is the first needed thing that does not work, nil when Run is true.
func (r Report) Missing() *Result {
	for i := range r.Probes {
		if r.Probes[i].Needed && !r.Probes[i].OK {
			return &r.Probes[i]
		}
	}
	return nil
}

// WriteText writes the report for people: one line a probe (ok; no: needed and
// missing; --: missing, `run` does without), the hints, the verdict.
func (r Report) WriteText(w io.Writer) error {
	var b strings.Builder
	for _, p := range r.Probes {
		fmt.Fprintf(&b, "%-3s %-24s %s%s\n", p.mark(), p.Name, p.Detail, p.aside())
	}
	b.WriteByte('\n')
	hints := false
	for _, p := range r.Probes {
		if p.Hint != "" {
			fmt.Fprintf(&b, "%s: %s\n", p.Name, p.Hint)
			hints = true
		}
	}
	if hints {
		b.WriteByte('\n')
	}
	if m := r.Missing(); m != nil {
		fmt.Fprintf(&b, "run: does not work: %s: %s\n", m.Name, m.Detail)
	} else {
		b.WriteString("run: works\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r Result) mark() string {
	switch {
	case r.OK:
		return "ok"
	case r.Needed:
		return "no"
	default:
		return "--"
	}
}

// aside is what the table adds to a missing thing: its kernel and, when `run`
// does without it, what it is for.
func (r Result) aside() string {
	if r.OK {
		return ""
	}
	var parts []string
	if r.Since != "" {
		parts = append(parts, "since Linux "+r.Since)
	}
	if !r.Needed {
		parts = append(parts, "for "+r.For)
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, "; ") + ")"
}

func kernelRelease() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Release[:])
}
