package backing

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
)

const (
	testBase = 0x4000_0000
	testSize = 64 << 20
)

// newUdmabufs makes an exporter over a pool of each kind, all of the same place.
func newUdmabufs(t *testing.T) *Udmabufs {
	t.Helper()
	if err := CheckUdmabuf(); err != nil {
		if _, statErr := os.Stat("/dev/udmabuf"); errors.Is(statErr, fs.ErrNotExist) {
			t.Skip("kernel lacks: /dev/udmabuf; to have it: make test-vm")
		}
		t.Skipf("/dev/udmabuf can't be opened (%v); run the tests as root", err)
	}
	var pools []PoolConfig
	for _, k := range []Kind{Contiguous, Scatter, Coherent, Protected} {
		pools = append(pools, PoolConfig{Name: string(k), Kind: k, Base: testBase, Size: testSize})
	}
	m, err := NewUdmabufs(pools)
	require.NoError(t, err)
	t.Cleanup(m.Close)
	return m
}

func makeUdmabuf(t *testing.T, m *Udmabufs, pool Kind, extents ...Extent) (f *Udmabuf, gone chan struct{}) {
	t.Helper()
	gone = make(chan struct{})
	f, err := m.New(string(pool), extents, true, func() { close(gone) })
	require.NoError(t, err)
	return f, gone
}

// deliverUdmabuf makes one and takes the place of its caller.
func deliverUdmabuf(t *testing.T, m *Udmabufs, pool Kind, extents ...Extent) (held int, gone chan struct{}) {
	t.Helper()
	f, gone := makeUdmabuf(t, m, pool, extents...)
	held, err := unix.Dup(f.FD())
	require.NoError(t, err)
	f.Delivered()
	return held, gone
}

func notGone(t *testing.T, m *Udmabufs, gone chan struct{}) {
	t.Helper()
	m.Sweep()
	select {
	case <-gone:
		require.FailNow(t, "the buffer is gone while it is held")
	default:
	}
}

func mapUdmabuf(t *testing.T, fd, size int) []byte {
	t.Helper()
	mem, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	require.NoError(t, err)
	return mem
}

func at(offset, length uint64) Extent { return Extent{Addr: testBase + offset, Len: length} }

func TestUdmabufRefusesAProtectedPool(t *testing.T) {
	m := newUdmabufs(t)
	_, err := m.New(string(Protected), []Extent{at(0, 4096)}, false, nil)
	require.ErrorIs(t, err, ErrNoCPU)
	_, err = m.New("nosuch", []Extent{at(0, 4096)}, true, nil)
	require.ErrorIs(t, err, ErrNoStore)
}

func TestUdmabufBeyondALimitSaysWhichOne(t *testing.T) {
	m := newUdmabufs(t)
	sizeMB, ranges := UdmabufLimits()
	require.NotZero(t, sizeMB)
	require.NotZero(t, ranges)

	err := m.limits.check(sizeMB<<20+4096, 1)
	require.ErrorIs(t, err, ErrUdmabufLimit)
	assert.Contains(t, err.Error(), "size_limit_mb")
	require.NoError(t, m.limits.check(sizeMB<<20, 1))

	many := make([]Extent, ranges+1)
	for i := range many {
		many[i] = at(uint64(i)*8192, 4096)
	}
	_, err = m.New(string(Scatter), many, true, nil)
	require.ErrorIs(t, err, ErrUdmabufLimit)
	assert.Contains(t, err.Error(), "list_limit")
	f, _ := makeUdmabuf(t, m, Scatter, many[1:]...)
	f.Discard()
}

func TestUdmabufLimitThatRootLoweredIsExplained(t *testing.T) {
	m := newUdmabufs(t)
	file := filepath.Join(udmabufParameters, "size_limit_mb")
	old, err := os.ReadFile(file)
	require.NoError(t, err)
	if os.WriteFile(file, []byte("1"), 0) != nil {
		t.Skip("only root can lower the limit: run the test binary as root")
	}
	t.Cleanup(func() { assert.NoError(t, os.WriteFile(file, old, 0)) })
	_, err = m.New(string(Contiguous), []Extent{at(0, 2<<20)}, true, nil)
	require.ErrorIs(t, err, ErrUdmabufLimit)
	assert.Contains(t, err.Error(), "size_limit_mb is 1: echo 2 > "+file)
}

