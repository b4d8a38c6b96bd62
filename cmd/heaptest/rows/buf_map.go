package rows

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
)

const protRW = unix.PROT_READ | unix.PROT_WRITE

// mapRows: bounds and kinds of mappings (dma_buf_mmap_internal).
func mapRows() []Row {
	var rows []Row
	for _, m := range []struct {
		id, what       string
		length, offset uintptr
		flags          int
	}{
		{"whole", "the whole", threePages, 0, unix.MAP_SHARED},
		{"odd-length", "a length that is no whole page", pageSize + 1, 0, unix.MAP_SHARED},
		{"odd-length-last", "a length that is rounded up to the end", threePages - 1, 0, unix.MAP_SHARED},
		{"last-page", "the last page", pageSize, 2 * pageSize, unix.MAP_SHARED},
		{"length-0", "nothing", 0, 0, unix.MAP_SHARED},
		{"odd-offset", "an offset that is no whole page", pageSize, 1, unix.MAP_SHARED},
		{"beyond", "a page more than there is", threePages + pageSize, 0, unix.MAP_SHARED},
		{"beyond-by-1", "a byte more than there is", threePages + 1, 0, unix.MAP_SHARED},
		{"at-end", "a page at the end", pageSize, threePages, unix.MAP_SHARED},
		{"across-end", "two pages of which one is beyond", 2 * pageSize, 2 * pageSize, unix.MAP_SHARED},
		{"far", "a page far behind", pageSize, 1 << 40, unix.MAP_SHARED},
		{"offset-wraps", "an offset and a length that wrap", 2 * pageSize, ^uintptr(0) - pageSize + 1, unix.MAP_SHARED},
		{"private", "the whole, private", threePages, 0, unix.MAP_PRIVATE},
		{"private-page", "a page, private", pageSize, 0, unix.MAP_PRIVATE},
		{"validate", "the whole, MAP_SHARED_VALIDATE", threePages, 0, unix.MAP_SHARED_VALIDATE},
		{"sync", "the whole, MAP_SYNC", threePages, 0, unix.MAP_SHARED_VALIDATE | unix.MAP_SYNC},
		{"populate", "the whole, MAP_POPULATE", threePages, 0, unix.MAP_SHARED | unix.MAP_POPULATE},
		{"locked", "the whole, MAP_LOCKED", threePages, 0, unix.MAP_SHARED | unix.MAP_LOCKED},
		{"noreserve", "the whole, MAP_NORESERVE", threePages, 0, unix.MAP_SHARED | unix.MAP_NORESERVE},
		{"stack", "the whole, MAP_STACK|MAP_NONBLOCK", threePages, 0, unix.MAP_SHARED | unix.MAP_STACK | unix.MAP_NONBLOCK},
		{"no-kind", "the whole, neither shared nor private", threePages, 0, 0},
	} {
		rows = append(rows, Row{ID: "mmap-" + m.id, What: "mmap of " + m.what + ", of a buffer of 3 pages, and a touch of its ends", Try: func(c *Case) string {
			addr, errno := sys.RawMap(m.length, protRW, m.flags, c.Buffer(threePages), m.offset)
			if errno != 0 {
				return errName(errno)
			}
			return each("0", named("first", touch(addr, true)), named("last", touch(addr+m.length-1, true)))
		}})
	}
	rows = append(rows,
		Row{ID: "mmap-exec", What: "shared mapping of a buffer for execution", Try: func(c *Case) string {
			_, errno := sys.RawMap(pageSize, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_SHARED, c.Buffer(1), 0)
			return errName(errno)
		}},
		Row{ID: "mmap-private-large", What: "private mapping of a buffer of 1025 pages", Try: func(c *Case) string {
			_, errno := sys.RawMap(1025*pageSize, protRW, unix.MAP_PRIVATE, c.Buffer(1025*pageSize), 0)
			return errName(errno)
		}},
		Row{ID: "mmap-private-large-read", What: "private mapping for reading of a buffer of 1025 pages", Try: func(c *Case) string {
			_, errno := sys.RawMap(1025*pageSize, unix.PROT_READ, unix.MAP_PRIVATE, c.Buffer(1025*pageSize), 0)
			return errName(errno)
		}},
		Row{ID: "mmap-private-read-only", What: "private mapping for writing of a buffer that is open for reading", Try: func(c *Case) string {
			_, errno := sys.RawMap(pageSize, protRW, unix.MAP_PRIVATE, c.BufferMode(1, unix.O_RDONLY), 0)
			return errName(errno)
		}},
		Row{ID: "mmap-private-cow", What: "whether a write to a private mapping of a page reaches the buffer", Try: func(c *Case) string {
			fd := c.Buffer(1)
			shared := mapRW(fd, pageSize)
			private, errno := sys.RawMap(pageSize, protRW, unix.MAP_PRIVATE, fd, 0)
			if errno != 0 {
				return errName(errno)
			}
			fill(private, 1, 9)
			return fmt.Sprint(at(shared, 1)[0] == 9)
		}},
	)
	return append(rows, sharingRows()...)
}

