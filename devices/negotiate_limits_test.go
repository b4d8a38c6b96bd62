package devices

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type piece struct{ addr, length uint64 }

func pieces(all ...piece) func(yield func(addr, length uint64) bool) {
	return func(yield func(addr, length uint64) bool) {
		for _, p := range all {
			if !yield(p.addr, p.length) {
				return
			}
		}
	}
}

func TestSegmentsAreJoinedAndCut(t *testing.T) {
	const k = 1024
	rows := []struct {
		name   string
		limits Limits
		ranges []piece
		want   uint64
	}{
		{"none", Limits{}, nil, 0},
		{"one", Limits{}, []piece{{0, 4 * k}}, 1},
		{"neighbours are one", Limits{}, []piece{{64 * k, 4 * k}, {68 * k, 8 * k}, {76 * k, 4 * k}}, 1},
		{"not if the one behind comes first", Limits{}, []piece{{68 * k, 4 * k}, {64 * k, 4 * k}}, 2},
		{"a gap", Limits{}, []piece{{64 * k, 4 * k}, {72 * k, 4 * k}, {76 * k, 4 * k}}, 2},
		{"to the end of memory and from its start", Limits{}, []piece{{1<<64 - 4*k, 4 * k}, {0, 4 * k}}, 1},
		{"cut by size", Limits{MaxSegmentSize: 8 * k}, []piece{{0, 20 * k}}, 3},
		{"joined before they are cut", Limits{MaxSegmentSize: 8 * k}, []piece{{0, 4 * k}, {4 * k, 4 * k}}, 1},
		{"cut at a boundary", Limits{SegmentBoundary: 64 * k}, []piece{{60 * k, 8 * k}}, 2},
		{"up to a boundary", Limits{SegmentBoundary: 64 * k}, []piece{{60 * k, 4 * k}, {64 * k, 64 * k}}, 2},
		{"cut by both", Limits{SegmentBoundary: 64 * k, MaxSegmentSize: 48 * k}, []piece{{60 * k, 4*k + 64*k + 52*k}}, 1 + 2 + 2},
		{"very long", Limits{MaxSegmentSize: 4 * k}, []piece{{0, 1 << 60}}, 1 << 48},
	}
	for _, r := range rows {
		assert.Equal(t, r.want, r.limits.Segments(pieces(r.ranges...)), r.name)
	}
}

func TestLimits(t *testing.T) {
	_, ok := (&Device{Constraints: Constraints{Contiguous: true}}).Limits()
	assert.False(t, ok)
	_, ok = (&Device{Constraints: Constraints{MaxSegmentSize: 4096}}).Limits()
	assert.False(t, ok, "any number of segments will do")

	l, ok := (&Device{Name: "d", Constraints: Constraints{MaxSize: 8192, MaxSegments: 2}}).Limits()
	require.True(t, ok)
	err := l.CheckSize(8193)
	require.ErrorIs(t, err, ErrLimit)
	assert.EqualError(t, err, `device "d" takes 8KiB at the most, not 8193`)
	assert.NoError(t, l.CheckSize(8192))
	err = l.CheckSegments(pieces(piece{0, 1}, piece{2, 1}, piece{4, 1}))
	var limit *LimitError
	require.True(t, errors.As(err, &limit))
	assert.Equal(t, LimitError{"d", "maxSegments", 2, 3}, *limit)
	assert.NoError(t, l.CheckSegments(pieces(piece{0, 1}, piece{2, 1})))

	l, ok = (&Device{Constraints: Constraints{Contiguous: true, MaxSegments: 9, SegmentBoundary: 4096}}).Limits()
	require.True(t, ok)
	assert.EqualValues(t, 1, l.MaxSegments, "a buffer that has to be cut is not one segment")
}

func TestFewestSegments(t *testing.T) {
	chunks := []Bytes{1 << 20, 64 << 10, 4096}
	for size, want := range map[Bytes]uint64{1: 1, 4096: 1, 4097: 2, 64 << 10: 1, 1<<20 + 64<<10 + 1: 3, 5 << 20: 5, 1 << 60: 1 << 40} {
		assert.Equal(t, want, (&Limits{}).fewest(chunks, size), size)
		assert.EqualValues(t, 1, (&Limits{}).fewest(nil, size), size)
	}
	assert.EqualValues(t, 16, (&Limits{MaxSegmentSize: 64 << 10}).fewest(chunks, 1<<20))
	assert.EqualValues(t, 16, (&Limits{MaxSegmentSize: 64 << 10}).fewest(nil, 1<<20))
}
