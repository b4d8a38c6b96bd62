package rows

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
	"github.com/heapfs/heapfs/uapi"
)

// limitRows: descriptors run out, and which number is taken.
func limitRows() []Row {
	return []Row{
		{ID: "alloc-emfile", What: "ALLOC without a free descriptor, 20 times", Try: func(c *Case) string {
			heap, addr := c.RW(), newArea(1).putFirst(usual.bytes())
			limit(openNow().lowest())
			answers := map[string]bool{}
			for range 20 {
				answers[ask(heap, uapi.HeapIoctlAlloc, addr, 24)] = true
			}
			return oneOf(answers)
		}},
		{ID: "alloc-emfile-wrong", What: "a wrong ALLOC without a free descriptor", Try: func(c *Case) string {
			data := args{length: 4096, fd: 1}.bytes()
			heap, addr := c.RW(), newArea(1).putFirst(data)
			limit(openNow().lowest())
			return ask(heap, uapi.HeapIoctlAlloc, addr, 24)
		}},
		{ID: "alloc-emfile-then-room", What: "ALLOC after a descriptor was closed again", Try: func(c *Case) string {
			heap, spare, addr := c.RW(), c.RW(), newArea(1).putFirst(usual.bytes())
			limit(openNow().lowest())
			full := ask(heap, uapi.HeapIoctlAlloc, addr, 24)
			sys.Close(spare)
			return each(named("full:", full), named("room:", ask(heap, uapi.HeapIoctlAlloc, addr, 24)))
		}},
		{ID: "alloc-limit-0", What: "ALLOC with RLIMIT_NOFILE 0", Try: func(c *Case) string {
			heap, addr := c.RW(), newArea(1).putFirst(usual.bytes())
			limit(0)
			return ask(heap, uapi.HeapIoctlAlloc, addr, 24)
		}},
		{ID: "alloc-lowest", What: "the number of a new descriptor with a gap below others", Try: func(c *Case) string {
			heap, gap := c.RW(), c.RW()
			c.RW()
			sys.Close(gap)
			return ask(heap, uapi.HeapIoctlAlloc, newArea(1).putFirst(usual.bytes()), 24)
		}},
		{ID: "alloc-number-0", What: "the number of a new descriptor with standard input closed", Try: func(c *Case) string {
			heap := c.RW()
			sys.Close(0)
			data := usual.bytes()
			addr := newArea(1).putFirst(data)
			answer := errName(ioctl(heap, uapi.HeapIoctlAlloc, addr))
			return each(answer, named("open 0:", isOpen(0)), named("told", uapi.DecodeAlloc(at(addr, 24)).FD))
		}},
		{ID: "alloc-numbers", What: "the numbers of three new descriptors", Try: func(c *Case) string {
			open, heap := openNow(), c.RW()
			open[heap] = true
			var places []string
			for range 3 {
				fd, err := sys.HeapAlloc(heap, 1, unix.O_CLOEXEC)
				must("alloc", err)
				places = append(places, open.place(fd))
			}
			return each(places...)
		}},
	}
}

// limit sets how many descriptors this process may have.
func limit(n int) {
	var l unix.Rlimit
	must("getrlimit", unix.Getrlimit(unix.RLIMIT_NOFILE, &l))
	l.Cur = uint64(n)
	must("setrlimit", unix.Setrlimit(unix.RLIMIT_NOFILE, &l))
}

// oneOf is the only answer, or says that there were several.
func oneOf(answers map[string]bool) string {
	for a := range answers {
		if len(answers) == 1 {
			return a
		}
	}
	return fmt.Sprintf("%d answers: %v", len(answers), answers)
}

// rawRows: what the upper halves of the registers hold. A C library may pass the command sign-extended; the kernel takes 32 bits.
func rawRows() []Row {
	const (
		garbage  = uintptr(0x5A5A5A5A) << 32
		signBits = uintptr(0xFFFFFFFF) << 32
	)
	var rows []Row
	for _, x := range []struct {
		id, what string
		fd, cmd  uintptr
	}{
		{"zeros", "zeros above the command and the descriptor", 0, 0},
		{"sign", "a sign-extended command", 0, signBits},
		{"command", "garbage above the command", 0, garbage},
		{"descriptor", "garbage above the descriptor", garbage, 0},
		{"both", "garbage above both", signBits, garbage},
	} {
		rows = append(rows,
			Row{ID: "raw-alloc-" + x.id, What: "ALLOC with " + x.what, Try: func(c *Case) string {
				return askRaw(uintptr(c.RW())|x.fd, uintptr(uapi.HeapIoctlAlloc)|x.cmd, newArea(1).putFirst(usual.bytes()), 24)
			}},
			Row{ID: "raw-sync-" + x.id, What: "SYNC with " + x.what, Try: func(c *Case) string {
				flags := newArea(1).putFirst([]byte{3, 0, 0, 0, 0, 0, 0, 0})
				_, errno := sys.RawCall(unix.SYS_IOCTL, uintptr(c.Buffer(1))|x.fd, uintptr(uapi.BufIoctlSync)|x.cmd, flags)
				return errName(errno)
			}},
			Row{ID: "raw-nr-1-" + x.id, What: "number 1 on a node with " + x.what, Try: func(c *Case) string {
				return askRaw(uintptr(c.RW())|x.fd, uintptr(uapi.IOWR(uapi.HeapMagic, 1, 24))|x.cmd, newArea(1).putFirst(usual.bytes()), 24)
			}})
	}
	return rows
}
