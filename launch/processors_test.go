package launch

import (
	"errors"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
)

func setOf(cpus ...int) (set unix.CPUSet) {
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	return set
}

func TestLastOf(t *testing.T) {
	for _, row := range []struct{ of, want unix.CPUSet }{
		{setOf(0, 1), setOf(1)},
		{setOf(3, 70), setOf(70)},
		{setOf(5), setOf(5)},
		{setOf(0, 1, 2), setOf(0, 1, 2)},
		{setOf(), setOf()},
	} {
		assert.Equal(t, row.want, lastOf(row.of))
	}
}

func TestTheServerKeepsToItsProcessor(t *testing.T) {
	var machine unix.CPUSet
	require.NoError(t, unix.SchedGetaffinity(0, &machine))
	defer func() { assert.Zero(t, sys.Confine(&machine)) }()
	all := firstOf(machine, ofTwo)
	require.Zero(t, sys.Confine(&all))
	p := chooseProcessors()
	want := lastOf(all)
	assert.Equal(t, processors{home: all, own: want}, p)
	threads, err := os.ReadDir("/proc/self/task")
	require.NoError(t, err)
	for _, thread := range threads {
		tid, err := strconv.Atoi(thread.Name())
		require.NoError(t, err)
		var place unix.CPUSet
		if unix.SchedGetaffinity(tid, &place) == nil { // else it has ended
			assert.Equal(t, want, place)
		}
	}
	refused := errors.New("refused")
	assert.Equal(t, refused, p.atHome(func() error {
		assert.Equal(t, all, placeOf(t))
		return refused
	}))
	assert.Equal(t, want, placeOf(t))

	gone := processors{home: setOf(1023), own: want}
	assert.Equal(t, refused, gone.atHome(func() error { return refused }), "it is started all the same")
	assert.Equal(t, want, placeOf(t))
}

// firstOf are the first n of some processors, or all.
func firstOf(of unix.CPUSet, n int) (set unix.CPUSet) {
	for cpu := 0; set.Count() < min(n, of.Count()); cpu++ {
		if of.IsSet(cpu) {
			set.Set(cpu)
		}
	}
	return set
}

// placeOf is where this thread may run.
func placeOf(t *testing.T) (place unix.CPUSet) {
	t.Helper()
	require.NoError(t, unix.SchedGetaffinity(0, &place))
	return place
}
