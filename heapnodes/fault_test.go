package heapnodes

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/uapi"
)

func TestABadFaultIsToldByOneLine(t *testing.T) {
	rows := []struct{ spec, reason string }{
		{"", "no HEAP:"},
		{"alloc=ENOMEM", "no HEAP:"},
		{":alloc=ENOMEM", "no HEAP:"},
		{"system:", "no = in the action"},
		{"system:alloc", "no = in the action"},
		{"system:free=ENOMEM", `no action "free"`},
		{"system:=", `no action ""`},
		{"system:alloc=", `"" is none of EFAULT, EINTR, EINVAL, EMFILE, ENFILE, ENOMEM`},
		{"system:alloc=EIO", `"EIO" is none of`},
		{"system:alloc=enomem", `"enomem" is none of`},
		{"system:alloc=ENOMEM@", `"" is no count from 1`},
		{"system:alloc=ENOMEM@0", `"0" is no count from 1`},
		{"system:alloc=ENOMEM@-1", `"-1" is no count from 1`},
		{"system:alloc=ENOMEM@every=0", `"0" is no count from 1`},
		{"system:alloc=ENOMEM@each=3", `"each=3" is no count from 1`},
		{"system:alloc=ENOMEM@4294967296", "is no count from 1"},
		{"system:delay=", "is no duration from 0 to 1h"},
		{"system:delay=5", "is no duration from 0 to 1h"},
		{"system:delay=-1ms", "is no duration from 0 to 1h"},
		{"system:delay=2h", "is no duration from 0 to 1h"},
		{"system:fragment=", "is no seed"},
		{"system:fragment=x", "is no seed"},
		{"system:fragment=18446744073709551616", "is no seed"},
	}
	for _, r := range rows {
		_, err := ParseFault(r.spec)
		require.Error(t, err, r.spec)
		assert.ErrorContains(t, err, r.reason, r.spec)
		assert.ErrorContains(t, err, "expected "+faultForms, r.spec)
		assert.NotContains(t, err.Error(), "\n", r.spec)
	}
}

func TestFaultIsRead(t *testing.T) {
	seed := uint64(0x10)
	rows := []struct {
		spec string
		want Fault
	}{
		{"system:alloc=EINTR", Fault{Heap: "system", Err: ErrInterrupted}},
		{"system:alloc=ENOMEM@3", Fault{Heap: "system", Err: ErrNoMemory, At: 3}},
		{"linux,cma:alloc=EMFILE@every=10", Fault{Heap: "linux,cma", Err: ErrCallerFiles, Every: 10}},
		{"a:b:alloc=ENFILE", Fault{Heap: "a:b", Err: ErrSystemFiles}},
		{"*:delay=5ms", Fault{Heap: "*", Delay: 5 * time.Millisecond}},
		{"x:delay=1h", Fault{Heap: "x", Delay: time.Hour}},
		{"x:fragment=0x10", Fault{Heap: "x", Fragment: &seed}},
	}
	for _, r := range rows {
		got, err := ParseFault(r.spec)
		require.NoError(t, err, r.spec)
		r.want.spec, r.want.count = r.spec, got.count
		assert.Equal(t, r.want, got, r.spec)
	}
}

// verdicts are the errnos of n ALLOCs through a node.
func verdicts(s *site, node string, n int) []syscall.Errno {
	all := make([]syscall.Errno, n)
	for i := range all {
		all[i] = Errno(s.alloc(node, 4096))
	}
	return all
}

func TestFaultsStrikeByCount(t *testing.T) {
	const ok, nomem, intr = 0, syscall.ENOMEM, syscall.EINTR
	rows := []struct {
		name  string
		specs []string
		want  []syscall.Errno
	}{
		{"each", []string{"system:alloc=ENOMEM"}, []syscall.Errno{nomem, nomem, nomem}},
		{"the third", []string{"system:alloc=ENOMEM@3"}, []syscall.Errno{ok, ok, nomem, ok, ok, ok}},
		{"every second", []string{"system:alloc=EINTR@every=2"}, []syscall.Errno{ok, intr, ok, intr}},
		{"two of them", []string{"system:alloc=ENOMEM@2", "*:alloc=EINTR@every=3"}, []syscall.Errno{ok, nomem, ok, intr, ok}},
		{"another heap's", []string{"linux,cma:alloc=ENOMEM"}, []syscall.Errno{ok, ok}},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			s := newSite(t, withFaults(r.specs...))
			assert.Equal(t, r.want, verdicts(s, "system", len(r.want)))
			for _, e := range s.events() {
				if e.Errno != "" {
					assert.Contains(t, e.Reason, "fault ")
				}
			}
		})
	}
}

func TestAFaultOfAHeapIsThatOfAllItsNodes(t *testing.T) {
	s := newSite(t, withFaults("default_cma_region:alloc=ENOMEM@3"))
	assert.NoError(t, s.alloc("default_cma_region", 4096))
	assert.NoError(t, s.alloc("linux,cma", 4096))
	assert.ErrorIs(t, s.alloc("38300000.video-codec", 4096), ErrNoMemory)

	s = newSite(t, withFaults("linux,cma:alloc=ENOMEM"))
	assert.NoError(t, s.alloc("default_cma_region", 4096), "a fault of one node is not the heap's")
	assert.ErrorIs(t, s.alloc("linux,cma", 4096), ErrNoMemory)
}

func TestADelayEndsWithItsCaller(t *testing.T) {
	s := newSite(t, withFaults("system:delay=1h"))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	c := newCaller(request(4096, 0, 0, 0))
	err := s.node("system").Ioctl(ctx, c, uapi.HeapIoctlAlloc, argument)
	assert.ErrorIs(t, err, ErrGone)
	assert.Empty(t, s.events(), "nobody was refused anything")
	s.untouched()

	s = newSite(t, withFaults("system:delay=1ns"))
	assert.NoError(t, s.alloc("system", 4096))
}

func TestFragmentCutsEachPoolOnce(t *testing.T) {
	big := func(c *Config) { c.Pools[1].Size = 64 << 20 }
	whole := newSite(t, big)
	_, stats := whole.node("linux,cma").PoolStats()
	assert.Zero(t, stats.Withheld)

	one := newSite(t, big, withFaults("linux,cma:fragment=7"))
	all := newSite(t, big, withFaults("*:fragment=7")) // three nodes over that pool
	_, cut := one.node("default_cma_region").PoolStats()
	assert.NotZero(t, cut.Withheld)
	assert.Less(t, cut.LargestRun, stats.LargestRun)
	_, again := all.node("linux,cma").PoolStats()
	assert.Equal(t, cut, again)
	_, other := one.node("system").PoolStats()
	assert.Zero(t, other.Withheld)
}

func FuzzParseFault(f *testing.F) {
	for _, seed := range []string{
		"system:alloc=ENOMEM@3", "system:alloc=EINTR@every=10", "*:delay=5ms", "linux,cma:fragment=7", "a:b:alloc=", ":", "x:=",
	} {
		f.Add(seed)
	}
	// What is taken names a heap and does one thing; what is not is told by a line that shows it.
	f.Fuzz(func(t *testing.T, spec string) {
		got, err := ParseFault(spec)
		if err != nil {
			assert.NotContains(t, err.Error(), "\n")
			return
		}
		assert.True(t, strings.HasPrefix(spec, got.Heap+":"))
		assert.NotEmpty(t, got.Heap)
		assert.False(t, got.Err != nil && (got.Delay != 0 || got.Fragment != nil))
		assert.False(t, got.At != 0 && got.Every != 0)
		assert.LessOrEqual(t, got.Delay, time.Hour)
	})
}
