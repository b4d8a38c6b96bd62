package rows

import (
	"encoding/binary"
	"fmt"
	"math"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/uapi"
)

// Flags of SYNC and of sync files.
const (
	syncRead  = 1
	syncWrite = 2
	syncRW    = 3
	syncEnd   = 4
)

// sync8 is SYNC with flags.
func sync8(fd int, flags uint64) string {
	return errName(ioctl(fd, uapi.BufIoctlSync, newArea(1).putFirst(binary.LittleEndian.AppendUint64(nil, flags))))
}

// syncFlagRows: every value of the flags (dma_buf_ioctl).
func syncFlagRows() []Row {
	values := []uint64{}
	for v := range uint64(16) {
		values = append(values, v)
	}
	values = append(values, 1<<31|syncRW, 1<<32|syncRW, 1<<63, math.MaxUint64)
	var rows []Row
	for _, v := range values {
		rows = append(rows, Row{ID: fmt.Sprintf("sync-%#x", v), What: fmt.Sprintf("SYNC with flags %#x after a START", v), Try: func(c *Case) string {
			fd := c.Buffer(1)
			start := sync8(fd, syncRW)
			return each(named("start", start), named("then", sync8(fd, v)))
		}})
	}
	for mode, name := range []string{"rdonly", "wronly", "rdwr", "accmode"} {
		rows = append(rows, Row{ID: "sync-mode-" + name, What: "SYNC START and END for reading and writing of a buffer, " + name, Try: func(c *Case) string {
			fd := c.BufferMode(1, uint32(mode))
			return each(sync8(fd, syncRW), sync8(fd, syncRW|syncEnd))
		}})
	}
	return append(rows,
		Row{ID: "sync-end-first", What: "SYNC END before any START", Try: func(c *Case) string { return sync8(c.Buffer(1), syncRW|syncEnd) }},
		Row{ID: "sync-end-first-mapped", What: "SYNC END of a mapped and written buffer before any START", Try: func(c *Case) string {
			fd := c.Buffer(1)
			fill(mapRW(fd, pageSize), pageSize, 1)
			return sync8(fd, syncRW|syncEnd)
		}},
		Row{ID: "sync-start-twice", What: "SYNC START twice, END three times", Try: func(c *Case) string {
			fd := c.Buffer(1)
			return each(sync8(fd, syncRW), sync8(fd, syncRW), sync8(fd, syncRW|syncEnd), sync8(fd, syncRW|syncEnd), sync8(fd, syncRW|syncEnd))
		}},
		Row{ID: "sync-bytes", What: "the bytes of a mapping across START and END", Try: func(c *Case) string {
			fd := c.Buffer(threePages)
			p := mapRW(fd, threePages)
			sync8(fd, syncRW)
			fill(p, threePages, 0x42)
			sync8(fd, syncRW|syncEnd)
			return fmt.Sprint(filled(p, threePages, 0x42))
		}},
		Row{ID: "sync-dup", What: "SYNC on a copy of the descriptor, START on one and END on the other", Try: func(c *Case) string {
			fd := c.Buffer(1)
			other := get[int]("dup")(unix.Dup(fd))
			return each(sync8(fd, syncRW), sync8(other, syncRW|syncEnd))
		}},
	)
}

// syncPointerRows: where the u64 lies.
func syncPointerRows() []Row {
	var rows []Row
	flags := binary.LittleEndian.AppendUint64(nil, syncRW)
	for _, p := range []struct {
		id, what string
		addr     func() uintptr
	}{
		{"null", "at NULL", func() uintptr { return nullAddress }},
		{"kernel", "at an address of the kernel's", func() uintptr { return kernelAddress }},
		{"no-address", "at an address that is none", func() uintptr { return noAddress }},
		{"hole", "on an unmapped page", func() uintptr { return newArea(1).end() }},
		{"into-hole", "half on an unmapped page", func() uintptr { return newArea(1).putLast(flags) + 4 }},
		{"last", "as the last of a page", func() uintptr { return newArea(1).putLast(flags) }},
		{"odd", "at an odd address", func() uintptr {
			addr := newArea(1).base + 5
			copy(at(addr, 8), flags)
			return addr
		}},
		{"read-only", "on a read-only page", func() uintptr {
			a := newArea(1)
			addr := a.putLast(flags)
			a.protect(unix.PROT_READ)
			return addr
		}},
		{"no-access", "on a page without access", func() uintptr {
			a := newArea(1)
			addr := a.putLast(flags)
			a.protect(unix.PROT_NONE)
			return addr
		}},
		{"untouched", "on a page that was never touched", func() uintptr { return newArea(1).base }},
	} {
		rows = append(rows, Row{ID: "sync-at-" + p.id, What: "SYNC with its flags " + p.what, Try: func(c *Case) string {
			return errName(ioctl(c.Buffer(1), uapi.BufIoctlSync, p.addr()))
		}})
	}
	return append(rows, Row{ID: "sync-in-buffer", What: "SYNC with its flags in a mapped buffer", Try: func(c *Case) string {
		fd := c.Buffer(1)
		addr := mapRW(fd, pageSize)
		copy(at(addr, 8), flags)
		return errName(ioctl(fd, uapi.BufIoctlSync, addr))
	}})
}
