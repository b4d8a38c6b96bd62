package uapi

import (
	"bytes"
	"encoding/binary"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
)

// mergeBytes is a struct sync_merge_data as a C program lays it out.
func mergeBytes(name string, fd2, fence int32, flags, pad uint32) []byte {
	b := make([]byte, SyncNameLen, 48)
	copy(b, name)
	b = binary.LittleEndian.AppendUint32(b, uint32(fd2))
	b = binary.LittleEndian.AppendUint32(b, uint32(fence))
	b = binary.LittleEndian.AppendUint32(b, flags)
	return binary.LittleEndian.AppendUint32(b, pad)
}

// infoBytes is a struct sync_file_info as a C program lays it out.
func infoBytes(name string, status int32, flags, fences, pad uint32, ptr uint64) []byte {
	b := make([]byte, SyncNameLen, 56)
	copy(b, name)
	for _, word := range []uint32{uint32(status), flags, fences, pad} {
		b = binary.LittleEndian.AppendUint32(b, word)
	}
	return binary.LittleEndian.AppendUint64(b, ptr)
}

func TestMergeRefusesFlagsAndPadding(t *testing.T) {
	for _, m := range []SyncMerge{{Flags: 1}, {Pad: 1}, {Flags: 1 << 31, Pad: 1 << 31}} {
		assert.Equal(t, syscall.EINVAL, m.Check(), "%+v", m)
	}
	assert.NoError(t, SyncMerge{Name: "any", FD2: -1}.Check())
}

func TestMergeIsTakenApart(t *testing.T) {
	rows := []struct {
		name string
		in   []byte
		want SyncMerge
	}{
		{"nothing set", mergeBytes("", 0, 0, 0, 0), SyncMerge{}},
		{"every field", mergeBytes("frame 1", 7, 99, 0x11, 0x22), SyncMerge{Name: "frame 1", FD2: 7, Flags: 0x11, Pad: 0x22}},
		{"no such descriptor", mergeBytes("x", -1, 0, 0, 0), SyncMerge{Name: "x", FD2: -1}},
		{"a name without a NUL is cut at 31", mergeBytes(strings.Repeat("n", 32), 1, 0, 0, 0), SyncMerge{Name: strings.Repeat("n", 31), FD2: 1}},
		{"bytes behind the NUL are not the name's", mergeBytes("a\x00b", 1, 0, 0, 0), SyncMerge{Name: "a", FD2: 1}},
	}
	for _, r := range rows {
		assert.Equal(t, r.want, DecodeSyncMerge(r.in), r.name)
	}
	fence := mergeBytes("", 0, 0x55, 0, 0)
	assert.EqualValues(t, 0x55, fence[SyncMergeFence], "where the new descriptor goes")
}

func TestDeadlineRefusesPadding(t *testing.T) {
	arg := func(deadline, pad uint64) []byte {
		return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, deadline), pad)
	}
	for _, pad := range []uint64{1, 1 << 63} {
		assert.Equal(t, syscall.EINVAL, CheckSyncDeadline(arg(0, pad)), "padding %#x", pad)
	}
	for _, deadline := range []uint64{0, 1, 1<<64 - 1} {
		assert.NoError(t, CheckSyncDeadline(arg(deadline, 0)), "deadline %d", deadline)
	}
}

func TestFileInfoRefusesFlagsAndPadding(t *testing.T) {
	for _, i := range []SyncFileInfo{{Flags: 1}, {Pad: 1}, {Flags: 1 << 31, Pad: 1 << 31}} {
		assert.Equal(t, syscall.EINVAL, i.Check(), "%+v", i)
	}
	assert.NoError(t, SyncFileInfo{NumFences: 9, FencePtr: 1}.Check())
}

func TestFileInfoIsTakenApartAndFilled(t *testing.T) {
	in := infoBytes("left over", -7, 0x11, 0x22, 0x33, 0x44556677_8899AABB)
	assert.Equal(t, SyncFileInfo{Flags: 0x11, NumFences: 0x22, Pad: 0x33, FencePtr: 0x44556677_8899AABB}, DecodeSyncFileInfo(in))

	PutSyncFileInfo(in, StubFence.File, 0x1234)
	assert.Equal(t, infoBytes(StubFence.File, 1, 0, 1, 0, 0x1234), in, "nothing of the caller's is left over")

	PutSyncFileInfo(in, strings.Repeat("n", 40), 0)
	assert.Equal(t, infoBytes(strings.Repeat("n", 31), 1, 0, 1, 0, 0), in, "a name keeps room for its NUL")
}

func TestFenceInfoIsASignalledStub(t *testing.T) {
	out := bytes.Repeat([]byte{0xEE}, SyncFenceInfoSize+4)
	PutSyncFenceInfo(out, StubFence, 0x1122334455667788)
	want := make([]byte, 64, SyncFenceInfoSize+4)
	copy(want, "stub")
	copy(want[32:], "stub")
	want = binary.LittleEndian.AppendUint32(want, 1) // status
	want = binary.LittleEndian.AppendUint32(want, 0) // flags
	want = binary.LittleEndian.AppendUint64(want, 0x1122334455667788)
	want = append(want, 0xEE, 0xEE, 0xEE, 0xEE)
	assert.Equal(t, want, out)

	PutSyncFenceInfo(out, FenceNames{Timeline: strings.Repeat("t", 40), Driver: strings.Repeat("d", 40)}, 0)
	assert.Equal(t, strings.Repeat("t", 31)+"\x00"+strings.Repeat("d", 31)+"\x00", string(out[:64]), "names keep room for their NUL")
}

func FuzzSyncMerge(f *testing.F) {
	f.Add(mergeBytes("", 0, 0, 0, 0))
	f.Add(mergeBytes("frame", 3, 0, 0, 0))
	f.Add(mergeBytes(strings.Repeat("n", 32), -1, -1, 1, 1))
	// The name fits into the struct it goes back in, with its NUL.
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) < 48 {
			return // the command says 48 bytes
		}
		m := DecodeSyncMerge(in)
		assert.Less(t, len(m.Name), SyncNameLen)
		assert.True(t, bytes.HasPrefix(in, []byte(m.Name)))
		assert.NotContains(t, m.Name, "\x00")
		assert.Equal(t, m.Flags == 0 && m.Pad == 0, m.Check() == nil)
	})
}

func FuzzSyncFileInfo(f *testing.F) {
	f.Add(infoBytes("", 0, 0, 0, 0, 0))
	f.Add(infoBytes("x", 1, 0, 1, 0, 0xFFFF0000))
	f.Add(infoBytes(strings.Repeat("n", 32), -1, 1, 1, 1, 1))
	// What is filled in decodes to one fence at the caller's own pointer, without flags.
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) < 56 {
			return // the command says 56 bytes
		}
		i := DecodeSyncFileInfo(in)
		out := append([]byte(nil), in...)
		PutSyncFileInfo(out, string(in[:SyncNameLen]), i.FencePtr)
		assert.Equal(t, SyncFileInfo{NumFences: 1, FencePtr: i.FencePtr}, DecodeSyncFileInfo(out))
		assert.Equal(t, in[56:], out[56:])
	})
}
