package ptrace

import (
	"encoding/binary"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
)

// ledger is memory of the Door and its agents, in which an agent notes what it has open in callers: who is let go because the agent was
// killed makes its ioctl anew, and then the next agent closes what the last one could not. There is an entry for each of an agent's
// workers.
//
//	0  u32  thread, 0 for none
//	4  u32  number of descriptors
//	8  u64  device and
//	16 u64  inode number of the file that is installed
//	24 u64  when, in nanoseconds of a clock that both see
//	32 u64  serial number of the order whose request was answered, 0 for none
//	40 i32  descriptors of the caller
type ledger []byte

const (
	entrySize  = 64
	atAnswered = 32
	atTheirs   = 40
	maxTheirs  = (entrySize - atTheirs) / 4
	ledgerSize = entries * entrySize
	entries    = maxCalls + maxSessions // who works, and who waits for work

	// freshFor is how long an entry counts. Its thread makes its ioctl anew at once; later the number may be another's.
	freshFor = 10 * time.Second
)

// newLedger makes one, and the descriptor by which an agent finds it.
func newLedger() (ledger, int, error) {
	fd, err := sys.Memfd("heapfs-ledger")
	if err != nil {
		return nil, -1, err
	}
	if err := sys.Truncate(fd, ledgerSize); err != nil {
		sys.Close(fd)
		return nil, -1, err
	}
	l, err := mapLedger(fd)
	if err != nil {
		sys.Close(fd)
		return nil, -1, err
	}
	return l, fd, nil
}

func mapLedger(fd int) (ledger, error) {
	b, err := unix.Mmap(fd, 0, ledgerSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	return b, nil
}

// unmap gives the memory up.
func (l ledger) unmap() {
	if l != nil {
		_ = unix.Munmap(l) // a whole mapping of ours
	}
}

// left is what an agent has left open in a thread.
type left struct {
	file sys.FileID // what was to be installed
	fds  []int
	at   time.Duration // when, of monotonic; not noted by note, which takes the time itself
}

// note sets the entry at a place. The thread is written last and taken out first: an entry with one is whole.
func (l ledger) note(place, tid int, of left) {
	if l == nil || place < 0 {
		return
	}
	e, le := l[place*entrySize:], binary.LittleEndian
	le.PutUint32(e, 0)
	if len(of.fds) == 0 {
		return
	}
	n := min(len(of.fds), maxTheirs)
	le.PutUint32(e[4:], uint32(n))
	le.PutUint64(e[8:], of.file.Dev)
	le.PutUint64(e[16:], of.file.Ino)
	le.PutUint64(e[24:], uint64(monotonic()))
	for i, fd := range of.fds[:n] {
		le.PutUint32(e[atTheirs+4*i:], uint32(fd))
	}
	le.PutUint32(e, uint32(tid))
}

// answer notes that the request of an order is answered from now on; 0 takes that back at the end of a session.
func (l ledger) answer(place int, serial uint64) {
	if l != nil && place >= 0 {
		binary.LittleEndian.PutUint64(l[place*entrySize+atAnswered:], serial)
	}
}

// answered is whether an agent that was killed may have answered the request of an order.
func (l ledger) answered(serial uint64) bool {
	for place := range len(l) / entrySize {
		if binary.LittleEndian.Uint64(l[place*entrySize+atAnswered:]) == serial {
			return true
		}
	}
	return l == nil
}

// collect empties the ledger: what was left, by thread, and the orders that were answered. No agent may be alive.
func (l ledger) collect(into map[int]left) (answered map[uint64]struct{}) {
	answered = map[uint64]struct{}{}
	le := binary.LittleEndian
	now := monotonic()
	for place := range len(l) / entrySize {
		e := l[place*entrySize:]
		if serial := le.Uint64(e[atAnswered:]); serial != 0 {
			answered[serial] = struct{}{}
			le.PutUint64(e[atAnswered:], 0)
		}
		tid, n := int(le.Uint32(e)), int(le.Uint32(e[4:]))
		if tid == 0 || n > maxTheirs {
			continue
		}
		le.PutUint32(e, 0)
		at := time.Duration(le.Uint64(e[24:]))
		if now-at > freshFor {
			continue
		}
		of := left{at: at, file: sys.FileID{Dev: le.Uint64(e[8:]), Ino: le.Uint64(e[16:])}}
		for i := range n {
			of.fds = append(of.fds, int(int32(le.Uint32(e[atTheirs+4*i:]))))
		}
		into[tid] = of
	}
	return answered
}

// clock is CLOCK_MONOTONIC, which is the same in all processes, at a time that Go has noted, too: time.Since asks the kernel for nothing.
var clock = func() (c struct {
	started time.Time
	at      time.Duration
},
) {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // it can't fail
	c.started, c.at = time.Now(), time.Duration(ts.Nano())
	return c
}()

func monotonic() time.Duration { return clock.at + time.Since(clock.started) }
