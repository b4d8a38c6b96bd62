package events

import (
	"context"
	"fmt"
	"io"
	"slices"
)

// Subscription reads a stream at its own pace. It has no queue: it is a
// position in the stream's backlog, so that a subscriber that stops reading
// costs nothing and loses what the backlog forgets. One goroutine at a time
// may use a subscription.
type Subscription struct {
	stream *Stream
	next   uint64        // number of the event to read next, guarded by stream.mu
	ready  chan struct{} // holds a token when there may be something to read
}

// Subscribe returns a reader of the events from number fromSeq on: what the
// backlog has of them, then the live ones. 0 means from the oldest event that
// is kept, 1 from the first event of the instance (with a Lost event for what
// is no longer kept). The caller must Close it.
func (s *Stream) Subscribe(fromSeq uint64) *Subscription {
	sub := &Subscription{stream: s, next: fromSeq, ready: make(chan struct{}, 1)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if fromSeq == 0 {
		sub.next = s.ring.first
	}
	s.subs = append(s.subs, sub)
	return sub
}

// Next returns the next event and waits for it if need be. The error is io.EOF
// after the last event of a closed stream, or that of ctx; what can be had
// without waiting is returned even when ctx is done.
//
// Events that were lost are told by one event of kind Lost with reason
// "N events" and the number of the last one lost.
func (u *Subscription) Next(ctx context.Context) (Event, error) {
	for {
		e, ok, closed := u.poll()
		if ok {
			return e, nil
		}
		if closed {
			return Event{}, io.EOF
		}
		select {
		case <-u.ready:
		case <-ctx.Done():
			return Event{}, ctx.Err()
		}
	}
}

// Poll returns the next event if that needs no waiting.
func (u *Subscription) Poll() (Event, bool) {
	e, ok, _ := u.poll()
	return e, ok
}

// Close ends the subscription. The stream no longer wakes it.
func (u *Subscription) Close() {
	s := u.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subs = slices.DeleteFunc(s.subs, func(x *Subscription) bool { return x == u })
}

func (u *Subscription) poll() (e Event, ok, closed bool) {
	s := u.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &s.ring
	if u.next < r.first {
		lost := r.first - u.next
		u.next = r.first
		return s.lostEvent(r.first-1, lost), true, false
	}
	if u.next >= r.next {
		return Event{}, false, s.closed
	}
	e = *r.at(u.next)
	u.next++
	return e, true, false
}

// lostEvent makes the event that stands for the n events up to number last. A
// reader that resumes at last+1 goes on where this one does.
func (s *Stream) lostEvent(last, n uint64) Event {
	return Event{
		V:   Version,
		Seq: last,
		// The lost ones are not younger than the oldest that is kept, and one
		// is: events are only forgotten for newer ones.
		Time:     s.ring.at(s.ring.first).Time,
		Event:    Lost,
		Instance: s.instance,
		Reason:   fmt.Sprintf("%d events", n),
	}
}

// wake is called with stream.mu held and must not block.
func (u *Subscription) wake() {
	select {
	case u.ready <- struct{}{}:
	default:
	}
}
