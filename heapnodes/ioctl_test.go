package heapnodes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/heapnodes/events"
	"github.com/heapfs/heapfs/uapi"
)

func TestNumbersFromOneAreInvalidBeforeAnythingIsRead(t *testing.T) {
	for _, cmd := range []uapi.Cmd{0xC0184801, 0x5401, uapi.BufIoctlSetNameB, uapi.BufIoctlExportSyncFile, 0xC01848FF, 0x01, 0xFFFFFFFF} {
		s := newSite(t)
		c := newCaller(nil)
		err := s.node("system").Ioctl(context.Background(), c, cmd, argument)
		assert.Equal(t, syscall.EINVAL, Errno(err), "command %#x", uint32(cmd))
		assert.Empty(t, c.log, "command %#x", uint32(cmd))
		s.untouched()
	}
}

// Each row breaks two rules or more; the one that the kernel looks at first decides.
func TestOrderOfChecks(t *testing.T) {
	boom := errors.New("boom")
	rows := []struct {
		name   string
		req    []byte
		faults string
		close  bool
		export error
		harm   func(*fakeCaller)
		want   syscall.Errno
		reason string
	}{
		{name: "the copy in before the flags", req: request(0, 1, math.MaxUint32, 1)[:23], want: syscall.EFAULT},
		{name: "the descriptor before the length", req: request(0, 1, 0, 0), want: syscall.EINVAL},
		{name: "fd_flags before a fault on demand", req: request(4096, 0, unix.O_NONBLOCK, 0), faults: "system:alloc=ENOMEM", want: syscall.EINVAL},
		{name: "heap_flags before a fault on demand", req: request(4096, 0, 0, 1), faults: "system:alloc=ENOMEM", want: syscall.EINVAL},
		{name: "the length before the instance's end", req: request(0, 0, 0, 0), close: true, want: syscall.EINVAL},
		{name: "a length that wraps before the pool", req: request(math.MaxUint64, 0, 0, 0), want: syscall.EINVAL},
		{name: "a fault on demand before the pool", req: request(1<<40, 0, 0, 0), faults: "system:alloc=EINTR", want: syscall.EINTR, reason: "fault system:alloc=EINTR, ALLOC 1"},
		{name: "the instance's end before the pool", req: request(1<<40, 0, 0, 0), close: true, want: syscall.ENOMEM, reason: "the instance ends"},
		{name: "the pool before the file", req: request(1<<40, 0, 0, 0), export: boom, want: syscall.ENOMEM, reason: `pool "ram"`},
		{name: "the file before the copy out", req: request(4096, 0, 0, 0), export: boom,
			harm: func(c *fakeCaller) { c.writes = func(int) error { return ErrFault } }, want: syscall.ENOMEM, reason: "boom"},
		{name: "the copy out before the descriptor", req: request(4096, 0, 0, 0),
			harm: func(c *fakeCaller) {
				c.writes = func(int) error { return ErrFault }
				c.install = func() (int, error) { return -1, ErrCallerFiles }
			}, want: syscall.EFAULT},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			var change []func(*Config)
			if r.faults != "" {
				change = append(change, withFaults(r.faults))
			}
			s := newSite(t, change...)
			s.exporter.err = r.export
			if r.close {
				s.Close()
			}
			c := newCaller(r.req)
			if r.harm != nil {
				r.harm(c)
			}
			err := s.node("system").Ioctl(context.Background(), c, uapi.HeapIoctlAlloc, argument)
			assert.Equal(t, r.want, Errno(err), "%v", err)
			assert.ErrorContains(t, err, r.reason)
			assert.Empty(t, c.installed)
			s.untouched()
			all := s.events()
			require.Len(t, all, 1)
			assert.Equal(t, events.AllocFailed, all[0].Event)
			assert.Equal(t, unix.ErrnoName(r.want), all[0].Errno)
			assert.Equal(t, err.Error(), all[0].Reason)
		})
	}
}

func TestAFaultOnDemandCountsOnlyWhatTheKernelWouldTry(t *testing.T) {
	s := newSite(t, withFaults("system:alloc=ENOMEM@1"))
	assert.Equal(t, syscall.EINVAL, Errno(s.alloc("system", 0)))
	assert.Equal(t, syscall.ENOMEM, Errno(s.alloc("system", 4096)))
	assert.NoError(t, s.alloc("system", 4096))
}

