package heapnodes

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/uapi"
)

// charging is a proposal: 8 bytes more in ALLOC's struct, which come back one greater, a flag, and a command 1 that gives the node's name.
type charging struct {
	seen []string
	err  error
}

func (x *charging) Alloc(_ context.Context, n *Node, who Identity, req uapi.AllocRequest, extra []byte) error {
	x.seen = append(x.seen, fmt.Sprintf("%s %d flags %d extra %d", n.Name, who.UID, req.HeapFlags, len(extra)))
	if len(extra) >= 8 {
		binary.LittleEndian.PutUint64(extra, binary.LittleEndian.Uint64(extra)+1)
	}
	return x.err
}

func (x *charging) Ioctl(_ context.Context, n *Node, _ Identity, cmd uapi.Cmd, data []byte, arg uint64) error {
	if cmd.NR() != 1 {
		return ErrInvalid
	}
	x.seen = append(x.seen, fmt.Sprintf("query %q arg %#x", data, arg))
	copy(data, n.Name)
	return x.err
}

func extended(x Extension, size int) func(*Config) {
	return func(c *Config) { c.HeapFlags, c.AllocSize, c.Extension = 2, size, x }
}

func longRequest(size int, flags, more uint64) []byte {
	b := request(page, 0, unix.O_RDWR, flags)
	b = binary.LittleEndian.AppendUint64(b, more)
	return append(b, make([]byte, size-len(b))...)
}

func TestAnExtensionRefuses(t *testing.T) {
	rows := []struct {
		name string
		err  error
		want syscall.Errno
	}{
		{"with an errno of its own", &ExtensionError{Errno: syscall.EDQUOT, Reason: "the memory is not yours"}, syscall.EDQUOT},
		{"with one that is wrapped", fmt.Errorf("charge: %w", &ExtensionError{Errno: syscall.ENODEV, Reason: "no such process"}), syscall.ENODEV},
		{"with an outcome of heaps", fmt.Errorf("%w: nothing left", ErrQuota), syscall.ENOMEM},
		{"with an error of no meaning", errors.New("boom"), syscall.EIO},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			s := newSite(t, extended(&charging{err: r.err}, 32))
			c := newCaller(longRequest(32, 0, 7))
			err := s.node("system").Ioctl(context.Background(), c, uapi.IOWR('H', 0, 32), argument)
			assert.Equal(t, r.want, Errno(err))
			assert.Equal(t, longRequest(32, 0, 7), c.data, "nothing is copied out")
			s.untouched()
			all := s.events()
			require.Len(t, all, 1)
			assert.Equal(t, unix.ErrnoName(r.want), all[0].Errno)
			assert.Equal(t, r.err.Error(), all[0].Reason)

			c = newCaller(make([]byte, 16))
			err = s.node("system").Ioctl(context.Background(), c, uapi.IOWR('H', 1, 16), argument)
			assert.Equal(t, r.want, Errno(err))
			assert.Zero(t, c.written)
		})
	}
}

func TestWhatNoProposalHasIsRefusedAsEver(t *testing.T) {
	x := &charging{}
	s := newSite(t, extended(x, 32))
	for name, call := range map[string]func() error{
		"another flag": func() error {
			return s.node("system").Ioctl(context.Background(), newCaller(longRequest(32, 4, 0)), uapi.IOWR('H', 0, 32), argument)
		},
		"another number": func() error {
			return s.node("system").Ioctl(context.Background(), newCaller(make([]byte, 8)), uapi.IOWR('H', 2, 8), argument)
		},
		"a length of 0": func() error {
			return s.node("system").Ioctl(context.Background(), newCaller(request(0, 0, 0, 2)), uapi.HeapIoctlAlloc, argument)
		},
	} {
		assert.Equal(t, syscall.EINVAL, Errno(call()), name)
	}
	assert.Equal(t, syscall.EFAULT, Errno(s.node("system").Ioctl(context.Background(), newCaller(nil), uapi.IOWR('H', 1, 16), argument)))
	assert.Empty(t, x.seen, "the proposal is not asked")
	s.untouched()
}

