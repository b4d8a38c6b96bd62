package events

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/backing"
)

func typical() Event {
	return Event{
		Event: Alloc, Door: "seccomp", Heap: "system", Buffer: 7, PID: 1000, TID: 1001, UID: UID(1000), Comm: "client",
		Len: 1 << 20, Extents: []backing.Extent{{Addr: 0x40000000, Len: 1 << 20}},
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// failing is a sink that takes ok writes and then answers err.
type failing struct {
	bytes.Buffer
	ok  int
	err error
}

func (f *failing) Write(p []byte) (int, error) {
	if f.ok == 0 {
		return 0, f.err
	}
	f.ok--
	return f.Buffer.Write(p)
}

// short is a sink that writes less than it was given and says nothing.
type short struct{}

func (short) Write(p []byte) (int, error) { return len(p) - 1, nil }

func decodeLines(t *testing.T, b []byte) (out []Event) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(b))
	for {
		var e Event
		err := dec.Decode(&e)
		if errors.Is(err, io.EOF) {
			return out
		}
		require.NoError(t, err)
		out = append(out, e)
	}
}

func kinds(es []Event) (out []string) {
	for _, e := range es {
		out = append(out, e.Event)
	}
	return out
}

func TestSinkErrorIsRememberedAndTheSinkLeftAlone(t *testing.T) {
	var log bytes.Buffer
	s := NewStream(Config{Instance: "i", Logger: slog.New(slog.NewTextHandler(&log, nil))})
	bad := &failing{ok: 1, err: syscall.ENOSPC}
	var good bytes.Buffer
	s.AddSink(bad)
	s.AddSink(&good)
	s.Emit(Event{Event: Start})
	require.NoError(t, s.SinkErr())

	assert.EqualValues(t, 2, s.Emit(typical()), "the ALLOC gets its event in any case")
	require.ErrorIs(t, s.SinkErr(), syscall.ENOSPC)
	s.Emit(Event{Event: Exit})

	assert.Equal(t, []string{Start}, kinds(decodeLines(t, bad.Bytes())))
	es := decodeLines(t, good.Bytes())
	assert.Equal(t, []string{Start, Alloc, Warning, Exit}, kinds(es))
	assert.Contains(t, es[2].Reason, "no space left on device")
	assert.Contains(t, log.String(), "no space left on device")
}

func TestOnlySinkFailsAndSubscribersHearOfIt(t *testing.T) {
	s := NewStream(Config{Instance: "i", Logger: quiet()})
	s.AddSink(short{})
	sub := s.Subscribe(0)
	defer sub.Close()
	s.Emit(Event{Event: Start})
	require.ErrorIs(t, s.SinkErr(), io.ErrShortWrite)
	s.Emit(Event{Event: Exit})
	s.Close()
	assert.Equal(t, []string{Start, Warning, Exit}, kinds(drain(t, sub)))
}

func TestFirstSinkErrorIsKept(t *testing.T) {
	s := NewStream(Config{Instance: "i", Logger: quiet()})
	s.AddSink(&failing{err: syscall.ENOSPC})
	s.AddSink(&failing{err: syscall.EPIPE})
	s.Emit(Event{Event: Start})
	require.ErrorIs(t, s.SinkErr(), syscall.ENOSPC)
	assert.EqualValues(t, 3, s.LastSeq(), "one warning for each")
}

func TestLineIsInTheFileBeforeEmitReturns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	defer f.Close()
	s := NewStream(Config{Instance: "inst"})
	s.AddSink(f)
	for i := range uint64(3) {
		before := time.Now().UTC()
		seq := s.Emit(typical())
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		es := decodeLines(t, b)
		require.Len(t, es, int(i)+1)
		e := es[i]
		assert.Equal(t, i+1, seq)
		assert.Equal(t, seq, e.Seq)
		assert.Equal(t, Version, e.V)
		assert.Equal(t, "inst", e.Instance)
		assert.False(t, e.Time.Before(before.Round(0)))
		assert.Equal(t, time.UTC, e.Time.Location())
		assert.Equal(t, typical().Extents, e.Extents)
	}
}

// writes counts Write calls.
type writes struct{ lines [][]byte }

func (w *writes) Write(p []byte) (int, error) {
	w.lines = append(w.lines, bytes.Clone(p))
	return len(p), nil
}

func TestOneWritePerEventInTheOrderOfNumbers(t *testing.T) {
	s := NewStream(Config{Instance: "i"})
	w := &writes{} // unguarded: the stream must not write twice at once
	s.AddSink(w)
	const goroutines, each = 8, 100
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for range each {
				s.Emit(typical())
			}
		})
	}
	wg.Wait()
	s.Close()
	require.Len(t, w.lines, goroutines*each)
	var last time.Time
	for i, line := range w.lines {
		es := decodeLines(t, line)
		require.Len(t, es, 1)
		require.EqualValues(t, i+1, es[0].Seq)
		require.False(t, es[0].Time.Before(last))
		last = es[0].Time
	}
}

func TestEmitAfterCloseIsDropped(t *testing.T) {
	s := NewStream(Config{Instance: "i"})
	var w bytes.Buffer
	s.AddSink(&w)
	s.Emit(Event{Event: Exit})
	s.Close()
	s.Close()
	assert.Zero(t, s.Emit(Event{Event: Warning, Reason: "late"}))
	assert.EqualValues(t, 1, s.LastSeq())
	assert.Equal(t, []string{Exit}, kinds(decodeLines(t, w.Bytes())))
}

func drain(t *testing.T, sub *Subscription) (out []Event) {
	t.Helper()
	for {
		e, err := sub.Next(context.Background())
		if errors.Is(err, io.EOF) {
			return out
		}
		require.NoError(t, err)
		out = append(out, e)
	}
}

// The floor for the figure of ALLOC: what an event costs when nobody listens.
func BenchmarkEmitWithoutSinks(b *testing.B) {
	s := NewStream(Config{Instance: "i"})
	e := typical()
	b.ReportAllocs()
	for b.Loop() {
		s.Emit(e)
	}
}

func BenchmarkEmitToFile(b *testing.B) {
	f, err := os.OpenFile(filepath.Join(b.TempDir(), "events"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(b, err)
	defer f.Close()
	s := NewStream(Config{Instance: "i"})
	s.AddSink(f)
	e := typical()
	b.ReportAllocs()
	for b.Loop() {
		s.Emit(e)
	}
}
