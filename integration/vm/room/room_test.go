package room

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestTheLargestAndLongestComeFirst(t *testing.T) {
	r := New(2)
	running := r.ask(1, time.Hour)
	short, long, large := r.ask(1, time.Second), r.ask(1, time.Minute), r.ask(3, time.Second)
	given := func() (served []bool) {
		for _, c := range []*claim{running, short, long, large} {
			select {
			case <-c.given:
				served = append(served, true)
			default:
				served = append(served, false)
			}
		}
		return served
	}
	// One processor was free when short came.
	assert.Equal(t, []bool{true, true, false, false}, given())
	r.release(running)
	assert.Equal(t, []bool{true, true, false, false}, given(), "long does not overtake large")
	r.release(short)
	assert.Equal(t, []bool{true, true, false, true}, given())
	r.release(large)
	assert.Equal(t, []bool{true, true, true, true}, given())
	r.release(long)
	assert.Equal(t, 2, r.free)
	r.Take(1, 0)()
	assert.Equal(t, 2, r.free)
}
