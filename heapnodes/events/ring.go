package events

const (
	// defaultBacklog is how many events are kept when Config says nothing.
	defaultBacklog = 4096
	// maxBacklogExtents bounds the extents that the kept events hold on to. A
	// fragmented heap gives one buffer tens of thousands of extents, and the
	// backlog must not keep those of thousands of freed buffers in memory:
	// 65,536 extents are 1 MiB.
	maxBacklogExtents = 1 << 16
	// firstRing is the size of the ring before it has to grow.
	firstRing = 64
)

// ring keeps the newest events. Their numbers are [first, next), without gaps;
// the event with number q is in buf[q%len(buf)].
type ring struct {
	limit       int // most events kept
	buf         []Event
	first, next uint64
	extents     int // sum of len(Extents) over the kept events
}

func newRing(limit int) ring {
	if limit <= 0 {
		limit = defaultBacklog
	}
	return ring{limit: limit, buf: make([]Event, min(limit, firstRing)), first: 1, next: 1}
}

// push keeps e, whose number is r.next, and drops the oldest events for it.
func (r *ring) push(e *Event) {
	if r.next-r.first == uint64(len(r.buf)) {
		if len(r.buf) < r.limit {
			r.grow()
		} else {
			r.drop()
		}
	}
	r.extents += len(e.Extents)
	for r.extents > maxBacklogExtents && r.first < r.next {
		r.drop()
	}
	r.buf[r.next%uint64(len(r.buf))] = *e
	r.next++
}

// drop forgets the oldest event. Its slot is cleared so that its extents can
// be collected.
func (r *ring) drop() {
	slot := r.at(r.first)
	r.extents -= len(slot.Extents)
	*slot = Event{}
	r.first++
}

func (r *ring) grow() {
	bigger := make([]Event, min(r.limit, 2*len(r.buf)))
	for q := r.first; q < r.next; q++ {
		bigger[q%uint64(len(bigger))] = *r.at(q)
	}
	r.buf = bigger
}

// at returns the slot of event number q, which must be in [first, next).
func (r *ring) at(q uint64) *Event {
	return &r.buf[q%uint64(len(r.buf))]
}