func TestUdmabufIsADMABufOfItsRanges(t *testing.T) {
	m := newUdmabufs(t)
	extents := []Extent{at(8<<20, 1<<20), at(2<<20, 64<<10), at(5<<20, 4096)}
	f, gone := makeUdmabuf(t, m, Scatter, extents...)
	size := int(sizeOf(extents))
	mem := mapUdmabuf(t, f.FD(), size)
	var st unix.Stat_t
	require.NoError(t, unix.Fstat(f.FD(), &st))
	assert.EqualValues(t, size, st.Size)
	id, err := sys.StatFD(f.FD())
	require.NoError(t, err)
	assert.Equal(t, id, f.ID())
	assert.Equal(t, make([]byte, size), mem, "it is zeroed")

	// Every byte is where its extent says.
	s := m.stores[string(Scatter)]
	pos := 0
	for i, e := range extents {
		mem[pos], mem[pos+int(e.Len)-1] = byte(i+1), byte(i+101)
		assert.Equal(t, byte(i+1), s.mem[e.Addr-testBase])
		assert.Equal(t, byte(i+101), s.mem[e.End()-testBase-1])
		pos += int(e.Len)
	}
	require.NoError(t, unix.Munmap(mem))
	f.Delivered()
	isGone(t, gone)
}

func TestUdmabufTakesAnEndWithoutAStart(t *testing.T) {
	m := newUdmabufs(t)
	f, gone := makeUdmabuf(t, m, Contiguous, at(0, 4096))
	require.NoError(t, sys.BufSync(f.FD(), true))
	f.Delivered()
	isGone(t, gone)
}

func TestUdmabufIsGoneAtTheLastHolder(t *testing.T) {
	m := newUdmabufs(t)
	for _, pool := range []Kind{Contiguous, Scatter, Coherent} {
		fd, gone := deliverUdmabuf(t, m, pool, at(0, 1<<20))
		second, err := unix.Dup(fd)
		require.NoError(t, err)
		sys.Close(fd)
		notGone(t, m, gone)

		mem := mapUdmabuf(t, second, 1<<20)
		sys.Close(second)
		notGone(t, m, gone)
		require.NoError(t, unix.Munmap(mem))
		isGone(t, gone)
	}
}

func TestUdmabufInFlightIsHeld(t *testing.T) {
	m := newUdmabufs(t)
	fd, gone := deliverUdmabuf(t, m, Contiguous, at(0, 4096))
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	require.NoError(t, unix.Sendmsg(pair[0], []byte{0}, unix.UnixRights(fd), nil, 0))
	sys.Close(fd)
	notGone(t, m, gone)
	sys.Close(pair[0])
	sys.Close(pair[1])
	isGone(t, gone)
}

func TestSweepTellsOfAnEndBeforeItReturns(t *testing.T) {
	m := newUdmabufs(t)
	for range 100 {
		fd, gone := deliverUdmabuf(t, m, Contiguous, at(0, 4096))
		sys.Close(fd)
		m.Sweep()
		select {
		case <-gone:
		default:
			require.FailNow(t, "the Sweep after the last close has not told")
		}
	}
}

func TestManyUdmabufsNeedFewDescriptors(t *testing.T) {
	m := newUdmabufs(t)
	before := openFiles(t)
	const n = 3*holdersPerSet + 1
	fds := make([]int, n)
	var ends atomic.Int32
	for i := range fds {
		f, err := m.New(string(Scatter), []Extent{at(uint64(i)*4096, 4096)}, true, func() { ends.Add(1) })
		require.NoError(t, err)
		fds[i], err = unix.Dup(f.FD())
		require.NoError(t, err)
		f.Delivered()
	}
	assert.LessOrEqual(t, openFiles(t)-before, n+4, "the holders' own, and a set for each 256")
	for i, fd := range fds {
		if i%2 == 0 {
			sys.Close(fd)
		}
	}
	m.Sweep()
	assert.EqualValues(t, n/2+1, ends.Load())
	for i, fd := range fds {
		if i%2 == 1 {
			sys.Close(fd)
		}
	}
	m.Sweep()
	assert.EqualValues(t, n, ends.Load())
	assert.LessOrEqual(t, openFiles(t), before, "the sets are closed but for one")
}

func openFiles(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(all)
}

func TestDiscardedUdmabufIsNotTold(t *testing.T) {
	m := newUdmabufs(t)
	f, gone := makeUdmabuf(t, m, Contiguous, at(0, 4096))
	f.Discard()
	notGone(t, m, gone)
	assert.Zero(t, m.holders.count())
}

func TestRangeIsZeroedBeforeItsEndIsTold(t *testing.T) {
	m := newUdmabufs(t)
	// A neighbour in the same huge page keeps that from being given back whole.
	neighbour, neighbourGone := deliverUdmabuf(t, m, Contiguous, at(1<<20, 4096))
	for range 3 {
		fd, gone := deliverUdmabuf(t, m, Contiguous, at(0, 1<<20))
		mem := mapUdmabuf(t, fd, 1<<20)
		assert.Equal(t, make([]byte, 1<<20), mem)
		for i := range mem {
			mem[i] = 0xaa
		}
		require.NoError(t, unix.Munmap(mem))
		sys.Close(fd)
		isGone(t, gone)
	}
	mem := mapUdmabuf(t, neighbour, 4096)
	assert.Equal(t, make([]byte, 4096), mem)
	require.NoError(t, unix.Munmap(mem))
	sys.Close(neighbour)
	isGone(t, neighbourGone)
	left, err := m.stores[string(Contiguous)].resident()
	require.NoError(t, err)
	assert.Zero(t, left, "memory that nobody holds is given back")
}

