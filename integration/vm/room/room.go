// Package room gives out this machine's processors to virtual machines.
package room

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// Room is processors. Those that want the most of them get them first, and among equals those that may take the longest: none of these is
// to be left alone at the end.
type Room struct {
	mu      sync.Mutex
	all     int
	free    int
	waiting []*claim // the next one first
}

type claim struct {
	cpus  int
	limit time.Duration
	given chan struct{} // closed when they are
}

// New is a room of n processors.
func New(n int) *Room { return &Room{all: n, free: n} }

// Take waits for cpus processors, all of them if there are fewer. limit is how long they may be kept; nothing enforces it. The caller calls
// release once.
func (r *Room) Take(cpus int, limit time.Duration) (release func()) {
	c := r.ask(cpus, limit)
	<-c.given
	return func() { r.release(c) }
}

func (r *Room) ask(cpus int, limit time.Duration) *claim {
	c := &claim{cpus: min(cpus, r.all), limit: limit, given: make(chan struct{})}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = append(r.waiting, c)
	slices.SortStableFunc(r.waiting, func(a, b *claim) int {
		return cmp.Or(cmp.Compare(b.cpus, a.cpus), cmp.Compare(b.limit, a.limit))
	})
	r.give()
	return c
}

func (r *Room) release(c *claim) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.free += c.cpus
	r.give()
}

// give serves the waiting as long as the first of them finds enough. Nobody overtakes it: it would wait for ever.
func (r *Room) give() {
	for len(r.waiting) > 0 && r.waiting[0].cpus <= r.free {
		r.free -= r.waiting[0].cpus
		close(r.waiting[0].given)
		r.waiting = r.waiting[1:]
	}
}
