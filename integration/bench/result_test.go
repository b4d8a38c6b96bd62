package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFigureIsComparedAsItsTargetAsks(t *testing.T) {
	value, floor := measured{Median: 30}, measured{Median: 12}
	for _, tc := range []struct {
		target     target
		is, should string
	}{
		{target{How: more}, "+18.00 µs", "–"},
		{atMost(more, 0.1), "+18.00 µs", "≤ 0.1 µs"},
		{atMost(times, 2.5), "× 2.50", "≤ 2.5"},
		{atLeast(times, 0.95), "× 2.50", "≥ 0.95"},
	} {
		is, should := figure{Unit: "µs", Value: value, Floor: floor, Target: tc.target}.compared()
		assert.Equal(t, tc.is, is)
		assert.Equal(t, tc.should, should)
	}
	is, _ := figure{Unit: "µs", Value: floor, Floor: value, Target: target{How: more}}.compared()
	assert.Equal(t, "-18.00 µs", is)
}

func TestRoundsAreSummedUpByMedians(t *testing.T) {
	r := records{}
	r.add("x", series{3000, 9000, 2000})
	r.add("x", series{1000, 5000, 900})
	r.add("x", series{90000, 90000, 1500})
	assert.Equal(t, measured{Median: 3, Mean: 9, Best: 0.9}, r.of("x", micro))
	r.add("x", series{5000, 5000, 5000})
	assert.InDelta(t, 4, r.of("x", micro).Median, 1e-9)
	assert.InDelta(t, 2, r.speed("x", 8000).Median, 1e-9)
}

func TestEveryFigureHasALine(t *testing.T) {
	r := result{Figures: []figure{{Name: "a", Target: target{How: more}}, {Name: "b", Target: atMost(times, 1)}}}
	var out strings.Builder
	require.NoError(t, r.print(&out))
	assert.Len(t, strings.Split(strings.TrimSpace(out.String()), "\n"), 5)
}
