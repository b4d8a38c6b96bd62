package heapnodes

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/heapnodes/events"
	"github.com/heapfs/heapfs/uapi"
)

// pageEnd is the address of the first page border behind argument.
const pageEnd = argument&^(page-1) + page

func (b *Buffer) call(c Caller, cmd uapi.Cmd, arg uint64) syscall.Errno {
	return Errno(b.Ioctl(context.Background(), c, cmd, arg))
}

func TestABufferComparesWholeCommands(t *testing.T) {
	b := newSite(t).live("system", 4096)
	for _, cmd := range []uapi.Cmd{
		0, 0x5401, 0x6200, 0x80086200, 0xC0086200, 0x40046200, 0x40106200, 0x6201, 0x40106201, 0x40086202, 0xC0086203, 0x40086204,
		uapi.HeapIoctlAlloc, uapi.SyncIoctlMerge, uapi.SyncIoctlFileInfo, 0xFFFFFFFF,
	} {
		c := newCaller(make([]byte, 64))
		assert.Equal(t, syscall.ENOTTY, b.call(c, cmd, argument), "command %#x", uint32(cmd))
		assert.Empty(t, c.log)
	}
}

func TestSync(t *testing.T) {
	b := newSite(t).live("system", 4096)
	flags := func(f uint64) *fakeCaller { return newCaller(binary.LittleEndian.AppendUint64(nil, f)) }
	assert.Equal(t, syscall.EFAULT, b.call(newCaller(make([]byte, 7)), uapi.BufIoctlSync, argument))
	for _, f := range []uint64{0, 4, 8, 9, 1<<32 | 1} {
		assert.Equal(t, syscall.EINVAL, b.call(flags(f), uapi.BufIoctlSync, argument), "flags %#x", f)
	}
	for _, f := range []uint64{7, 3, 1, 2, 6, 5, 5} { // an END without a START is not detected
		assert.Zero(t, b.call(flags(f), uapi.BufIoctlSync, argument), "flags %#x", f)
	}
}

func TestSetName(t *testing.T) {
	rows := []struct {
		name string
		mem  string // what is at the pointer, up to the end of the caller's memory
		at   uint64 // of the pointer
		want syscall.Errno
		is   string
		log  []string
	}{
		{"a bad pointer", "", argument + 4096, syscall.EFAULT, "", []string{"read 32"}},
		{"memory that ends before a NUL", "camera", pageEnd - 6, syscall.EFAULT, "", []string{"read 6", "read 26"}},
		{"31 bytes, then the end of memory", strings.Repeat("x", 31), pageEnd - 31, syscall.EFAULT, "", []string{"read 31", "read 1"}},
		{"32 bytes without a NUL", strings.Repeat("x", 32) + "\x00", argument, syscall.EINVAL, "", []string{"read 32"}},
		{"32 bytes without a NUL at the end of memory", strings.Repeat("x", 32), pageEnd - 32, syscall.EINVAL, "", []string{"read 32"}},
		{"32 bytes without a NUL over a page's end", strings.Repeat("x", 33), pageEnd - 1, syscall.EINVAL, "", []string{"read 1", "read 31"}},
		{"an empty name", "\x00" + strings.Repeat("-", 40), argument, 0, "", []string{"read 32"}},
		{"31 bytes", strings.Repeat("x", 31) + "\x00", argument, 0, strings.Repeat("x", 31), []string{"read 32"}},
		{"31 bytes over a page's end", strings.Repeat("x", 31) + "\x00", pageEnd - 16, 0, strings.Repeat("x", 31), []string{"read 16", "read 16"}},
		{"no page behind the one with the NUL", "camera\x00", pageEnd - 7, 0, "camera", []string{"read 7"}},
		{"a NUL alone at the end of memory", "\x00", pageEnd - 1, 0, "", []string{"read 1"}},
		{"bytes behind the NUL", "a\x00" + strings.Repeat("b", 40), argument, 0, "a", []string{"read 32"}},
	}
	for _, cmd := range []uapi.Cmd{uapi.BufIoctlSetNameA, uapi.BufIoctlSetNameB} {
		for _, r := range rows {
			t.Run(r.name, func(t *testing.T) {
				s := newSite(t)
				b := s.live("system", 4096)
				s.events()
				before := "before"
				b.name.Store(&before)
				c := newCaller(nil)
				if r.at-argument <= page {
					c.data = append(bytes.Repeat([]byte{'-'}, int(r.at-argument)), r.mem...)
				}
				assert.Equal(t, r.want, b.call(c, cmd, r.at))
				assert.Equal(t, r.log, c.log)
				if r.want != 0 {
					assert.Equal(t, before, b.Name())
					assert.Empty(t, s.events())
					return
				}
				assert.Equal(t, r.is, b.Name())
				all := s.events()
				require.Len(t, all, 1)
				assert.Equal(t, events.SetName, all[0].Event)
				assert.Equal(t, r.is, all[0].Name)
				assert.Empty(t, all[0].Extents)
			})
		}
	}
}

