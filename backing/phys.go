package backing

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
	"github.com/heapfs/heapfs/uapi"
)

// Phys is how memory lies in the machine.
type Phys struct {
	// Runs are the physically contiguous pieces, in the buffer's order: 1 for a buffer that is contiguous.
	Runs int `json:"runs"`
	// Longest is the length of the longest one in bytes.
	Longest uint64 `json:"longest"`
}

// ErrNoPFN says that the kernel hides where pages lie.
var ErrNoPFN = errors.New("the kernel tells physical addresses to root only (CAP_SYS_ADMIN): start heapfs as root")

// The bits of an entry of pagemap (Documentation/admin-guide/mm/pagemap.rst).
const (
	pagemapPFN     = 1<<55 - 1
	pagemapPresent = 1 << 63
)

// phys asks the page table of this process, by a pagemap that was opened with privileges. The extents must be a live buffer's.
func (s *store) phys(pagemap int, extents []Extent) (Phys, error) {
	var p Phys
	var next, run uint64
	defer s.unseen(extents)
	for _, r := range s.ranges(extents) {
		mem := s.mem[r.Offset : r.Offset+r.Size]
		// The pages exist; this enters them into the page table.
		if err := unix.Madvise(mem, unix.MADV_POPULATE_READ); err != nil {
			return Phys{}, os.NewSyscallError("madvise MADV_POPULATE_READ", err)
		}
		entries := make([]byte, r.Size/uapi.PageSize*8)
		if n, err := unix.Pread(pagemap, entries, int64(sys.AddressOf(mem)/uapi.PageSize*8)); err != nil || n != len(entries) {
			return Phys{}, fmt.Errorf("read /proc/self/pagemap: %d of %d bytes: %w", n, len(entries), err)
		}
		for ; len(entries) > 0; entries = entries[8:] {
			entry := binary.LittleEndian.Uint64(entries)
			pfn := entry & pagemapPFN
			switch {
			case entry&pagemapPresent == 0:
				return Phys{}, errors.New("a page of the buffer is not in memory")
			case pfn == 0:
				return Phys{}, ErrNoPFN
			case pfn != next:
				p.Runs++
				run = 0
			}
			next = pfn + 1
			run += uapi.PageSize
			p.Longest = max(p.Longest, run)
		}
	}
	return p, nil
}
