package heapnodes

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/internal/sys"
	"github.com/heapfs/heapfs/uapi"
)

func mergeArg(name string, fd2 int32, flags, pad uint32) []byte {
	b := make([]byte, uapi.SyncNameLen, 48)
	copy(b, name)
	for _, word := range []uint32{uint32(fd2), 0xEEEEEEEE, flags, pad} {
		b = binary.LittleEndian.AppendUint32(b, word)
	}
	return b
}

func infoArg(fences, flags, pad uint32, ptr uint64) []byte {
	b := make([]byte, 36, 56)
	for _, word := range []uint32{flags, fences, pad} {
		b = binary.LittleEndian.AppendUint32(b, word)
	}
	return binary.LittleEndian.AppendUint64(b, ptr)
}

func (s *site) ours(name string) *SyncFile {
	s.t.Helper()
	f := s.SyncFile("ours", []byte(name))
	require.NotNil(s.t, f)
	return f
}

func TestOnlyStandInsAreAnsweredForTheKernel(t *testing.T) {
	s := newSite(t)
	assert.Nil(t, s.SyncFile("/memfd:x", nil))
	assert.Nil(t, s.SyncFile("sync", nil), "the kernel answers for its own")
	f := s.ours("x")
	for _, cmd := range []uapi.Cmd{0, 0x5401, 0xC0303E02, 0xC0383E05, 0x40303E03, 0xC0303E04, 0xC0383E03, uapi.BufIoctlSync, uapi.HeapIoctlAlloc} {
		c := newCaller(make([]byte, 64))
		assert.Equal(t, syscall.ENOTTY, Errno(f.Ioctl(context.Background(), c, cmd, argument)), "command %#x", uint32(cmd))
		assert.Empty(t, c.log)
	}
}

func TestMerge(t *testing.T) {
	files := map[int32]fakeFile{3: {link: "/memfd:x"}, 4: {link: "sync"}, 5: {link: "ours"}}
	rows := []struct {
		name string
		data []byte
		harm func(*site, *fakeCaller)
		want syscall.Errno
	}{
		{"the copy in", mergeArg("m", 4, 0, 0)[:47], nil, syscall.EFAULT},
		{"flags before the descriptor", mergeArg("m", 9, 1, 0), nil, syscall.EINVAL},
		{"padding", mergeArg("m", 4, 0, 1), nil, syscall.EINVAL},
		{"a closed descriptor", mergeArg("m", 9, 0, 0), nil, syscall.ENOENT},
		{"no descriptor", mergeArg("m", -1, 0, 0), nil, syscall.ENOENT},
		{"no sync file", mergeArg("m", 3, 0, 0), nil, syscall.ENOENT},
		{"the copy out", mergeArg("m", 4, 0, 0), func(_ *site, c *fakeCaller) {
			c.noWrite = map[uint64]bool{argument + 38: true}
		}, syscall.EFAULT},
		{"no file", mergeArg("m", 4, 0, 0), func(s *site, _ *fakeCaller) { s.sync.err = errors.New("boom") }, syscall.ENOMEM},
		{"no descriptor in the caller", mergeArg("m", 4, 0, 0), func(_ *site, c *fakeCaller) {
			c.install = func() (int, error) { return -1, ErrCallerFiles }
		}, syscall.EMFILE},
		{"with the kernel's", mergeArg("m", 4, 0, 0), nil, 0},
		{"with ours", mergeArg("a longer name", 5, 0, 0), nil, 0},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			s := newSite(t)
			c := newCaller(bytes.Clone(r.data))
			c.files = files
			if r.harm != nil {
				r.harm(s, c)
			}
			assert.Equal(t, r.want, Errno(s.ours("x").Ioctl(context.Background(), c, uapi.SyncIoctlMerge, argument)))
			if r.want != 0 {
				assert.Empty(t, c.installed)
				assert.Equal(t, r.data, c.data)
				return
			}
			want := bytes.Clone(r.data)
			binary.LittleEndian.PutUint32(want[uapi.SyncMergeFence:], 41)
			assert.Equal(t, want, c.data, "the new descriptor and nothing else")
			assert.True(t, c.installed[0].cloexec)
			assert.Equal(t, []string{uapi.DecodeSyncMerge(r.data).Name}, s.sync.names)
		})
	}
}

func TestFileInfo(t *testing.T) {
	const fences = argument + 64
	filled := func(ptr uint64) []byte {
		b := make([]byte, 56)
		uapi.PutSyncFileInfo(b, "frame", ptr)
		return b
	}
	rows := []struct {
		name   string
		data   []byte
		short  int // bytes of the caller's memory, 0 for enough
		want   syscall.Errno
		fence  bool
		answer uint64 // the pointer in it
	}{
		{name: "the copy in", data: infoArg(0, 0, 0, 0), short: 55, want: syscall.EFAULT},
		{name: "flags", data: infoArg(1, 1, 0, fences), want: syscall.EINVAL},
		{name: "padding", data: infoArg(1, 0, 1, fences), want: syscall.EINVAL},
		{name: "a bad pointer to fences", data: infoArg(1, 0, 0, 16), want: syscall.EFAULT},
		{name: "room for part of a fence", data: infoArg(1, 0, 0, fences), short: 64 + 79, want: syscall.EFAULT},
		{name: "how many are there", data: infoArg(0, 0, 0, 16), answer: 16},
		{name: "one", data: infoArg(1, 0, 0, fences), fence: true, answer: fences},
		{name: "room for more", data: infoArg(9, 0, 0, fences), fence: true, answer: fences},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			s := newSite(t)
			mem := make([]byte, 64+uapi.SyncFenceInfoSize+16)
			copy(mem, r.data)
			if r.short != 0 {
				mem = mem[:r.short]
			}
			c := newCaller(mem)
			got := Errno(s.ours("frame").Ioctl(context.Background(), c, uapi.SyncIoctlFileInfo, argument))
			assert.Equal(t, r.want, got)
			if r.want != 0 {
				assert.Equal(t, r.data[:min(56, len(mem))], mem[:min(56, len(mem))])
				return
			}
			assert.Equal(t, filled(r.answer), mem[:56])
			fence := make([]byte, uapi.SyncFenceInfoSize)
			if r.fence {
				uapi.PutSyncFenceInfo(fence, sys.SignalledFence(), 123456789)
			}
			assert.Equal(t, fence, mem[64:64+len(fence)])
		})
	}
}

func TestSetDeadline(t *testing.T) {
	f := newSite(t).ours("x")
	rows := []struct {
		name string
		data []byte
		want syscall.Errno
	}{
		{"the copy in", make([]byte, 15), syscall.EFAULT},
		{"padding", append(make([]byte, 15), 1), syscall.EINVAL},
		{"a fence that has signalled is never late", append([]byte{1}, make([]byte, 15)...), 0},
	}
	for _, r := range rows {
		c := newCaller(bytes.Clone(r.data))
		assert.Equal(t, r.want, Errno(f.Ioctl(context.Background(), c, uapi.SyncIoctlSetDeadline, argument)), r.name)
		assert.Equal(t, r.data, c.data, r.name)
	}
}