func TestAProposalsStructOfEachCaller(t *testing.T) {
	rows := []struct {
		name     string
		declared int
		cmd      uapi.Cmd
		data     []byte
		seen     string
		back     uint64 // the added field, as the caller finds it
	}{
		{"of the declared size", 32, uapi.IOWR('H', 0, 32), longRequest(32, 2, 7), "system 1000 flags 2 extra 8", 8},
		{"of 48 bytes where 48 are declared", 48, uapi.IOWR('H', 0, 48), longRequest(48, 0, 7), "system 1000 flags 0 extra 24", 8},
		{"longer than declared", 32, uapi.IOWR('H', 0, 48), longRequest(48, 0, 7), "system 1000 flags 0 extra 8", 8},
		{"of today", 48, uapi.HeapIoctlAlloc, longRequest(32, 0, 7), "system 1000 flags 0 extra 24", 7},
		{"not copied back", 32, uapi.IOW('H', 0, 32), longRequest(32, 0, 7), "system 1000 flags 0 extra 8", 7},
		{"nothing declared", 0, uapi.IOWR('H', 0, 32), longRequest(32, 0, 7), "system 1000 flags 0 extra 0", 7},
		{"larger than what needs no allocation", 4096, uapi.IOWR('H', 0, 4096), longRequest(4096, 0, 7), "system 1000 flags 0 extra 4072", 8},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			x := &charging{}
			s := newSite(t, extended(x, r.declared))
			c := newCaller(r.data)
			require.NoError(t, s.node("system").Ioctl(context.Background(), c, r.cmd, argument))
			assert.Equal(t, []string{r.seen}, x.seen)
			assert.Equal(t, r.back, binary.LittleEndian.Uint64(c.data[24:]))
		})
	}
}

func TestFlagsOfABoardAreTakenWithoutAnExtension(t *testing.T) {
	s := newSite(t, func(c *Config) { c.HeapFlags, c.AllocSize = 2, 48 })
	data := longRequest(48, 2, 7)
	c := newCaller(data)
	require.NoError(t, s.node("system").Ioctl(context.Background(), c, uapi.IOWR('H', 0, 48), argument))
	assert.Equal(t, uint64(7), binary.LittleEndian.Uint64(c.data[24:]), "the field comes back as it was")
	assert.Equal(t, syscall.EINVAL, Errno(s.node("system").Ioctl(context.Background(), newCaller(longRequest(48, 3, 0)), uapi.IOWR('H', 0, 48), argument)))
	seen := s.events()
	require.Len(t, seen, 2)
	assert.Equal(t, []uint64{2, 3}, []uint64{seen[0].HeapFlags, seen[1].HeapFlags}, "the events tell what was taken, and what was not")
}

func TestAProposalsOwnCommand(t *testing.T) {
	x := &charging{}
	s := newSite(t, extended(x, 0))
	c := newCaller([]byte("0123456789abcdef"))
	require.NoError(t, s.node("linux,cma").Ioctl(context.Background(), c, uapi.IOWR('H', 1, 16), argument))
	assert.Equal(t, "linux,cma9abcdef", string(c.data))
	require.NoError(t, s.node("system").Ioctl(context.Background(), c, uapi.IOC(0, 'H', 1, 0), 42))
	require.NoError(t, s.node("system").Ioctl(context.Background(), c, uapi.IOC(2, 'H', 1, 8), argument))
	assert.Equal(t, "system\x00\x00", string(c.data[:8]), "what was not copied in is zero")
	assert.Equal(t, []string{`query "0123456789abcdef" arg 0x7f0000001f00`, `query "" arg 0x2a`, `query "\x00\x00\x00\x00\x00\x00\x00\x00" arg 0x7f0000001f00`}, x.seen)
}
