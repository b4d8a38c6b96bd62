package rows

import (
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
	"github.com/heapfs/heapfs/uapi"
)

// pointerRows: where the struct lies.
func pointerRows() []Row {
	var rows []Row
	for _, p := range badAddresses {
		rows = append(rows,
			Row{ID: "alloc-at-" + p.id, What: "ALLOC with its struct " + p.what, Try: func(c *Case) string {
				return ask(c.RW(), uapi.HeapIoctlAlloc, p.addr(newArea(1)), 0)
			}},
			Row{ID: "alloc-in-at-" + p.id, What: "ALLOC that copies in only, with its struct " + p.what, Try: func(c *Case) string {
				return ask(c.RW(), uapi.IOW(uapi.HeapMagic, 0, 24), p.addr(newArea(1)), 0)
			}},
			Row{ID: "alloc-out-at-" + p.id, What: "ALLOC that copies out only, with its struct " + p.what, Try: func(c *Case) string {
				return ask(c.RW(), uapi.IOC(2, uapi.HeapMagic, 0, 24), p.addr(newArea(1)), 0)
			}},
			Row{ID: "node-ioctl-h-1-at-" + p.id, What: "number 1 on a node with its struct " + p.what, Try: func(c *Case) string {
				return ask(c.RW(), uapi.IOWR(uapi.HeapMagic, 1, 24), p.addr(newArea(1)), 0)
			}},
		)
	}
	rows = append(rows,
		Row{ID: "alloc-none-at-null", What: "ALLOC that copies nothing, NULL", Try: func(c *Case) string {
			return ask(c.RW(), uapi.IOC(0, uapi.HeapMagic, 0, 24), nullAddress, 0)
		}},
		Row{ID: "node-ioctl-h-1-none-at-null", What: "number 1 on a node that copies nothing, NULL", Try: func(c *Case) string {
			return ask(c.RW(), uapi.IOC(0, uapi.HeapMagic, 1, 24), nullAddress, 0)
		}},
		Row{ID: "node-ioctl-tcgets-at-null", What: "TCGETS on a node, NULL", Try: func(c *Case) string {
			return ask(c.RW(), unix.TCGETS, nullAddress, 0)
		}},
		Row{ID: "node-ioctl-z-at-hole", What: "number 0 of type Z on a node, struct on an unmapped page", Try: func(c *Case) string {
			return ask(c.RW(), uapi.IOWR('Z', 0, 24), newArea(1).end(), 0)
		}},
		Row{ID: "alloc-at-odd", What: "ALLOC with its struct at an odd address", Try: func(c *Case) string {
			addr := newArea(1).base + 3
			copy(at(addr, 24), usual.bytes())
			return ask(c.RW(), uapi.HeapIoctlAlloc, addr, 24)
		}},
		Row{ID: "alloc-at-last", What: "ALLOC with its struct at the end of the last mapped page", Try: func(c *Case) string {
			return ask(c.RW(), uapi.HeapIoctlAlloc, newArea(1).putLast(usual.bytes()), 24)
		}},
		Row{ID: "alloc-across-pages", What: "ALLOC with its struct across two pages", Try: func(c *Case) string {
			addr := newArea(2).base + pageSize - 10
			copy(at(addr, 24), usual.bytes())
			return ask(c.RW(), uapi.HeapIoctlAlloc, addr, 24)
		}},
		Row{ID: "alloc-at-untouched", What: "ALLOC with its struct on a page that was never touched", Try: func(c *Case) string {
			return ask(c.RW(), uapi.HeapIoctlAlloc, newArea(1).base, 0)
		}},
		Row{ID: "alloc-in-buffer", What: "ALLOC with its struct in a mapped buffer", Try: func(c *Case) string {
			addr := mapRW(c.Buffer(pageSize), pageSize)
			copy(at(addr, 24), usual.bytes())
			return ask(c.RW(), uapi.HeapIoctlAlloc, addr, 24)
		}},
		Row{ID: "alloc-in-file", What: "ALLOC with its struct in a shared mapping of a memfd", Try: func(c *Case) string {
			addr := mapRW(memfd(pageSize), pageSize)
			copy(at(addr, 24), usual.bytes())
			return ask(c.RW(), uapi.HeapIoctlAlloc, addr, 24)
		}},
		Row{ID: "alloc-behind-file", What: "ALLOC with its struct in a mapping, behind the end of its file", Try: func(c *Case) string {
			return ask(c.RW(), uapi.HeapIoctlAlloc, mapRW(memfd(pageSize), 2*pageSize)+pageSize, 0)
		}},
	)
	return append(rows, protectedPageRows()...)
}