func TestArgumentIsSizedByTheCommand(t *testing.T) {
	const fill = 0xEE
	arg := func(n int) []byte {
		b := bytes.Repeat([]byte{fill}, max(n, 24))
		copy(b, request(5000, 0, unix.O_RDWR|unix.O_CLOEXEC, 0))
		return b[:n]
	}
	for _, size := range []int{8, 16, 24, 48, 128, 129, 200, uapi.MaxSize} {
		t.Run(fmt.Sprintf("in and out %d", size), func(t *testing.T) {
			s := newSite(t)
			c := newCaller(arg(size))
			want := arg(size)
			uapi.PutAllocFD(want, 41)
			require.NoError(t, s.node("system").Ioctl(context.Background(), c, uapi.IOWR('H', 0, uint32(size)), argument))
			assert.Equal(t, want, c.data, "the descriptor and nothing else")
			answer := "write 4"
			if size == 8 {
				answer = "write 0" // the caller never learns the number
			}
			assert.Equal(t, []string{fmt.Sprintf("read %d", size), fmt.Sprintf("write %d", size), "install", answer}, c.log)
			assert.Equal(t, uint64(8192), s.exporter.made[0].size)
			assert.Equal(t, 1, s.exporter.made[0].delivered)
		})
	}

	t.Run("write-only: nothing comes back", func(t *testing.T) {
		s := newSite(t)
		c := newCaller(arg(24))
		require.NoError(t, s.node("system").Ioctl(context.Background(), c, uapi.IOW('H', 0, 24), argument))
		assert.Equal(t, arg(24), c.data)
		assert.Len(t, c.installed, 1)
	})
	for name, dir := range map[string]uint32{"read-only": 2, "no direction": 0} {
		t.Run(name+": the length is 0", func(t *testing.T) {
			s := newSite(t)
			c := newCaller(arg(24))
			err := s.node("system").Ioctl(context.Background(), c, uapi.IOC(dir, 'H', 0, 24), argument)
			assert.Equal(t, syscall.EINVAL, Errno(err))
			assert.Equal(t, arg(24), c.data)
			assert.Equal(t, []string{"read 0"}, c.log)
		})
	}
	t.Run("a SYNC sent to a heap is an ALLOC of its flags", func(t *testing.T) {
		s := newSite(t)
		c := newCaller([]byte{5, 0, 0, 0, 0, 0, 0, 0})
		require.NoError(t, s.node("system").Ioctl(context.Background(), c, uapi.BufIoctlSync, argument))
		assert.Equal(t, uint64(4096), s.exporter.made[0].size)
		assert.Len(t, c.installed, 1)
	})
}

func TestFlagsGoToDescriptorAndFile(t *testing.T) {
	for _, mode := range []uint32{unix.O_RDONLY, unix.O_WRONLY, unix.O_RDWR, unix.O_ACCMODE} {
		for _, cloexec := range []uint32{0, unix.O_CLOEXEC} {
			s := newSite(t)
			c := newCaller(request(1, 0, mode|cloexec, 0))
			require.NoError(t, s.node("system").Ioctl(context.Background(), c, uapi.HeapIoctlAlloc, argument))
			assert.Equal(t, []fakeInstall{{101, cloexec != 0}}, c.installed)
			assert.Equal(t, int(mode), s.exporter.made[0].accMode)
			assert.True(t, s.exporter.made[0].cpu)
		}
	}
	s := newSite(t)
	require.NoError(t, s.alloc("protected,secure-video", 4096))
	assert.False(t, s.exporter.made[0].cpu, "a protected buffer is not the CPU's")
}

func TestAnyByteThatFaultsIsEFAULT(t *testing.T) {
	for i := range uint64(24) {
		s := newSite(t)
		c := newCaller(request(4096, 0, 0, 0))
		c.noRead = map[uint64]bool{argument + i: true}
		err := s.node("system").Ioctl(context.Background(), c, uapi.HeapIoctlAlloc, argument)
		assert.Equal(t, syscall.EFAULT, Errno(err), "byte %d on the way in", i)
		assert.Empty(t, s.exporter.made)
		s.untouched()

		s = newSite(t)
		c = newCaller(request(4096, 0, 0, 0))
		c.noWrite = map[uint64]bool{argument + i: true}
		err = s.node("system").Ioctl(context.Background(), c, uapi.HeapIoctlAlloc, argument)
		assert.Equal(t, syscall.EFAULT, Errno(err), "byte %d on the way out", i)
		assert.Empty(t, c.installed, "found out before the descriptor was in the caller")
		assert.Equal(t, 1, s.exporter.made[0].discarded)
		assert.Equal(t, []string{events.AllocFailed}, s.kinds())
		s.untouched()
	}
}

func TestAnErrorIsNotWrittenBack(t *testing.T) {
	rows := []struct {
		name     string
		length   uint64
		readable int
		install  error
		want     syscall.Errno
		writes   int
	}{
		{"a refusal", 0, 24, nil, syscall.EINVAL, 0},
		{"no memory", 1 << 40, 24, nil, syscall.ENOMEM, 0},
		{"a copy-in fault", 0, 23, nil, syscall.EFAULT, 0},
		{"nobody waits", 4096, 24, ErrGone, syscall.EINTR, 1}, // the probe
		{"no descriptor", 4096, 24, ErrCallerFiles, syscall.EMFILE, 1},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			s := newSite(t)
			c := newCaller(request(r.length, 0, 0, 0)[:r.readable])
			if r.writes == 0 {
				c.noWrite = map[uint64]bool{argument + 20: true} // which would win, were it tried
			}
			c.install = func() (int, error) { return -1, r.install }
			err := s.node("system").Ioctl(context.Background(), c, uapi.HeapIoctlAlloc, argument)
			assert.Equal(t, r.want, Errno(err))
			assert.Equal(t, r.writes, c.written)
			assert.Equal(t, request(r.length, 0, 0, 0)[:r.readable], c.data)
			for _, e := range s.events() {
				if e.Event == events.AllocFailed {
					assert.Equal(t, unix.ErrnoName(r.want), e.Errno)
				}
			}
			s.untouched()
		})
	}
}

