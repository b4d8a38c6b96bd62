package backing

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
	"github.com/heapfs/heapfs/uapi"
)

// hugePage is the size of the huge pages that stores use, in bytes. In a store with huge pages it is also the unit, called a block, in
// which memory is taken from the machine and given back.
const hugePage = 2 << 20

// storePages says what pages a store keeps its bytes in.
type storePages string

const (
	// smallPages lie wherever the kernel finds them: a range of the store is contiguous by luck only.
	smallPages storePages = "4K"
	// splitPages are huge pages that were split at once: adjacent as before, but single. See vmapGood.
	splitPages storePages = "2M, split"
	// hugePages are those of shmem, as far as the kernel has some left.
	hugePages storePages = "2M"
	// reservedPages are those of hugetlbfs.
	reservedPages storePages = "2M, hugetlb"
)

// store is the memory of one pool: a memfd of the pool's size. Byte n of it is the pool's address base + n. No caller ever gets the
// memfd, only dma-bufs of ranges of it. It is sealed against shrinking, as udmabuf demands.
//
// All of it is mapped here, and a range is populated before it becomes a dma-buf: when the kernel has to make pages in the middle of
// UDMABUF_CREATE, for several threads at once, it answers ENOMEM, and a page that exists by fallocate alone is not zeroed.
//
// A range is zeroed when it comes back. In small pages that is a hole punched into the file. A huge page is kept as long as any
// range of it is in use, so that what comes back meanwhile is overwritten; then it is punched whole. Punching less would have
// single pages from anywhere take its place the next time.
type store struct {
	pool  string
	base  uint64
	size  uint64
	pages storePages
	fd    int
	mem   []byte
	unmap func() error

	mu   sync.Mutex
	used map[uint64]uint64 // of stores with huge pages: bytes in use by block number
}

// vmapGood is whether the kernel's own mapping of a udmabuf over huge pages is right. Before Linux 6.18 all pages of such a mapping are
// the first one of their huge page: a driver that writes by it (vivid with vmalloc) overwrites the neighbours.
func vmapGood() bool { return sys.KernelAtLeast(6, 18) }

// newStore makes the memory of a pool. Nothing is taken from the machine before a range is used.
func newStore(p PoolConfig) (*store, error) {
	s := &store{pool: p.Name, base: p.Base, size: p.Size, used: map[uint64]uint64{}, fd: -1}
	err := s.open(p.StorePages == hugePage)
	if err != nil {
		s.close()
		return nil, fmt.Errorf("pool %q: memory of %d bytes: %w", p.Name, p.Size, err)
	}
	return s, nil
}

func (s *store) open(reserved bool) (err error) {
	s.pages = choosePages(s.size, reserved)
	if s.pages == reservedPages {
		s.fd, err = sys.HugeMemfd(memfdName)
	} else {
		s.fd, err = sys.Memfd(memfdName)
	}
	if err != nil {
		return err
	}
	if err = sys.Truncate(s.fd, int64(s.size)); err != nil {
		return err
	}
	if err = sys.AddSeals(s.fd, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW); err != nil {
		return err
	}
	if s.mem, s.unmap, err = sys.MapAligned(s.fd, uintptr(s.size), hugePage); err != nil {
		return err
	}
	switch s.pages {
	case smallPages:
		// EINVAL: a kernel without huge pages.
		if err := unix.Madvise(s.mem, unix.MADV_NOHUGEPAGE); err != nil && err != unix.EINVAL {
			return os.NewSyscallError("madvise MADV_NOHUGEPAGE", err)
		}
	case splitPages, hugePages:
		if err := unix.Madvise(s.mem, unix.MADV_HUGEPAGE); err != nil {
			return os.NewSyscallError("madvise MADV_HUGEPAGE", err)
		}
	}
	return nil
}

func (s *store) close() {
	if s.unmap != nil {
		if err := s.unmap(); err != nil {
			slog.Error("a pool's memory stays mapped", "pool", s.pool, "error", err)
		}
		s.unmap, s.mem = nil, nil
	}
	sys.Close(s.fd)
	s.fd = -1
}

// ranges are extents as offsets into the memfd, in the same order.
func (s *store) ranges(extents []Extent) []uapi.UdmabufRange {
	out := make([]uapi.UdmabufRange, len(extents))
	for i, e := range extents {
		out[i] = uapi.UdmabufRange{Offset: e.Addr - s.base, Size: e.Len}
	}
	return out
}

// take has memory lie behind extents, which the pool gave to this buffer alone; it is zero. After an error nothing is taken.
func (s *store) take(extents []Extent) error {
	if err := s.enter(extents); err != nil {
		return err
	}
	for _, r := range s.ranges(extents) {
		if err := populate(s.mem[r.Offset : r.Offset+r.Size]); err != nil {
			s.release(extents)
			return s.shortage(err)
		}
	}
	return nil
}

// unseen takes extents, whose pages stay, out of this process's page table. Else all memory of all pools would count as this
// process's, and it would be the first that the kernel kills when memory is short.
func (s *store) unseen(extents []Extent) {
	for _, r := range s.ranges(extents) {
		start, end := r.Offset, r.Offset+r.Size
		if s.pages != smallPages {
			start, end = start/hugePage*hugePage, min((end+hugePage-1)/hugePage*hugePage, s.size)
		}
		if err := unix.Madvise(s.mem[start:end], unix.MADV_DONTNEED); err != nil {
			slog.Debug("a pool's memory stays mapped", "pool", s.pool, "error", os.NewSyscallError("madvise MADV_DONTNEED", err))
		}
	}
}

