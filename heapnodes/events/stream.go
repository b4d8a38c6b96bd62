package events

import (
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Config says how a stream is made.
type Config struct {
	// Instance is written into every event.
	Instance string
	// Backlog is how many events are kept for subscribers; 0 means 4096. It is
	// also how far a subscriber may fall behind before it loses events.
	Backlog int
	// Logger gets the first error of a sink; nil means slog.Default().
	Logger *slog.Logger
}

// Stream numbers events, keeps the newest, and hands them to sinks and
// subscribers. All methods may be called by many goroutines at once.
type Stream struct {
	instance string
	log      *slog.Logger

	// sinkMu keeps lines in the order of their numbers. It is held while sinks
	// write; mu never is, so that subscribers and Emit without sinks do not
	// wait for a disk. Order: sinkMu before mu.
	sinkMu   sync.Mutex
	sinks    []io.Writer
	line     []byte // reused between events
	hasSinks atomic.Bool

	mu      sync.Mutex
	ring    ring
	subs    []*Subscription
	closed  bool
	sinkErr error
}

// NewStream returns a stream without sinks. Its first event gets number 1.
func NewStream(c Config) *Stream {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return &Stream{instance: c.Instance, log: c.Logger, ring: newRing(c.Backlog)}
}

// AddSink makes every event from now on one Write of one JSON line to w,
// finished before Emit returns. One Write per line keeps lines whole in a file
// that was opened with O_APPEND, whoever else appends to it. The caller keeps
// ownership of w and closes it after Close.
//
// A sink whose Write fails gets no more events: see SinkErr.
func (s *Stream) AddSink(w io.Writer) {
	s.sinkMu.Lock()
	defer s.sinkMu.Unlock()
	s.sinks = append(s.sinks, w)
	s.hasSinks.Store(true)
}

// SinkErr returns the first error of a sink, nil as long as there was none.
func (s *Stream) SinkErr() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sinkErr
}

// Emit fills V, Seq, Time and Instance of e, publishes it, and returns its
// number. It returns after all sinks have the line, and never waits for a
// subscriber. Without sinks nothing is encoded. After Close the event is
// dropped and the number is 0.
func (s *Stream) Emit(e Event) uint64 {
	if !s.hasSinks.Load() {
		s.publish(&e)
		return e.Seq
	}
	failed := s.emitToSinks(&e)
	for _, err := range failed {
		s.reportSinkError(err)
	}
	return e.Seq
}

// publish numbers e and makes it visible to subscribers. It reports whether
// the stream was still open.
func (s *Stream) publish(e *Event) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		e.Seq = 0
		return false
	}
	e.V = Version
	e.Seq = s.ring.next
	// Read under the lock, so that times follow the numbers.
	e.Time = time.Now().UTC()
	e.Instance = s.instance
	s.ring.push(e)
	for _, sub := range s.subs {
		sub.wake()
	}
	return true
}

// emitToSinks publishes e and writes its line to every sink. Sinks that fail
// are removed; their errors are returned.
func (s *Stream) emitToSinks(e *Event) (failed []error) {
	s.sinkMu.Lock()
	defer s.sinkMu.Unlock()
	if !s.publish(e) {
		return nil
	}
	s.line = append(e.AppendJSON(s.line[:0]), '\n')
	kept := s.sinks[:0]
	for _, w := range s.sinks {
		n, err := w.Write(s.line)
		if err == nil && n < len(s.line) {
			err = io.ErrShortWrite
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("write event %d: %w", e.Seq, err))
			continue
		}
		kept = append(kept, w)
	}
	clear(s.sinks[len(kept):])
	s.sinks = kept
	s.hasSinks.Store(len(kept) > 0)
	return failed
}

// reportSinkError says once, to those who still listen, that a sink is gone.
// An ALLOC does not fail for it: the log of a buffer is not the buffer. It ends
// because each call stands for one sink fewer.
func (s *Stream) reportSinkError(err error) {
	s.mu.Lock()
	if s.sinkErr == nil {
		s.sinkErr = err
	}
	s.mu.Unlock()
	s.log.Error("an events sink failed and gets no more events", "err", err)
	s.Emit(Event{Event: Warning, Reason: fmt.Sprintf("an events sink failed and gets no more events: %v", err)})
}

// LastSeq returns the number of the newest event, 0 when there was none.
func (s *Stream) LastSeq() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ring.next - 1
}

// Close ends the stream: subscribers get what they have not read yet and then
// io.EOF. Sinks are not closed. A second Close does nothing.
func (s *Stream) Close() {
	// An Emit that is writing its line finishes first, so that the owner of a
	// sink may close it after Close.
	s.sinkMu.Lock()
	defer s.sinkMu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.sinks = nil
	s.hasSinks.Store(false)
	for _, sub := range s.subs {
		sub.wake()
	}
}