func TestAnAnswerThatFaultsAfterDeliveryLeavesTheBufferWithTheCaller(t *testing.T) {
	s := newSite(t)
	c := newCaller(request(4096, 0, 0, 0))
	c.writes = func(n int) error {
		if n == 2 {
			return ErrFault
		}
		return nil
	}
	err := s.node("system").Ioctl(context.Background(), c, uapi.HeapIoctlAlloc, argument)
	assert.Equal(t, syscall.EFAULT, Errno(err))
	assert.Equal(t, 1, s.exporter.made[0].delivered)
	assert.Zero(t, s.exporter.made[0].discarded)
	assert.Len(t, s.Buffers(), 1)
	s.exporter.made[0].gone()
	s.untouched()
}

func TestAllocEventIsToldBeforeTheCallerHasTheDescriptor(t *testing.T) {
	s := newSite(t)
	c := newCaller(request(4097, 0, 0, 0))
	var before []events.Event
	c.install = func() (int, error) { before = s.events(); return 0, nil }
	require.NoError(t, s.node("linux,cma").Ioctl(context.Background(), c, uapi.HeapIoctlAlloc, argument))
	require.Len(t, before, 1)
	e := before[0]
	assert.Equal(t, events.Alloc, e.Event)
	assert.Equal(t, "fake", e.Door)
	assert.Equal(t, "linux,cma", e.Heap, "the node that was asked")
	assert.EqualValues(t, 1, e.Buffer)
	assert.EqualValues(t, 8192, e.Len)
	assert.Equal(t, []int{10, 11, 1000}, []int{e.PID, e.TID, *e.UID})
	assert.Equal(t, "client", e.Comm)
	assert.NotEmpty(t, e.Extents)
}

func TestAnUnknownUserIsNotRoot(t *testing.T) {
	s := newSite(t)
	c := newCaller(request(0, 0, 0, 0))
	c.id = Identity{UID: -1}
	s.node("system").Refused(c, ErrBusy)
	all := s.events()
	require.Len(t, all, 1)
	assert.Nil(t, all[0].UID)
	assert.Equal(t, "ENOMEM", all[0].Errno)
}

func TestWhereNobodyWaitsNothingWasRefused(t *testing.T) {
	s := newSite(t)
	c := newCaller(request(0, 0, 0, 0))
	c.check = ErrGone
	assert.Equal(t, syscall.EINVAL, Errno(s.node("system").Ioctl(context.Background(), c, uapi.HeapIoctlAlloc, argument)))
	s.node("system").Refused(c, ErrBusy)
	assert.Empty(t, s.events())
}

// guesser is a caller that guesses the number of its next descriptor.
type guesser struct {
	*fakeCaller
	next int
}

func (g guesser) NextFD() int { return g.next }

func TestAGuessedNumberIsWrittenWithTheProbe(t *testing.T) {
	rows := []struct {
		name  string
		guess int
		fd    uint32
		log   []string
	}{
		{"no guess", 0, 41, []string{"read 24", "write 24", "install", "write 4"}},
		{"a wrong one", 5, 41, []string{"read 24", "write 24", "install", "write 4"}},
		{"a right one", 41, 41, []string{"read 24", "write 24", "install"}},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			s := newSite(t)
			c := guesser{newCaller(request(4096, 0, 0, 0)), r.guess}
			require.NoError(t, s.node("system").Ioctl(context.Background(), c, uapi.HeapIoctlAlloc, argument))
			assert.Equal(t, request(4096, r.fd, 0, 0), c.data)
			assert.Equal(t, r.log, c.log)
		})
	}
}

func TestAGuessDoesNotOutliveAFailure(t *testing.T) {
	fails := func() (int, error) { return -1, ErrCallerFiles }
	s := newSite(t)
	c := guesser{newCaller(request(4096, 0, 0, 0)), 41}
	c.install = fails
	assert.ErrorIs(t, s.node("system").Ioctl(context.Background(), c, uapi.HeapIoctlAlloc, argument), ErrCallerFiles)
	assert.Equal(t, request(4096, 0, 0, 0), c.data)

	c = guesser{newCaller(request(4096, 0, 0, 0)), 41}
	c.noWrite = map[uint64]bool{argument + 16: true} // behind the number
	assert.ErrorIs(t, s.node("system").Ioctl(context.Background(), c, uapi.HeapIoctlAlloc, argument), ErrFault)
	assert.Equal(t, request(4096, 0, 0, 0), c.data)
}
