package uapi

import (
	"bytes"
	"encoding/binary"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSyncFlagsAreJudgedAsByTheKernel(t *testing.T) {
	rows := []struct {
		flags uint64
		ok    bool
	}{
		{0, false}, // neither READ nor WRITE
		{4, false}, // END of nothing
		{8, false},
		{8 | 1, false}, // a bit outside beside a good one
		{1 << 63, false},
		{1<<32 | 3, false}, // the upper half counts
		{1, true},
		{2, true},
		{3, true},
		{4 | 1, true},
		{4 | 2, true},
		{4 | 3, true},
	}
	for _, r := range rows {
		err := CheckSync(binary.LittleEndian.AppendUint64(nil, r.flags))
		if r.ok {
			assert.NoError(t, err, "flags %#x", r.flags)
		} else {
			assert.Equal(t, syscall.EINVAL, err, "flags %#x", r.flags)
		}
	}
}

func TestSyncFileFlagsAreANonEmptySubsetOfReadAndWrite(t *testing.T) {
	for _, flags := range []uint32{0, 4, 4 | 1, 8 | 3, 1 << 31} {
		assert.Equal(t, syscall.EINVAL, SyncFileArg{Flags: flags}.Check(), "flags %#x", flags)
	}
	for _, flags := range []uint32{1, 2, 3} {
		assert.NoError(t, SyncFileArg{Flags: flags}.Check(), "flags %#x", flags)
	}
}

func TestSyncFileArgIsFlagsThenDescriptor(t *testing.T) {
	in := []byte{3, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF}
	arg := DecodeSyncFile(in)
	assert.Equal(t, SyncFileArg{Flags: 3, FD: -1}, arg)
	out := make([]byte, len(in))
	arg.Put(out)
	assert.Equal(t, in, out)
}

func TestNameEndsAtItsNUL(t *testing.T) {
	rows := []struct {
		name string
		in   []byte
		want string
		ok   bool
	}{
		{"nothing was read", nil, "", false},
		{"the memory ended before a NUL", []byte("camera"), "", false},
		{"32 bytes without a NUL", bytes.Repeat([]byte("x"), NameLen), "", false},
		{"an empty name", []byte{0, 'x'}, "", true},
		{"a name with bytes behind it", []byte("camera\x00left over"), "camera", true},
		{"31 bytes and the NUL", append(bytes.Repeat([]byte("x"), NameLen-1), 0), strings.Repeat("x", NameLen-1), true},
		{"bytes that are no UTF-8", []byte("\xff\xfe\x00"), "\xff\xfe", true},
	}
	for _, r := range rows {
		name, ok := BufName(r.in)
		assert.Equal(t, r.ok, ok, r.name)
		assert.Equal(t, r.want, name, r.name)
	}
}

func FuzzBufName(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte("camera\x00"))
	f.Add(bytes.Repeat([]byte("x"), NameLen))
	f.Add([]byte("\x00\x00"))
	f.Add([]byte("\xff\x00tail"))
	// A name and its NUL stand at the beginning of what was read.
	f.Fuzz(func(t *testing.T, in []byte) {
		name, ok := BufName(in)
		assert.Equal(t, bytes.Contains(in, []byte{0}), ok)
		if ok {
			assert.True(t, bytes.HasPrefix(in, append([]byte(name), 0)))
			assert.NotContains(t, name, "\x00")
		}
	})
}

func FuzzSyncFileArg(f *testing.F) {
	f.Add(make([]byte, 8))
	f.Add([]byte{3, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF})
	// What is decoded is what Put writes.
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) < 8 {
			return // the command says 8 bytes
		}
		out := make([]byte, 8)
		DecodeSyncFile(in).Put(out)
		assert.Equal(t, in[:8], out)
	})
}
