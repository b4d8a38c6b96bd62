// Package stock keeps things ready that take longer to make than they may when they are wanted.
package stock

import (
	"log/slog"
	"sync"
)

// first is how many things of a size are made at first. Each time that they run low, twice as many are kept: who makes them is woken seldom while
// one size is in use, and whoever changes sizes all the time has few made in vain.
const first = 8

// Sized keeps things of one size ready. Programs ask for the same size again and again, as a rule, so it is the size that was asked
// for twice in a row. All of its methods may be called from any goroutine.
type Sized[T any] struct {
	make func(size uint64) (T, error)
	drop func(T)
	max  int
	low  chan struct{} // it wants to be filled
	stop chan struct{}
	done chan struct{}

	mu     sync.Mutex // of what follows
	ready  []T        // all of the size of
	of     uint64
	goal   int    // how many of them there are to be
	last   uint64 // the size that was asked for last
	wanted uint64 // the size that was asked for twice in a row, 0 for none
}

// NewSized keeps at most max things. They are made by make, from a goroutine that Close ends; an error of make's ends the work until
// the next one is taken. drop takes those that nobody asked for.
func NewSized[T any](max int, make func(size uint64) (T, error), drop func(T)) *Sized[T] {
	s := &Sized[T]{make: make, drop: drop, max: max, goal: min(first, max), low: newSignal(), stop: newSignal(), done: newSignal()}
	go s.fill()
	return s
}

func newSignal() chan struct{} { return make(chan struct{}, 1) }

// Close drops what lies ready. Nothing is made any more.
func (s *Sized[T]) Close() {
	close(s.stop)
	<-s.done
	s.Drop()
}

// Take gives a thing of that size, which is the taker's own, if there is one.
func (s *Sized[T]) Take(size uint64) (T, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == size && s.wanted != size {
		s.wanted = size
		s.want()
	}
	s.last = size
	var none T
	if s.of != size {
		return none, false
	}
	if s.isLow() {
		s.want()
	}
	if len(s.ready) == 0 {
		return none, false
	}
	last := len(s.ready) - 1
	v := s.ready[last]
	s.ready[last] = none
	s.ready = s.ready[:last]
	return v, true
}

// isLow is whether what is ready will not last. s.mu is held.
func (s *Sized[T]) isLow() bool { return len(s.ready) <= (s.goal+3)/4 }

func (s *Sized[T]) want() {
	select {
	case s.low <- struct{}{}:
	default: // asked already
	}
}

// Drop gives up what lies ready, and says how much that was. More is made when a size is asked for twice in a row again.
func (s *Sized[T]) Drop() int { return s.turnTo(0) }

// turnTo drops what is ready; from now on things of another size are kept, none for 0.
func (s *Sized[T]) turnTo(size uint64) int {
	s.mu.Lock()
	drop := s.ready
	s.ready, s.of, s.wanted, s.goal = nil, size, size, min(first, s.max)
	s.mu.Unlock()
	for _, v := range drop {
		s.drop(v)
	}
	return len(drop)
}

func (s *Sized[T]) fill() {
	defer close(s.done)
	for {
		select {
		case <-s.stop:
			return
		case <-s.low:
		}
		s.raise()
		for s.add() {
			select {
			case <-s.stop:
				return
			default:
			}
		}
	}
}

// raise has more kept of a size that has run low.
func (s *Sized[T]) raise() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wanted == s.of && s.isLow() {
		s.goal = min(2*s.goal, s.max)
	}
}

// add makes one more. False if it could not, or there is nothing more to do.
func (s *Sized[T]) add() bool {
	s.mu.Lock()
	size, change, full := s.wanted, s.wanted != s.of, len(s.ready) >= s.goal
	s.mu.Unlock()
	switch {
	case change:
		s.turnTo(size)
	case full:
		return false
	}
	if size == 0 {
		return false
	}
	v, err := s.make(size)
	if err != nil {
		slog.Debug("nothing is made ready", "error", err)
		return false
	}
	s.mu.Lock()
	stale := s.of != size // dropped meanwhile
	if !stale {
		s.ready = append(s.ready, v)
	}
	s.mu.Unlock()
	if stale {
		s.drop(v)
	}
	return true
}
