package doctor

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// initBytes is a FUSE INIT as a kernel of protocol 7.minor sends it.
func initBytes(minor, flags, flags2 uint32, size int) []byte {
	b := make([]byte, size)
	order := binary.NativeEndian
	order.PutUint32(b[0:], uint32(size))
	order.PutUint32(b[4:], fuseOpInit)
	order.PutUint64(b[8:], 42)
	for i, v := range []uint32{7, minor, 131072, flags, flags2} {
		if off := fuseInHeader + 4*i; off+4 <= size {
			order.PutUint32(b[off:], v)
		}
	}
	return b
}

func TestInitRequest(t *testing.T) {
	for _, bad := range [][]byte{
		nil,
		make([]byte, 40),
		make([]byte, 104), // opcode 0
		initBytes(37, 0, 0, 104)[:90],
	} {
		_, err := parseInit(bad)
		assert.ErrorIs(t, err, errInit)
	}

	old, err := parseInit(initBytes(31, 0, 0xffffffff, 56)) // before 5.17: no flags2
	require.NoError(t, err)
	assert.False(t, old.passthrough())
	f := fuseProtocol(old)
	assert.False(t, f.OK)
	assert.Contains(t, f.Detail, "FUSE 7.31, heapfs needs 7.37")

	oldest, err := parseInit(initBytes(37, fuseInitExt, 0, 104))
	require.NoError(t, err)
	assert.True(t, fuseProtocol(oldest).OK)
	assert.False(t, oldest.passthrough())

	recent, err := parseInit(initBytes(40, fuseInitExt, fusePassthroughBit, 104))
	require.NoError(t, err)
	assert.Equal(t, uint64(42), recent.unique)
	assert.True(t, recent.passthrough())
	reply := recent.reply()
	assert.Len(t, reply, 80)
	assert.Equal(t, uint32(80), binary.NativeEndian.Uint32(reply))
}

func FuzzInitRequest(f *testing.F) {
	f.Add(initBytes(45, fuseInitExt, fusePassthroughBit, 104))
	f.Add(initBytes(31, 0, 0, 56))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseInit(b)
		if err != nil {
			require.ErrorIs(t, err, errInit)
			return
		}
		require.Len(t, r.reply(), fuseOutHeader+fuseInitOut)
	})
}
