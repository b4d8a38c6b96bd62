package uapi

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestHeapfsCommandsAreWhatTheHeaderBuilds(t *testing.T) {
	assert.Equal(t, IOWR('h', 1, HeapfsAttachSize), HeapfsAttach)
	assert.Equal(t, IOW('h', 2, HeapfsDetachSize), HeapfsDetach)
	assert.Equal(t, IOWR('h', 3, HeapfsMapSize), HeapfsMap)
}

func TestHeapfsArgumentsAreChecked(t *testing.T) {
	assert.ErrorIs(t, AttachArg{Dir: 3}.Check(), syscall.EINVAL)
	assert.ErrorIs(t, AttachArg{Flags: 2}.Check(), syscall.EINVAL)
	assert.NoError(t, AttachArg{FD: 1 << 31, Dir: FromDevice, Flags: HeapfsAttachOnly}.Check())
	assert.ErrorIs(t, MapArg{Dir: 3}.Check(), syscall.EINVAL)
	assert.ErrorIs(t, MapArg{Flags: 1}.Check(), syscall.EINVAL)
	assert.NoError(t, MapArg{Dir: ToDevice}.Check())
}

func TestHeapfsArgumentsAreLaidOutAsInTheHeader(t *testing.T) {
	var b [32]byte
	a := AttachArg{FD: 0x01020304, Dir: FromDevice, AttachID: 5, DMAAddr: 6, NSegs: 7, Flags: HeapfsAttachOnly}
	a.Put(b[:])
	assert.Equal(t, []byte{4, 3, 2, 1, 2, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0}, b[:])
	assert.Equal(t, a, DecodeAttach(b[:]))
	m := MapArg{AttachID: 1 << 40, Dir: ToDevice, Flags: 9, DMAAddr: 2, NSegs: 3}
	m.Put(b[:])
	assert.Equal(t, []byte{0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0}, b[:])
	assert.Equal(t, m, DecodeMap(b[:]))
	assert.Equal(t, uint64(1<<40), DecodeDetach(b[:8]))
	PutSegment(b[:], 1, 2)
	assert.Equal(t, []byte{1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0}, b[:16])
	addr, length := Segment(b[:])
	assert.Equal(t, []uint64{1, 2}, []uint64{addr, length})
	PutDetach(b[:], 1<<40)
	assert.Equal(t, uint64(1<<40), DecodeDetach(b[:8]))
}

func TestDirectionsHaveNames(t *testing.T) {
	assert.Equal(t, "bidirectional, to device, from device, unknown", Bidirectional.String()+", "+ToDevice.String()+", "+FromDevice.String()+", "+Direction(3).String())
}