// release gives the memory behind extents back; whoever takes them next finds zeroes.
func (s *store) release(extents []Extent) {
	if s.pages == smallPages {
		for _, r := range s.ranges(extents) {
			s.punch(r.Offset, r.Size)
		}
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.pieces(extents) {
		if !s.leave(p) {
			s.zero(p.offset, p.size)
		}
	}
}

// piece is the part of an extent in one block.
type piece struct{ block, offset, size uint64 }

func (s *store) pieces(extents []Extent) []piece {
	out := make([]piece, 0, len(extents))
	for _, e := range extents {
		for offset, end := e.Addr-s.base, e.End()-s.base; offset < end; {
			block := offset / hugePage
			size := min(end, (block+1)*hugePage) - offset
			out = append(out, piece{block, offset, size})
			offset += size
		}
	}
	return out
}

// enter accounts for extents in a store with huge pages, and has the blocks in memory that were not in use before.
func (s *store) enter(extents []Extent) error {
	if s.pages == smallPages {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	pieces := s.pieces(extents)
	for i, p := range pieces {
		if s.used[p.block] == 0 {
			if err := s.begin(p.block); err != nil {
				for _, back := range pieces[:i] {
					s.leave(back) // nobody has written there
				}
				return s.shortage(err)
			}
		}
		s.used[p.block] += p.size
	}
	return nil
}

// leave takes a piece out of the account, and true says that its block is given back, as nobody uses any more of it. s.mu is held.
func (s *store) leave(p piece) bool {
	if s.used[p.block] -= p.size; s.used[p.block] > 0 {
		return false
	}
	delete(s.used, p.block)
	start := p.block * hugePage
	s.punch(start, min(hugePage, s.size-start))
	return true
}

// begin has a block in memory of which nothing is. Where the kernel has no huge page left it gives a small one, and the rest follows as
// it is used.
func (s *store) begin(block uint64) error {
	start := block * hugePage
	before, err := s.resident()
	if err != nil {
		return err
	}
	if err := populate(s.mem[start : start+uapi.PageSize]); err != nil {
		return err
	}
	if s.pages != splitPages {
		return nil
	}
	after, err := s.resident()
	if err != nil {
		return err
	}
	if after-before < hugePage {
		return nil
	}
	return s.split(start)
}

// splitTries is how often a huge page is asked to fall apart: while somebody else looks at it (reclaim, compaction) it can't.
const splitTries = 8

// split makes single pages of the huge page at start. A hole of a single byte does it: it frees nothing, so that all 512 pages stay,
// and stay adjacent (mm/truncate.c, truncate_inode_partial_folio).
func (s *store) split(start uint64) error {
	page := s.mem[start : start+hugePage]
	for range splitTries {
		if err := unix.Fallocate(s.fd, punchHole, int64(start), 1); err != nil {
			return os.NewSyscallError("fallocate", err)
		}
		// A huge page that is whole is mapped by one entry again.
		if err := populate(page); err != nil {
			return err
		}
		whole, err := sys.MappedHuge(page)
		if err != nil || !whole {
			return err
		}
	}
	s.punch(start, hugePage)
	return errNotSplit
}

// resident is how many bytes of the store are in memory.
func (s *store) resident() (uint64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(s.fd, &st); err != nil {
		return 0, os.NewSyscallError("fstat", err)
	}
	return uint64(st.Blocks) * 512, nil
}

const punchHole = unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE

// punch gives a range back to the machine.
func (s *store) punch(offset, n uint64) {
	if err := unix.Fallocate(s.fd, punchHole, int64(offset), int64(n)); err != nil {
		slog.Error("a pool's memory can't be given back", "pool", s.pool, "offset", offset, "len", n, "error", err)
		clear(s.mem[offset : offset+n])
	}
}

var zeroes [64 << 10]byte

// zero overwrites a range. By write, where that is possible: to touch a page that can't be had would end the process.
func (s *store) zero(offset, n uint64) {
	if s.pages == reservedPages { // has no write, and is not swapped
		clear(s.mem[offset : offset+n])
		return
	}
	for end := offset + n; offset < end; {
		k, err := unix.Pwrite(s.fd, zeroes[:min(end-offset, uint64(len(zeroes)))], int64(offset))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			s.punch(offset, end-offset)
			return
		}
		offset += uint64(k)
	}
}

// populate has mem in memory, writable.
func populate(mem []byte) error {
	for {
		err := unix.Madvise(mem, unix.MADV_POPULATE_WRITE)
		if err == unix.EINTR || err == unix.EAGAIN {
			continue
		}
		return os.NewSyscallError("madvise MADV_POPULATE_WRITE", err)
	}
}

// shortage says what a failure to have memory means.
func (s *store) shortage(err error) error {
	if s.pages == reservedPages {
		return fmt.Errorf("pool %q: no free huge page: echo N > /proc/sys/vm/nr_hugepages: %w", s.pool, err)
	}
	return fmt.Errorf("pool %q: no memory: %w", s.pool, err)
}

var errNotSplit = errors.New("a huge page could not be split")
