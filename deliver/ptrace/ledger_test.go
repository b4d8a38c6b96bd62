package ptrace

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/internal/sys"
)

func TestOnlyWhatIsNotedAndFreshIsCollected(t *testing.T) {
	doors, fd, err := newLedger()
	require.NoError(t, err)
	defer doors.unmap()
	agents, err := mapLedger(fd)
	sys.Close(fd)
	require.NoError(t, err)
	defer agents.unmap()

	all := map[int]left{}
	doors.collect(all)
	assert.Empty(t, all)

	of := left{file: sys.FileID{Dev: 1, Ino: 1 << 40}, fds: []int{3, 4, 7}}
	agents.note(-1, 1, of)
	agents.note(0, 11, of)
	agents.note(0, 11, left{})
	agents.note(1, 12, of)
	agents.note(2, 13, of)
	binary.LittleEndian.PutUint64(agents[2*entrySize+24:], uint64(monotonic()-2*freshFor))
	agents.note(entries-1, 14, left{fds: make([]int, maxTheirs+5)})
	doors.collect(all)
	for tid, of := range all {
		assert.InDelta(t, monotonic(), of.at, float64(freshFor), "of now")
		of.at = 0
		all[tid] = of
	}
	assert.Equal(t, map[int]left{12: of, 14: {fds: make([]int, maxTheirs)}}, all)

	agents.answer(entries-1, 15)
	assert.True(t, doors.answered(15))
	assert.False(t, doors.answered(12))
	agents.answer(entries-1, 0)
	assert.False(t, doors.answered(15))
	agents.answer(2, 16)

	again := map[int]left{}
	assert.Equal(t, map[uint64]struct{}{16: {}}, doors.collect(again))
	assert.Empty(t, again, "it was emptied")
	assert.False(t, doors.answered(16))
	ledger(nil).note(0, 1, of)
}
