package uapi

import (
	"bytes"
	"encoding/binary"
	"math"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// allocBytes is a struct dma_heap_allocation_data as a C program lays it out.
func allocBytes(length uint64, fd, fdFlags uint32, heapFlags uint64) []byte {
	b := binary.LittleEndian.AppendUint64(nil, length)
	b = binary.LittleEndian.AppendUint32(b, fd)
	b = binary.LittleEndian.AppendUint32(b, fdFlags)
	return binary.LittleEndian.AppendUint64(b, heapFlags)
}

func TestDecodeAllocTakesStructsOfAnyLength(t *testing.T) {
	whole := allocBytes(0x1122334455667788, 0x99AABBCC, 0x80002, 0xDDEEFF)
	rows := []struct {
		name string
		in   []byte
		want AllocRequest
	}{
		{"nothing", nil, AllocRequest{}},
		{"half a length", whole[:4], AllocRequest{Len: 0x55667788}},
		{"the length alone", whole[:8], AllocRequest{Len: 0x1122334455667788}},
		{"no heap_flags", whole[:16], AllocRequest{Len: 0x1122334455667788, FD: 0x99AABBCC, FDFlags: 0x80002}},
		{"today's", whole, AllocRequest{Len: 0x1122334455667788, FD: 0x99AABBCC, FDFlags: 0x80002, HeapFlags: 0xDDEEFF}},
		{"tomorrow's", append(whole[:24:24], 1, 2, 3, 4),
			AllocRequest{Len: 0x1122334455667788, FD: 0x99AABBCC, FDFlags: 0x80002, HeapFlags: 0xDDEEFF}},
	}
	for _, r := range rows {
		assert.Equal(t, r.want, DecodeAlloc(r.in), r.name)
	}
}

func TestAllocIsRefusedAsByTheKernel(t *testing.T) {
	rows := []struct {
		name string
		req  AllocRequest
	}{
		{"a descriptor on the way in", AllocRequest{Len: 4096, FD: 1}},
		{"descriptor -1", AllocRequest{Len: 4096, FD: math.MaxUint32}},
		{"O_NONBLOCK", AllocRequest{Len: 4096, FDFlags: syscall.O_NONBLOCK}},
		{"O_CREAT beside valid flags", AllocRequest{Len: 4096, FDFlags: syscall.O_RDWR | syscall.O_CLOEXEC | syscall.O_CREAT}},
		{"the highest flag", AllocRequest{Len: 4096, FDFlags: 1 << 31}},
		{"the lowest heap flag", AllocRequest{Len: 4096, HeapFlags: 1}},
		{"the highest heap flag", AllocRequest{Len: 4096, HeapFlags: 1 << 63}},
		{"no length", AllocRequest{}},
		{"a length that wraps", AllocRequest{Len: math.MaxUint64}},
		{"the shortest length that wraps", AllocRequest{Len: math.MaxUint64 - PageSize + 2}},
	}
	for _, r := range rows {
		size, err := r.req.Check()
		assert.Equal(t, syscall.EINVAL, err, r.name)
		assert.Zero(t, size, r.name)
	}
}

func TestLengthIsRoundedUpToPages(t *testing.T) {
	rows := []struct{ length, want uint64 }{
		{1, 4096},
		{4095, 4096},
		{4096, 4096},
		{4097, 8192},
		{1920 * 1080 * 3 / 2, 3112960},
		{math.MaxUint64 - PageSize + 1, math.MaxUint64 - PageSize + 1}, // the longest that does not wrap
	}
	for _, r := range rows {
		size, err := AllocRequest{Len: r.length}.Check()
		require.NoError(t, err, "length %d", r.length)
		assert.Equal(t, r.want, size, "length %d", r.length)
	}
}

func TestEveryAccessModeIsValid(t *testing.T) {
	assert.EqualValues(t, 0x80003, ValidFDFlags)
	for _, flags := range []uint32{syscall.O_RDONLY, syscall.O_WRONLY, syscall.O_RDWR, syscall.O_ACCMODE} {
		for _, cloexec := range []uint32{0, syscall.O_CLOEXEC} {
			_, err := AllocRequest{Len: 1, FDFlags: flags | cloexec}.Check()
			assert.NoError(t, err, "fd_flags %#x", flags|cloexec)
		}
	}
}

func TestDescriptorIsWrittenAsFarAsTheStructReaches(t *testing.T) {
	for size := range 32 {
		out := make([]byte, size)
		for i := range out {
			out[i] = 0xEE
		}
		want := bytes.Clone(out)
		fd := []byte{0x44, 0x33, 0x22, 0x11}
		if size > 8 {
			copy(want[8:], fd)
		}
		PutAllocFD(out, 0x11223344)
		assert.Equal(t, want, out, "a struct of %d bytes", size)

		from, to := AllocFDRange(size)
		for i := range out {
			assert.Equal(t, i >= from && i < to, out[i] != 0xEE, "byte %d of %d", i, size)
		}
	}
}

func FuzzDecodeAlloc(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(allocBytes(4096, 0, syscall.O_RDWR|syscall.O_CLOEXEC, 0))
	f.Add(allocBytes(4096, 0, syscall.O_RDWR, 0)[:16])
	f.Add(append(allocBytes(4096, 0, 0, 0), make([]byte, 24)...))
	f.Add(allocBytes(math.MaxUint64, 0, 0, 0))
	f.Add(allocBytes(1, 7, 0xFFFFFFFF, 1))
	// What is accepted has a size that holds the length in the fewest pages.
	f.Fuzz(func(t *testing.T, in []byte) {
		req := DecodeAlloc(in)
		size, err := req.Check()
		if err != nil {
			assert.Equal(t, syscall.EINVAL, err)
			return
		}
		assert.NotZero(t, size)
		assert.Zero(t, size%PageSize)
		assert.GreaterOrEqual(t, size, req.Len)
		assert.Less(t, size-req.Len, uint64(PageSize))
	})
}
