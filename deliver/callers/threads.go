package callers

import (
	"sync"

	"github.com/heapfs/heapfs/internal/sys"
)

const (
	// maxThreads is how many views are kept between calls at the most: three descriptors each at the most.
	maxThreads = 128
	// threadsShare of the limit of open files is what they may be where that is small.
	threadsShare = 16
)

// View is what Threads keep: a *Thread, or what a door makes of one.
type View interface {
	comparable
	// Number is the thread's.
	Number() int
	// Close gives the view up.
	Close()
}

// Threads keeps the views of recent callers.
type Threads[T View] struct {
	open func(tid int) (T, error)
	max  int
	mu   sync.Mutex
	idle map[int]T
}

// NewThreads keeps views that open makes.
func NewThreads[T View](open func(tid int) (T, error)) *Threads[T] {
	return &Threads[T]{open: open, max: min(maxThreads, max(1, sys.FileLimit()/threadsShare)), idle: map[int]T{}}
}

// Take gives the view of a thread, and whether it was kept from an earlier call and so may be of an ended thread.
func (ts *Threads[T]) Take(tid int) (t T, kept bool, err error) {
	ts.mu.Lock()
	t, kept = ts.idle[tid]
	delete(ts.idle, tid)
	ts.mu.Unlock()
	if kept {
		return t, true, nil
	}
	t, err = ts.open(tid)
	return t, false, err
}

// Put keeps a view for the next call.
func (ts *Threads[T]) Put(t T) {
	var none T
	drop := none
	ts.mu.Lock()
	_, another := ts.idle[t.Number()]
	switch {
	case ts.idle == nil, another: // closed, or one is enough
		drop = t
	default:
		if len(ts.idle) >= ts.max {
			for tid, other := range ts.idle {
				drop = other
				delete(ts.idle, tid)
				break
			}
		}
		ts.idle[t.Number()] = t
	}
	ts.mu.Unlock()
	if drop != none {
		drop.Close()
	}
}

// Close gives up what is kept; from now on Put keeps nothing.
func (ts *Threads[T]) Close() {
	ts.mu.Lock()
	idle := ts.idle
	ts.idle = nil
	ts.mu.Unlock()
	for _, t := range idle {
		t.Close()
	}
}