func TestUdmabufsOfManyThreads(t *testing.T) {
	m := newUdmabufs(t)
	var wg sync.WaitGroup
	var ends atomic.Int32
	const threads, rounds = 8, 10
	for i := range threads {
		wg.Go(func() {
			for j := range rounds {
				offset := uint64(i) * (testSize / threads)
				extents := []Extent{at(offset, 256<<10), at(offset+512<<10, 64<<10)}
				// Nobody else has these extents before the end is told.
				done := make(chan struct{})
				f, err := m.New(string(Scatter), extents, true, func() { ends.Add(1); close(done) })
				if !assert.NoError(t, err) {
					return
				}
				mem, err := unix.Mmap(f.FD(), 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
				if assert.NoError(t, err) {
					assert.Zero(t, binary.LittleEndian.Uint64(mem))
					binary.LittleEndian.PutUint64(mem, uint64(j+1))
					assert.NoError(t, unix.Munmap(mem))
				}
				f.Delivered()
				m.Sweep()
				<-done
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, threads*rounds, ends.Load())
}

func TestContiguousBufferIsContiguousInTheMachine(t *testing.T) {
	m := newUdmabufs(t)
	s := m.stores[string(Contiguous)]
	fd, gone := deliverUdmabuf(t, m, Contiguous, at(2<<20, 2<<20))
	phys, err := m.Phys(string(Contiguous), []Extent{at(2<<20, 2<<20)})
	if os.Geteuid() != 0 {
		require.ErrorIs(t, err, ErrNoPFN)
	} else {
		require.NoError(t, err)
		t.Logf("pages %s: %+v", s.pages, phys)
		if s.pages != smallPages {
			assert.Equal(t, Phys{Runs: 1, Longest: 2 << 20}, phys)
		}
	}
	// A reader of the memory by another mapping, as a driver is, sees each page where it is (see vmapGood).
	mem := mapUdmabuf(t, fd, 2<<20)
	for i := 0; i < len(mem); i += 4096 {
		binary.LittleEndian.PutUint32(mem[i:], uint32(i))
	}
	for i := 0; i < len(mem); i += 4096 {
		assert.EqualValues(t, i, binary.LittleEndian.Uint32(s.mem[2<<20+i:]))
	}
	require.NoError(t, unix.Munmap(mem))
	sys.Close(fd)
	isGone(t, gone)
	_, err = m.Phys(string(Contiguous), []Extent{at(2<<20, 2<<20)})
	require.ErrorIs(t, err, ErrEnded)
}

func TestMemoryOfBuffersDoesNotCountAsTheServers(t *testing.T) {
	m := newUdmabufs(t)
	before := residentShared(t)
	fd, gone := deliverUdmabuf(t, m, Contiguous, at(1<<20, 32<<20))
	assert.Less(t, residentShared(t)-before, 4<<10, "kilobytes")
	sys.Close(fd)
	isGone(t, gone)
}

// residentShared is how many kilobytes of shared memory count as this process's.
func residentShared(t *testing.T) (kilobytes int) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "RssShmem:"); ok {
			_, err := fmt.Sscanf(value, "%d kB", &kilobytes)
			require.NoError(t, err)
			return kilobytes
		}
	}
	require.Fail(t, "no RssShmem")
	return 0
}

func TestEndIsSeenWithoutAnybodyAsking(t *testing.T) {
	m := newUdmabufs(t)
	t.Logf("by %s", m.hints.how())
	for range 3 {
		fd, gone := deliverUdmabuf(t, m, Contiguous, at(0, 4096))
		time.Sleep(2 * askOften) // so that the loop has found nothing before
		sys.Close(fd)
		isGone(t, gone)
	}
}

func FuzzParseHolders(f *testing.F) {
	f.Add([]byte("pos:\t0\nflags:\t02\nmnt_id:\t15\nino:\t1\ntfd:        7 events:        0 data:               1a  pos:0 ino:5 sdev:d\n"))
	f.Add([]byte("tfd:        7 events:        0\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		held, err := parseHolders(text)
		if err == nil {
			assert.LessOrEqual(t, len(held), len(text))
		}
	})
}

func TestHoldersThatCannotBeReadAreAnError(t *testing.T) {
	for _, text := range []string{"tfd: 7 events: 0\n", "tfd: 7 events: 0 data: \n", "tfd: 7 events: 0 data: xyz\n"} {
		_, err := parseHolders([]byte(text))
		require.Error(t, err, text)
	}
	held, err := parseHolders([]byte("pos:\t0\ntfd: 7 events: 0 data: 1a  pos:0\ntfd: 8 events: 0 data: ffffffffffffffff pos:0\n"))
	require.NoError(t, err)
	assert.Equal(t, map[uint64]bool{0x1a: true, 1<<64 - 1: true}, held)
}
