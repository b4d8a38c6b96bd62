package judge

import "slices"

// Deviation is an entry of the closed list: a difference that something in the kernel forces, with every row in which it shows.
type Deviation struct {
	ID     string // N: of nodes, B: of buffers, S: of sync files
	Kernel string // what a kernel does, for a reader
	Here   string // what heapfs does
	Why    string // the mechanism of the kernel that prevents parity
	On     []Export
	// Unless: the deviation does not hold where this is so.
	Unless Condition
	// Sometimes: the kernel's answer may come too, as chance wills.
	Sometimes bool
	Rows      []Difference
	// Test names a test outside of this suite, where rows cannot try it or do not try all.
	Test string
}

// Condition is something of the machine that heapfs can make use of.
type Condition string

// UdmabufOpens says that /dev/udmabuf is there and may be opened.
const UdmabufOpens Condition = "/dev/udmabuf can be opened"

// Difference is the answer that is expected in one row.
type Difference struct {
	Row    string
	Answer string
	On     []Export // nil: wherever the deviation holds
	From   Version  // the oldest kernel on which it shows; zero: any
	Before Version  // the oldest kernel on which it does not show any more; zero: none
}

// holds reports whether the deviation is to be expected in a run.
func (d *Deviation) holds(h Header) bool {
	return slices.Contains(d.On, h.As) && (d.Unless != UdmabufOpens || !h.Udmabuf)
}

// in gives the difference that is to be expected in a row of a run.
func (d *Deviation) in(row string, h Header, v Version) (Difference, bool) {
	if !d.holds(h) {
		return Difference{}, false
	}
	for _, x := range d.Rows {
		if x.Row != row || len(x.On) > 0 && !slices.Contains(x.On, h.As) {
			continue
		}
		if v.Before(x.From) || x.Before != (Version{}) && !v.Before(x.Before) {
			continue
		}
		return x, true
	}
	return Difference{}, false
}

// Count is the number of deviations of an export.
func Count(list []Deviation, e Export) int {
	n := 0
	for _, d := range list {
		if slices.Contains(d.On, e) {
			n++
		}
	}
	return n
}

// RowsOn names the rows in which the deviation shows in an export.
func (d *Deviation) RowsOn(e Export) []string {
	var ids []string
	for _, x := range d.Rows {
		if (len(x.On) == 0 || slices.Contains(x.On, e)) && !slices.Contains(ids, x.Row) {
			ids = append(ids, x.Row)
		}
	}
	return ids
}