// protectedPageRows: structs that can be read and not written, or neither. From 7.x on a fault on the way out undoes the ALLOC.
func protectedPageRows() []Row {
	var rows []Row
	for _, x := range []struct {
		id, what string
		args     args
		prot     int
	}{
		{"read-only", "a read-only page", usual, unix.PROT_READ},
		{"read-only-fd", "a read-only page, refused for its fd", args{4096, 1, unix.O_RDWR, 0}, unix.PROT_READ},
		{"read-only-flags", "a read-only page, refused for its fd_flags", args{4096, 0, unix.O_CREAT, 0}, unix.PROT_READ},
		{"read-only-len-0", "a read-only page, refused for its length", args{0, 0, unix.O_RDWR, 0}, unix.PROT_READ},
		{"write-only", "a page mapped for writing only", usual, unix.PROT_WRITE},
		{"no-access", "a page without access", usual, unix.PROT_NONE},
	} {
		for _, dir := range directions[1:] {
			rows = append(rows, Row{ID: "alloc-" + dir.name + "-on-" + x.id, What: "ALLOC, copied " + dir.name + ", on " + x.what,
				Try: func(c *Case) string {
					page := newArea(1)
					addr := page.putLast(x.args.bytes())
					page.protect(x.prot)
					open := openNow()
					errno := ioctl(c.RW(), uapi.IOC(dir.bits, uapi.HeapMagic, 0, 24), addr)
					page.protect(unix.PROT_READ)
					fresh := open.since()[1:] // the first is the node
					return errName(errno) + ", " + open.opened(fresh) + changes(x.args.bytes(), at(addr, 24), fresh)
				}})
		}
	}
	return append(rows, Row{ID: "alloc-across-read-only", What: "ALLOC with its struct across into a read-only page", Try: func(c *Case) string {
		pages := newArea(2)
		addr := pages.base + pageSize - 16
		copy(at(addr, 24), usual.bytes())
		_, errno := sys.RawCall(unix.SYS_MPROTECT, pages.base+pageSize, pageSize, unix.PROT_READ)
		must("mprotect", orNil(errno))
		return ask(c.RW(), uapi.HeapIoctlAlloc, addr, 0)
	}})
}

// badAddresses are places where no struct of 24 bytes can be.
var badAddresses = []struct {
	id, what string
	addr     func(a area) uintptr
}{
	{"null", "at NULL", func(area) uintptr { return nullAddress }},
	{"8", "at address 8", func(area) uintptr { return 8 }},
	{"kernel", "at an address of the kernel's", func(area) uintptr { return kernelAddress }},
	{"no-address", "at an address that is none", func(area) uintptr { return noAddress }},
	{"wraps", "at the end of the address space", func(area) uintptr { return ^uintptr(0) - 7 }},
	{"hole", "on an unmapped page", func(a area) uintptr { return a.end() }},
	{"into-hole-by-1", "with its last byte on an unmapped page", func(a area) uintptr { return a.putLast(usual.bytes()) + 1 }},
	{"into-hole-by-16", "with its last 16 bytes on an unmapped page", func(a area) uintptr { return a.putLast(usual.bytes()) + 16 }},
	{"out-of-hole", "with its first bytes on an unmapped page", func(a area) uintptr {
		_, errno := sys.RawCall(unix.SYS_MUNMAP, a.base, pageSize)
		must("munmap", orNil(errno))
		_, errno = sys.RawCall(unix.SYS_MMAP, a.base+pageSize, pageSize, unix.PROT_READ|unix.PROT_WRITE,
			unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_FIXED, ^uintptr(0), 0)
		must("mmap", orNil(errno))
		return a.base + pageSize - 8
	}},
}

// memfd is an anonymous file of n bytes.
func memfd(n int64) int {
	fd, err := unix.MemfdCreate("heaptest", unix.MFD_CLOEXEC)
	must("memfd_create", err)
	must("ftruncate", unix.Ftruncate(fd, n))
	return fd
}