func TestANameThatMayBeAnothersIsNotTaken(t *testing.T) {
	s := newSite(t)
	b := s.live("system", 4096)
	s.events()
	c := newCaller(append([]byte("somebody else's\x00"), make([]byte, 32)...))
	c.check = ErrGone // the thread that was read has ended, and its number may be in use again
	assert.ErrorIs(t, b.Ioctl(context.Background(), c, uapi.BufIoctlSetNameB, argument), ErrGone)
	assert.Empty(t, b.Name())
	assert.Empty(t, s.events())
}

func TestTheLastNameIsToldAtTheEnd(t *testing.T) {
	s := newSite(t)
	b := s.live("system", 4096)
	assert.Empty(t, b.Name())
	for _, name := range []string{"first\x00", "second\x00"} {
		c := newCaller(append([]byte(name), make([]byte, 32)...))
		require.Zero(t, b.call(c, uapi.BufIoctlSetNameB, argument))
	}
	s.exporter.made[0].gone()
	all := s.events()
	assert.Equal(t, "second", all[len(all)-1].Name)
}

func TestExportSyncFile(t *testing.T) {
	arg := func(flags uint32) []byte { return []byte{byte(flags), byte(flags >> 8), 0, 0, 0xEE, 0xEE, 0xEE, 0xEE} }
	rows := []struct {
		name string
		data []byte
		harm func(*site, *fakeCaller)
		want syscall.Errno
		log  []string
	}{
		{"the copy in", arg(3)[:7], nil, syscall.EFAULT, []string{"read 8"}},
		{"no flags", arg(0), nil, syscall.EINVAL, []string{"read 8"}},
		{"a flag outside", arg(5), nil, syscall.EINVAL, []string{"read 8"}},
		{"the copy out, before there is a descriptor", arg(1), func(_ *site, c *fakeCaller) {
			c.noWrite = map[uint64]bool{argument + 5: true}
		}, syscall.EFAULT, []string{"read 8", "write 8"}},
		{"no sync file", arg(1), func(s *site, _ *fakeCaller) { s.sync.err = errors.New("boom") }, syscall.ENOMEM, []string{"read 8", "write 8"}},
		{"no descriptor in the caller", arg(1), func(_ *site, c *fakeCaller) {
			c.install = func() (int, error) { return -1, ErrCallerFiles }
		}, syscall.EMFILE, []string{"read 8", "write 8", "install"}},
		{"read", arg(1), nil, 0, []string{"read 8", "write 8", "install", "write 4"}},
		{"write", arg(2), nil, 0, []string{"read 8", "write 8", "install", "write 4"}},
		{"both", arg(3), nil, 0, []string{"read 8", "write 8", "install", "write 4"}},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			s := newSite(t)
			b := s.live("system", 4096)
			c := newCaller(bytes.Clone(r.data))
			if r.harm != nil {
				r.harm(s, c)
			}
			assert.Equal(t, r.want, b.call(c, uapi.BufIoctlExportSyncFile, argument))
			assert.Equal(t, r.log, c.log)
			if r.want != 0 {
				assert.Equal(t, r.data, c.data)
				assert.Empty(t, c.installed)
				return
			}
			assert.Equal(t, append(r.data[:4:4], 41, 0, 0, 0), c.data)
			assert.True(t, c.installed[0].cloexec, "always close-on-exec")
			assert.Equal(t, []string{""}, s.sync.names, "the kernel's own name")
		})
	}
}

func TestImportSyncFile(t *testing.T) {
	arg := func(flags uint32, fd int32) []byte {
		return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, flags), uint32(fd))
	}
	files := map[int32]fakeFile{3: {link: "/memfd:x"}, 4: {link: "sync"}, 5: {link: "ours"}}
	rows := []struct {
		name string
		data []byte
		want syscall.Errno
	}{
		{"the copy in", arg(3, 4)[:7], syscall.EFAULT},
		{"no flags", arg(0, 4), syscall.EINVAL},
		{"a flag outside", arg(8|3, 4), syscall.EINVAL},
		{"a closed descriptor", arg(3, 9), syscall.EINVAL},
		{"no descriptor", arg(3, -1), syscall.EINVAL},
		{"no sync file", arg(3, 3), syscall.EINVAL},
		{"the kernel's", arg(3, 4), 0},
		{"ours", arg(1, 5), 0},
	}
	b := newSite(t).live("system", 4096)
	for _, r := range rows {
		c := newCaller(bytes.Clone(r.data))
		c.files = files
		assert.Equal(t, r.want, b.call(c, uapi.BufIoctlImportSyncFile, argument), r.name)
		assert.Equal(t, r.data, c.data, r.name)
		assert.Empty(t, c.installed, r.name)
	}
}
