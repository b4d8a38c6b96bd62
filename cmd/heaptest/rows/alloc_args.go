package rows

import (
	"fmt"
	"math"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
)

// lengthRows: how long a buffer is (dma_heap_buffer_alloc).
func lengthRows() []Row {
	var rows []Row
	for _, l := range []struct {
		id     string
		length uint64
	}{
		{"0", 0},
		{"1", 1},
		{"page-less-1", pageSize - 1},
		{"page", pageSize},
		{"page-and-1", pageSize + 1},
		{"64k", 64 << 10},
		{"1m-less-7", 1<<20 - 7},
		{"frame", 1920 * 1080 * 3 / 2},
		{"wraps-most", math.MaxUint64},
		{"wraps-least", math.MaxUint64 - pageSize + 2},
	} {
		rows = append(rows, Row{
			ID: "alloc-len-" + l.id, What: fmt.Sprintf("ALLOC of %#x bytes", l.length),
			Try: func(c *Case) string {
				return c.askUsual(args{length: l.length, flags: unix.O_RDWR | unix.O_CLOEXEC})
			},
		})
	}
	for _, l := range []struct {
		id     string
		length uint64
	}{
		{"4e", 1 << 62},
		{"most", math.MaxUint64 - pageSize + 1},
	} {
		rows = append(rows, Row{
			ID: "alloc-len-" + l.id, What: fmt.Sprintf("ALLOC of %#x bytes", l.length), Needs: NeedBounded,
			Try: func(c *Case) string {
				return c.askUsual(args{length: l.length, flags: unix.O_RDWR | unix.O_CLOEXEC})
			},
		})
	}
	return append(rows,
		Row{ID: "alloc-zeroed", What: "a new buffer is all zeros", Try: zeroed},
		Row{ID: "alloc-zeroed-again", What: "so is one where an old buffer was written and freed", Try: zeroedAgain},
	)
}

func zeroed(c *Case) string {
	const size = 1<<20 + 3*pageSize
	return named("zeros", filled(mapRW(c.Buffer(size), size), size, 0))
}

func zeroedAgain(c *Case) string {
	const size = 64 << 10
	for range 20 {
		fd := c.Buffer(size)
		p := mapRW(fd, size)
		if !filled(p, size, 0) {
			return "old bytes"
		}
		fill(p, size, 0x5A)
		if _, errno := sys.RawCall(unix.SYS_MUNMAP, p, size); errno != 0 {
			must("munmap", errno)
		}
		sys.Close(fd)
	}
	return "zeros"
}

// argumentRows: the refusals and their order (dma_heap_ioctl_allocate).
func argumentRows() []Row {
	const rw = unix.O_RDWR | unix.O_CLOEXEC
	var rows []Row
	for _, a := range []struct {
		id, what string
		args     args
	}{
		{"fd-1", "fd 1 on the way in", args{4096, 1, rw, 0}},
		{"fd-minus-1", "fd -1 on the way in", args{4096, math.MaxUint32, rw, 0}},
		{"flags-nonblock", "fd_flags with O_NONBLOCK", args{4096, 0, rw | unix.O_NONBLOCK, 0}},
		{"flags-creat", "fd_flags with O_CREAT", args{4096, 0, rw | unix.O_CREAT, 0}},
		{"flags-sync", "fd_flags with O_SYNC", args{4096, 0, rw | unix.O_SYNC, 0}},
		{"flags-high", "fd_flags with the highest bit", args{4096, 0, 1 << 31, 0}},
		{"flags-others", "fd_flags of all but the good bits", args{4096, 0, ^uint32(rw), 0}},
		{"flags-bit-2", "fd_flags 4", args{4096, 0, 4, 0}},
		{"heap-flags-1", "heap_flags 1", args{4096, 0, rw, 1}},
		{"heap-flags-high", "heap_flags with the highest bit", args{4096, 0, rw, 1 << 63}},
		{"heap-flags-all", "heap_flags of all bits", args{4096, 0, rw, math.MaxUint64}},
		{"all-wrong", "everything wrong at once", args{0, 1, 1 << 31, 1}},
		{"zero", "a struct of zeros", args{}},
		{"wraps-and-fd", "a length that wraps and fd 1", args{math.MaxUint64, 1, rw, 0}},
	} {
		rows = append(rows, Row{ID: "alloc-" + a.id, What: "ALLOC with " + a.what, Try: func(c *Case) string { return c.askUsual(a.args) }})
	}
	return rows
}

// modeRows: what fd_flags make of the descriptor.
func modeRows() []Row {
	var rows []Row
	for mode, name := range []string{"rdonly", "wronly", "rdwr", "accmode"} {
		for _, cloexec := range []uint32{0, unix.O_CLOEXEC} {
			id, flags := name, uint32(mode)|cloexec
			if cloexec != 0 {
				id += "-cloexec"
			}
			rows = append(rows,
				Row{ID: "alloc-mode-" + id, What: fmt.Sprintf("ALLOC with fd_flags %#x", flags),
					Try: func(c *Case) string { return c.askUsual(args{length: 4096, flags: flags}) }},
				Row{ID: "exec-" + id, What: fmt.Sprintf("a buffer of fd_flags %#x after execve", flags),
					Try: func(c *Case) string { return afterExec(c, c.BufferMode(4096, flags)) }})
		}
		rows = append(rows, Row{ID: "mmap-mode-" + name, What: "shared mappings of a buffer with access mode " + name,
			Try: func(c *Case) string { return mapModes(c.BufferMode(4096, uint32(mode)|unix.O_CLOEXEC)) }})
	}
	return rows
}

// afterExec says whether a program that this one starts finds the descriptor open.
func afterExec(c *Case, fd int) string { return c.helper("is-open", nil, fmt.Sprint(fd)) }

func mapModes(fd int) string {
	var answers []string
	for _, p := range []struct {
		name string
		prot int
	}{{"none", unix.PROT_NONE}, {"r", unix.PROT_READ}, {"w", unix.PROT_WRITE}, {"rw", unix.PROT_READ | unix.PROT_WRITE}} {
		_, errno := sys.RawMap(pageSize, p.prot, unix.MAP_SHARED, fd, 0)
		answers = append(answers, named(p.name, errName(errno)))
	}
	return each(answers...)
}
