package rows

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
)

// adviseRows: madvise and its relatives on a mapping of a buffer.
func adviseRows() []Row {
	var rows []Row
	for _, a := range []struct {
		name   string
		advice uintptr
	}{
		{"normal", unix.MADV_NORMAL}, {"willneed", unix.MADV_WILLNEED}, {"dontneed", unix.MADV_DONTNEED}, {"free", unix.MADV_FREE},
		{"remove", unix.MADV_REMOVE}, {"dontfork", unix.MADV_DONTFORK}, {"dofork", unix.MADV_DOFORK}, {"mergeable", unix.MADV_MERGEABLE},
		{"hugepage", unix.MADV_HUGEPAGE}, {"dontdump", unix.MADV_DONTDUMP}, {"dodump", unix.MADV_DODUMP}, {"wipeonfork", unix.MADV_WIPEONFORK},
		{"cold", unix.MADV_COLD}, {"pageout", unix.MADV_PAGEOUT}, {"populate-read", unix.MADV_POPULATE_READ},
		{"populate-write", unix.MADV_POPULATE_WRITE},
	} {
		rows = append(rows, Row{ID: "madvise-" + a.name, What: "madvise " + a.name + " of a mapping, and its bytes then", Try: func(c *Case) string {
			p := mapRW(c.Buffer(threePages), threePages)
			fill(p, threePages, 8)
			_, errno := sys.RawCall(unix.SYS_MADVISE, p, threePages, a.advice)
			return each(errName(errno), named("kept", filled(p, threePages, 8)))
		}})
	}
	for _, m := range []struct {
		id, what string
		number   uintptr
		flags    uintptr
	}{
		{"msync-sync", "msync MS_SYNC", unix.SYS_MSYNC, unix.MS_SYNC},
		{"msync-async", "msync MS_ASYNC", unix.SYS_MSYNC, unix.MS_ASYNC},
		{"msync-invalidate", "msync MS_INVALIDATE", unix.SYS_MSYNC, unix.MS_INVALIDATE},
		{"mlock", "mlock", unix.SYS_MLOCK, 0},
		{"munlock", "munlock", unix.SYS_MUNLOCK, 0},
		{"mlock-onfault", "mlock2 MLOCK_ONFAULT", unix.SYS_MLOCK2, unix.MLOCK_ONFAULT},
	} {
		rows = append(rows, Row{ID: m.id, What: m.what + " of a mapping", Try: func(c *Case) string {
			_, errno := sys.RawCall(m.number, mapRW(c.Buffer(threePages), threePages), threePages, m.flags)
			return errName(errno)
		}})
	}
	return append(rows, Row{ID: "mincore", What: "mincore of a mapping that was written", Try: func(c *Case) string {
		p, vec := mapRW(c.Buffer(threePages), threePages), newArea(1)
		fill(p, threePages, 8)
		_, errno := sys.RawCall(unix.SYS_MINCORE, p, threePages, vec.base)
		return errName(errno)
	}})
}

// pageRows: calls that take the pages of a mapping, and calls that only copy from them.
func pageRows() []Row {
	filledMap := func(c *Case) uintptr {
		p := mapRW(c.Buffer(threePages), threePages)
		fill(p, threePages, 8)
		return p
	}
	self := os.Getpid()
	return []Row{
		{ID: "pages-vm-readv", What: "process_vm_readv of a mapping", Try: func(c *Case) string {
			return value(unix.ProcessVMReadv(self, iovec(make([]byte, 8)), []unix.RemoteIovec{{Base: filledMap(c), Len: 8}}, 0))
		}},
		{ID: "pages-vm-writev", What: "process_vm_writev into a mapping", Try: func(c *Case) string {
			return value(unix.ProcessVMWritev(self, iovec(make([]byte, 8)), []unix.RemoteIovec{{Base: filledMap(c), Len: 8}}, 0))
		}},
		{ID: "pages-proc-mem", What: "read of a mapping by /proc/self/mem", Try: func(c *Case) string {
			p := filledMap(c)
			fd := get[int]("open mem")(unix.Open("/proc/self/mem", unix.O_RDWR|unix.O_CLOEXEC, 0))
			return value(unix.Pread(fd, make([]byte, 8), int64(p)))
		}},
		{ID: "pages-proc-mem-write", What: "write of a mapping by /proc/self/mem", Try: func(c *Case) string {
			p := filledMap(c)
			fd := get[int]("open mem")(unix.Open("/proc/self/mem", unix.O_RDWR|unix.O_CLOEXEC, 0))
			return value(unix.Pwrite(fd, make([]byte, 8), int64(p)))
		}},
		{ID: "pages-vmsplice", What: "vmsplice of a mapping into a pipe", Try: func(c *Case) string {
			return value(unix.Vmsplice(pipeEnds()[1], []unix.Iovec{{Base: &at(filledMap(c), 1)[0], Len: 8}}, 0))
		}},
		{ID: "pages-write-pipe", What: "write of a mapping's bytes into a pipe", Try: func(c *Case) string {
			return value(unix.Write(pipeEnds()[1], at(filledMap(c), 8)))
		}},
		{ID: "pages-read-pipe", What: "read from a pipe into a mapping", Try: func(c *Case) string {
			ends := pipeEnds()
			get[int]("write")(unix.Write(ends[1], []byte("12345678")))
			p := filledMap(c)
			return each(value(unix.Read(ends[0], at(p, 8))), string(at(p, 8)))
		}},
		{ID: "pages-pagemap", What: "whether pagemap says that the pages are a file's", Try: func(c *Case) string {
			p := filledMap(c)
			fd := get[int]("open pagemap")(unix.Open("/proc/self/pagemap", unix.O_RDONLY|unix.O_CLOEXEC, 0))
			entry := make([]byte, 8)
			get[int]("read pagemap")(unix.Pread(fd, entry, int64(p/pageSize*8)))
			return each(named("present", entry[7]&0x80 != 0), named("file", entry[7]&0x20 != 0))
		}},
		{ID: "pages-smaps", What: "the flags of a mapping in smaps", Try: func(c *Case) string { return vmFlags(filledMap(c)) }},
	}
}

func iovec(b []byte) []unix.Iovec {
	return []unix.Iovec{{Base: &b[0], Len: uint64(len(b))}}
}

// vmFlags gives those flags of smaps that tell how a mapping behaves: io, pf, de (no growing), dd (not dumped).
func vmFlags(addr uintptr) string {
	data, err := os.ReadFile("/proc/self/smaps")
	must("read smaps", err)
	inside := false
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, fmt.Sprintf("%x-", addr)) {
			inside = true
		}
		if flags, ok := strings.CutPrefix(line, "VmFlags: "); ok && inside {
			var told []string
			for _, f := range strings.Fields(flags) {
				if strings.Contains(" io pf de dd mm sh ", " "+f+" ") {
					told = append(told, f)
				}
			}
			return strings.Join(told, " ")
		}
	}
	return "no VmFlags"
}
