package main

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"

	"golang.org/x/sys/unix"
)

// measured sums up the rounds: the median of their medians and of their means, and the best sample of all. The mean has what a
// median hides: collections, refills, and what else the machine had to do.
type measured struct {
	Median float64 `json:"median"`
	Mean   float64 `json:"mean"`
	Best   float64 `json:"best"`
}

func (m measured) plus(o measured) measured {
	return measured{Median: m.Median + o.Median, Mean: m.Mean + o.Mean, Best: m.Best + o.Best}
}

// How a figure and its floor are compared.
const (
	times = "ratio"
	more  = "difference"
)

// target is what a figure should be. Without a bound it is only told.
type target struct {
	How   string   `json:"how"` // ratio or difference, in the figure's unit
	Most  *float64 `json:"at_most,omitempty"`
	Least *float64 `json:"at_least,omitempty"`
}

func atMost(how string, bound float64) target  { return target{How: how, Most: &bound} }
func atLeast(how string, bound float64) target { return target{How: how, Least: &bound} }

// figure is one row.
type figure struct {
	Name    string              `json:"name"`
	Unit    string              `json:"unit"`
	Value   measured            `json:"value"`
	Floor   measured            `json:"floor"`
	FloorIs string              `json:"floor_is"`
	Parts   map[string]measured `json:"floor_parts,omitempty"`
	Target  target              `json:"target"`
}

type result struct {
	Kernel  string   `json:"kernel"`
	CPUs    int      `json:"cpus"`
	Rounds  int      `json:"rounds"`
	Figures []figure `json:"figures"`
}

// compared is a figure against its floor, and the target in words.
func (f figure) compared() (is, should string) {
	value, sign, unit := f.Value.Median-f.Floor.Median, "+", " "+f.Unit
	if f.Target.How == times {
		value, sign, unit = f.Value.Median/f.Floor.Median, "× ", ""
	}
	switch {
	case f.Target.Most != nil:
		should = fmt.Sprintf("≤ %g%s", *f.Target.Most, unit)
	case f.Target.Least != nil:
		should = fmt.Sprintf("≥ %g%s", *f.Target.Least, unit)
	default:
		should = "–"
	}
	if sign == "+" && value < 0 {
		sign = ""
	}
	return fmt.Sprintf("%s%.2f%s", sign, value, unit), should
}

func (r result) print(w io.Writer) error {
	var rows strings.Builder
	rows.WriteString("FIGURE\tMEDIAN\tMEAN\tBEST\tFLOOR\tAGAINST IT\tTARGET\tTHE FLOOR IS\n")
	for _, f := range r.Figures {
		is, should := f.compared()
		fmt.Fprintf(&rows, "%s\t%.2f %s\t%.2f\t%.2f\t%.2f\t%s\t%s\t%s\n",
			f.Name, f.Value.Median, f.Unit, f.Value.Mean, f.Value.Best, f.Floor.Median, is, should, f.FloorIs)
	}
	_, err := fmt.Fprintf(w, "Linux %s, %d CPUs, medians of %d rounds in which figure and floor take turns\n\n", r.Kernel, r.CPUs, r.Rounds)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if _, err := io.WriteString(t, rows.String()); err != nil {
		return err
	}
	return t.Flush()
}

// records are the rounds of each series, by name.
type records map[string][]series

func (r records) add(name string, s series) { r[name] = append(r[name], s) }

// of sums up a series; unit is its length in nanoseconds.
func (r records) of(name string, unit float64) measured {
	var columns [3][]float64
	for _, s := range r[name] {
		for i := range columns {
			columns[i] = append(columns[i], s[i]/unit)
		}
	}
	return measured{Median: median(columns[0]), Mean: median(columns[1]), Best: slices.Min(columns[2])}
}

// speed is how fast size bytes were gone through, in GB/s.
func (r records) speed(name string, size float64) measured {
	m := r.of(name, 1)
	return measured{Median: size / m.Median, Mean: size / m.Mean, Best: size / m.Best}
}

func median(v []float64) float64 {
	slices.Sort(v)
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

func cpus() int { return runtime.NumCPU() }

func kernel() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Release[:])
}
