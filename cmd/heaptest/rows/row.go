package rows

import (
	"fmt"
	"sync"
)

// Row is one behaviour. Its answer is a line of text, the same on every machine where the behaviour is the same: descriptors
// are told by their place ("lowest"), sizes in bytes, errnos by name.
type Row struct {
	ID    string // stable, lower case with dashes; answers are recorded under it
	What  string // what is asked, for a reader
	Needs Need
	Try   func(c *Case) string
	// Plain rows may be tried in one process, one after the other, if the descriptors that each opened are closed after it.
	Plain bool
}

// Need is what a row needs of the machine. Where it lacks, the row is not tried.
type Need string

// The needs that rows have.
const (
	NeedNothing   Need = ""
	NeedRoot      Need = "root"           // user id 0
	NeedProtected Need = "protected heap" // a heap node "protected,secure-video"
	NeedBounded   Need = "bounded heap"   // one that refuses what it can't hold; a kernel's system heap kills the caller instead
)

// All gives every row, in the order in which they are tried and printed.
var All = sync.OnceValue(func() []Row {
	var all []Row
	for _, s := range subjects {
		rows := s.make()
		for i := range rows {
			rows[i].Plain = s.plain
		}
		all = append(all, rows...)
	}
	return all
})

// Find gives the row of an ID.
func Find(id string) (Row, error) {
	for _, r := range All() {
		if r.ID == id {
			return r, nil
		}
	}
	return Row{}, fmt.Errorf("row %q: there is none", id)
}
