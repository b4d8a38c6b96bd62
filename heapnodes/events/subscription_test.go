package events

import (
	"context"
	"io"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/backing"
)

func seqs(es []Event) (out []uint64) {
	for _, e := range es {
		out = append(out, e.Seq)
	}
	return out
}

func emitN(s *Stream, n int) {
	for range n {
		s.Emit(typical())
	}
}

func TestSubscriptionWaitsNoLongerThanItsContext(t *testing.T) {
	s := NewStream(Config{Instance: "i"})
	sub := s.Subscribe(0)
	defer sub.Close()
	_, ok := sub.Poll()
	require.False(t, ok)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := sub.Next(ctx)
	require.ErrorIs(t, err, context.Canceled)
	s.Emit(typical())
	e, err := sub.Next(ctx)
	require.NoError(t, err, "what is there is returned even when the context is done")
	assert.EqualValues(t, 1, e.Seq)
}

func TestSubscribeFrom(t *testing.T) {
	for name, tc := range map[string]struct {
		from   uint64
		want   []uint64
		reason string // of the first event, when that is Lost
	}{
		"0 is the oldest kept":     {from: 0, want: []uint64{7, 8, 9, 10}},
		"1 tells what is lost":     {from: 1, want: []uint64{6, 7, 8, 9, 10}, reason: "6 events"},
		"just lost":                {from: 6, want: []uint64{6, 7, 8, 9, 10}, reason: "1 events"},
		"just kept":                {from: 7, want: []uint64{7, 8, 9, 10}},
		"newest":                   {from: 10, want: []uint64{10}},
		"next":                     {from: 11, want: nil},
		"not yet: waits until it":  {from: 12, want: nil},
		"far beyond what can come": {from: 1 << 63, want: nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := NewStream(Config{Instance: "i", Backlog: 4})
			emitN(s, 10)
			s.Close()
			sub := s.Subscribe(tc.from)
			defer sub.Close()
			got := drain(t, sub)
			require.Equal(t, tc.want, seqs(got))
			if tc.reason != "" {
				assert.Equal(t, Lost, got[0].Event)
				assert.Equal(t, tc.reason, got[0].Reason)
				assert.Equal(t, "i", got[0].Instance)
				assert.Equal(t, got[1].Time, got[0].Time)
			}
		})
	}
}

func TestSlowSubscriberLosesEventsAndHearsHowMany(t *testing.T) {
	s := NewStream(Config{Instance: "i", Backlog: 8})
	slow := s.Subscribe(0)
	defer slow.Close()
	emitN(s, 3)
	e, err := slow.Next(context.Background())
	require.NoError(t, err)
	require.EqualValues(t, 1, e.Seq)

	emitN(s, 100) // would hang here if Emit waited for the subscriber

	e, ok := slow.Poll()
	require.True(t, ok)
	assert.Equal(t, Lost, e.Event)
	assert.Equal(t, "94 events", e.Reason) // 2 … 95 of 103
	e, ok = slow.Poll()
	require.True(t, ok)
	assert.EqualValues(t, 96, e.Seq)
	assert.Equal(t, Alloc, e.Event)
}

func TestLiveSubscribersGetEveryEventThenEOF(t *testing.T) {
	const n = 500
	s := NewStream(Config{Instance: "i"})
	var wg sync.WaitGroup
	for range 4 {
		sub := s.Subscribe(1)
		wg.Go(func() {
			defer sub.Close()
			for want := uint64(1); want <= n; want++ {
				e, err := sub.Next(context.Background())
				if !assert.NoError(t, err) || !assert.Equal(t, want, e.Seq) {
					return
				}
			}
			_, err := sub.Next(context.Background())
			assert.ErrorIs(t, err, io.EOF)
		})
	}
	emitN(s, n)
	s.Close()
	wg.Wait()
	assert.Empty(t, s.subs)
}

func TestRingGrowsToItsLimitAndNoFurther(t *testing.T) {
	r := newRing(100)
	for q := uint64(1); q <= 1000; q++ {
		r.push(&Event{Seq: q})
		require.LessOrEqual(t, len(r.buf), 100)
		for k := r.first; k < r.next; k++ {
			require.Equal(t, k, r.at(k).Seq)
		}
	}
	assert.EqualValues(t, 901, r.first)
}

func TestBacklogIsBoundedByExtentsToo(t *testing.T) {
	r := newRing(1000)
	quarter := make([]backing.Extent, maxBacklogExtents/4)
	for q := uint64(1); q <= 100; q++ {
		r.push(&Event{Seq: q, Extents: quarter})
	}
	assert.EqualValues(t, 97, r.first)
	r.push(&Event{Seq: 101, Extents: make([]backing.Extent, 2*maxBacklogExtents)})
	assert.EqualValues(t, 101, r.first, "the newest event is kept whatever its size")
	r.push(&Event{Seq: 102})
	assert.EqualValues(t, 102, r.first)
	assert.Zero(t, r.extents)
	kept := 0
	for _, e := range r.buf {
		if e.Extents != nil {
			kept++
		}
	}
	assert.Zero(t, kept, "dropped slots hold on to no extents")
}