// sharingRows: mappings of one buffer are one memory.
func sharingRows() []Row {
	return []Row{
		{ID: "map-two-mappings", What: "a byte written by one mapping and read by another", Try: func(c *Case) string {
			fd := c.Buffer(threePages)
			a, b := mapRW(fd, threePages), mapRW(fd, threePages)
			fill(a, threePages, 0x5A)
			return fmt.Sprint(a != b && filled(b, threePages, 0x5A))
		}},
		{ID: "map-offset", What: "the bytes of the last page by a mapping of that page", Try: func(c *Case) string {
			fd := c.Buffer(threePages)
			whole := mapRW(fd, threePages)
			fill(whole+2*pageSize, pageSize, 7)
			last, errno := sys.RawMap(pageSize, unix.PROT_READ, unix.MAP_SHARED, fd, 2*pageSize)
			must("mmap", orNil(errno))
			return fmt.Sprint(filled(last, pageSize, 7) && filled(whole, 2*pageSize, 0))
		}},
		{ID: "map-two-buffers", What: "whether two buffers are two memories", Try: func(c *Case) string {
			a, b := mapRW(c.Buffer(pageSize), pageSize), mapRW(c.Buffer(pageSize), pageSize)
			fill(a, pageSize, 1)
			return fmt.Sprint(filled(b, pageSize, 0))
		}},
		{ID: "map-after-close", What: "a mapping after its descriptor was closed, with other buffers made since", Try: func(c *Case) string {
			fd := c.Buffer(64 << 10)
			p := mapRW(fd, 64<<10)
			fill(p, 64<<10, 3)
			sys.Close(fd)
			for range 20 {
				other := c.Buffer(64 << 10)
				fill(mapRW(other, 64<<10), 64<<10, 4)
				sys.Close(other)
			}
			return fmt.Sprint(filled(p, 64<<10, 3))
		}},
		{ID: "map-half-unmapped", What: "the rest of a mapping that was unmapped in its middle", Try: func(c *Case) string {
			p := mapRW(c.Buffer(threePages), threePages)
			fill(p, threePages, 3)
			_, errno := sys.RawCall(unix.SYS_MUNMAP, p+pageSize, pageSize)
			return each(errName(errno), fmt.Sprint(filled(p, pageSize, 3) && filled(p+2*pageSize, pageSize, 3)))
		}},
		{ID: "map-fixed", What: "mapping over another with MAP_FIXED", Try: func(c *Case) string {
			p := mapRW(c.Buffer(pageSize), pageSize)
			fill(p, pageSize, 1)
			q, errno := sys.RawCall(unix.SYS_MMAP, p, pageSize, protRW, unix.MAP_SHARED|unix.MAP_FIXED, uintptr(c.Buffer(pageSize)), 0)
			return each(errName(errno), fmt.Sprint(p == q && filled(p, pageSize, 0)))
		}},
		{ID: "map-in-child", What: "a byte written by a child that inherited the descriptor", Try: func(c *Case) string {
			fd := c.BufferMode(pageSize, unix.O_RDWR)
			p := mapRW(fd, pageSize)
			return each(c.helper("write-byte", nil, fmt.Sprint(fd)), fmt.Sprint(at(p, 1)[0] == 0x77))
		}},
	}
}

// remapRows: mprotect and mremap.
func remapRows() []Row {
	remap := func(addr uintptr, from, to, flags uintptr) (uintptr, string) {
		p, errno := sys.RawCall(unix.SYS_MREMAP, addr, from, to, flags)
		return p, errName(errno)
	}
	protect := func(fd, mapped, wanted int) string {
		_, errno := sys.RawCall(unix.SYS_MPROTECT, mapFD(fd, pageSize, mapped), pageSize, uintptr(wanted))
		return errName(errno)
	}
	return []Row{
		{ID: "mprotect-up-rdwr", What: "mprotect for writing of a read-only mapping of a read-write buffer", Try: func(c *Case) string {
			return protect(c.Buffer(1), unix.PROT_READ, protRW)
		}},
		{ID: "mprotect-up-rdonly", What: "the same of a buffer that is open for reading", Try: func(c *Case) string {
			return protect(c.BufferMode(1, unix.O_RDONLY), unix.PROT_READ, protRW)
		}},
		{ID: "mprotect-none", What: "mprotect PROT_NONE of a mapping", Try: func(c *Case) string { return protect(c.Buffer(1), protRW, unix.PROT_NONE) }},
		{ID: "mprotect-exec", What: "mprotect PROT_EXEC of a mapping", Try: func(c *Case) string {
			return protect(c.Buffer(1), unix.PROT_READ, unix.PROT_READ|unix.PROT_EXEC)
		}},
		{ID: "mremap-grow", What: "mremap of a mapping of one page of three to two", Try: func(c *Case) string {
			_, answer := remap(mapRW(c.Buffer(threePages), pageSize), pageSize, 2*pageSize, unix.MREMAP_MAYMOVE)
			return answer
		}},
		{ID: "mremap-grow-beyond", What: "mremap of a mapping of the whole to a page more", Try: func(c *Case) string {
			_, answer := remap(mapRW(c.Buffer(threePages), threePages), threePages, threePages+pageSize, unix.MREMAP_MAYMOVE)
			return answer
		}},
		{ID: "mremap-shrink", What: "mremap of a mapping of the whole to a page", Try: func(c *Case) string {
			_, answer := remap(mapRW(c.Buffer(threePages), threePages), threePages, pageSize, unix.MREMAP_MAYMOVE)
			return answer
		}},
		{ID: "mremap-move", What: "mremap to another place, and the bytes there", Try: func(c *Case) string {
			p := mapRW(c.Buffer(threePages), threePages)
			fill(p, threePages, 6)
			to := newArea(3)
			q, errno := sys.RawCall(unix.SYS_MREMAP, p, threePages, threePages, unix.MREMAP_MAYMOVE|unix.MREMAP_FIXED, to.base)
			if errno != 0 {
				return errName(errno)
			}
			return each("0", fmt.Sprint(q == to.base && filled(q, threePages, 6)))
		}},
		{ID: "mremap-copy", What: "mremap of length 0, a second mapping", Try: func(c *Case) string {
			_, answer := remap(mapRW(c.Buffer(pageSize), pageSize), 0, pageSize, unix.MREMAP_MAYMOVE)
			return answer
		}},
	}
}
