package uapi

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
)

// qbuf is a struct v4l2_buffer of one of the layouts.
func qbuf(size int, typ, memory uint32, m uint64, length uint32) []byte {
	l, b := qbufLayouts[size], make([]byte, size)
	le := binary.LittleEndian
	for i := range b {
		b[i] = 0xEE // what else is in there does not matter
	}
	le.PutUint32(b[4:], typ)
	le.PutUint32(b[l.memory:], memory)
	if l.wide {
		le.PutUint64(b[l.m:], m)
	} else {
		le.PutUint32(b[l.m:], uint32(m))
	}
	le.PutUint32(b[l.length:], length)
	return b
}

func TestDecodeQBuf(t *testing.T) {
	for _, size := range []int{0, 1, 56, 64, 72, 84, 87, 96} {
		_, ok := DecodeQBuf(make([]byte, size))
		assert.False(t, ok, size)
	}
	for size, l := range qbufLayouts {
		for _, memory := range []uint32{0, 1, 2, 3, 5} {
			_, ok := DecodeQBuf(qbuf(size, 1, memory, 5, 4096))
			assert.False(t, ok, "size %d memory %d", size, memory)
		}
		for _, planes := range []uint32{0, 9, 1 << 31} {
			_, ok := DecodeQBuf(qbuf(size, 9, 4, 5, planes))
			assert.False(t, ok, "size %d planes %d", size, planes)
		}
		for _, typ := range []uint32{1, 2, 3, 14} {
			q, ok := DecodeQBuf(qbuf(size, typ, 4, 5, 4096))
			assert.True(t, ok)
			assert.Equal(t, QBuf{FD: 5, Length: 4096}, q, size)
		}
		for _, typ := range []uint32{9, 10} {
			planeSize, at := 60, uint64(0xFFFF0010)
			if l.wide {
				planeSize, at = 64, 0x7FFF_FFFF_0010
			}
			q, ok := DecodeQBuf(qbuf(size, typ, 4, at, 3))
			assert.True(t, ok)
			assert.Equal(t, QBuf{Planes: at, NPlanes: 3, PlaneSize: planeSize}, q)
			in := make([]byte, 3*planeSize)
			binary.LittleEndian.PutUint32(in[2*planeSize+4:], 777)
			binary.LittleEndian.PutUint32(in[2*planeSize+8:], 9)
			fd, length := q.Plane(in, 2)
			assert.Equal(t, int32(9), fd)
			assert.Equal(t, uint32(777), length)
		}
	}
	assert.Equal(t, MaxQBufSize, VIDIOCQBuf.Size())
	assert.Equal(t, IOWR('V', 15, MaxQBufSize), VIDIOCQBuf)
}

func TestDecodePrime(t *testing.T) {
	_, ok := DecodePrime(make([]byte, 11))
	assert.False(t, ok)
	fd, ok := DecodePrime([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0, 0})
	assert.True(t, ok)
	assert.Equal(t, int32(9), fd)
	assert.Equal(t, IOWR('d', 0x2E, 12), DRMPrimeFDToHandle)
}

func FuzzDecodeQBuf(f *testing.F) {
	for size := range qbufLayouts {
		f.Add(qbuf(size, 9, 4, 16, 8))
		f.Add(qbuf(size, 1, 4, 5, 4096))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		q, ok := DecodeQBuf(in)
		if !ok {
			return
		}
		if q.NPlanes < 0 || q.NPlanes > MaxPlanes || q.PlaneSize > MaxPlaneSize {
			t.Fatalf("%+v", q)
		}
		if q.NPlanes > 0 {
			q.Plane(make([]byte, q.NPlanes*q.PlaneSize), q.NPlanes-1)
		}
	})
}
