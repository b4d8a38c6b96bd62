package rows

import (
	"bytes"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/uapi"
)

// nameRows: the argument of SET_NAME is the address of the string (dma_buf_set_name), by both of its commands.
func nameRows() []Row {
	var rows []Row
	for _, cmd := range []struct {
		id  string
		cmd uapi.Cmd
	}{{"a", uapi.BufIoctlSetNameA}, {"b", uapi.BufIoctlSetNameB}} {
		for _, n := range []int{0, 1, 15, 16, 30, 31, 32, 33, 64} {
			name := append(bytes.Repeat([]byte{'n'}, n), 0)
			rows = append(rows,
				Row{ID: fmt.Sprintf("name-%s-%d", cmd.id, n), What: fmt.Sprintf("SET_NAME_%s of %d bytes", strings.ToUpper(cmd.id), n),
					Try: func(c *Case) string { return errName(ioctl(c.Buffer(1), cmd.cmd, newArea(1).putFirst(name))) }},
				Row{ID: fmt.Sprintf("name-%s-%d-last", cmd.id, n),
					What: fmt.Sprintf("SET_NAME_%s of %d bytes whose NUL is the last of a page", strings.ToUpper(cmd.id), n),
					Try:  func(c *Case) string { return errName(ioctl(c.Buffer(1), cmd.cmd, newArea(1).putLast(name))) }})
		}
		for _, n := range []int{1, 8, 31, 32, 40} {
			rows = append(rows, Row{ID: fmt.Sprintf("name-%s-no-nul-%d", cmd.id, n),
				What: fmt.Sprintf("SET_NAME_%s with %d bytes and no NUL before an unmapped page", strings.ToUpper(cmd.id), n),
				Try: func(c *Case) string {
					return errName(ioctl(c.Buffer(1), cmd.cmd, newArea(1).putLast(bytes.Repeat([]byte{'n'}, n))))
				}})
		}
		for _, p := range []struct {
			id, what string
			addr     func() uintptr
		}{
			{"null", "at NULL", func() uintptr { return nullAddress }},
			{"kernel", "at an address of the kernel's", func() uintptr { return kernelAddress }},
			{"no-address", "at an address that is none", func() uintptr { return noAddress }},
			{"hole", "on an unmapped page", func() uintptr { return newArea(1).end() }},
			{"untouched", "on a page that was never touched", func() uintptr { return newArea(1).base }},
			{"no-access", "on a page without access", func() uintptr {
				a := newArea(1)
				a.protect(unix.PROT_NONE)
				return a.base
			}},
			{"across", "across two pages", func() uintptr {
				addr := newArea(2).base + pageSize - 3
				copy(at(addr, 7), "across")
				return addr
			}},
		} {
			rows = append(rows, Row{ID: "name-" + cmd.id + "-at-" + p.id, What: "SET_NAME_" + strings.ToUpper(cmd.id) + " with its name " + p.what,
				Try: func(c *Case) string { return errName(ioctl(c.Buffer(1), cmd.cmd, p.addr())) }})
		}
	}
	return append(rows, renameRows()...)
}

// setName names a buffer.
func setName(fd int, name string) string {
	return errName(ioctl(fd, uapi.BufIoctlSetNameB, newArea(1).putFirst(append([]byte(name), 0))))
}

// renameRows: names are told where they are, and may change.
func renameRows() []Row {
	return []Row{
		{ID: "name-fdinfo", What: "name in fdinfo after SET_NAME", Try: func(c *Case) string {
			fd := c.Buffer(1)
			return each(setName(fd, "camera"), fdinfo(fd, "name"))
		}},
		{ID: "name-link", What: "the text of /proc/self/fd/N after SET_NAME", Try: func(c *Case) string {
			fd := c.Buffer(1)
			return each(setName(fd, "camera"), link(fd))
		}},
		{ID: "name-maps", What: "the name of a mapping after SET_NAME", Try: func(c *Case) string {
			fd := c.Buffer(1)
			return each(setName(fd, "camera"), mapName(mapRW(fd, pageSize)))
		}},
		{ID: "name-again", What: "SET_NAME three times, empty at last", Try: func(c *Case) string {
			fd := c.Buffer(1)
			return each(setName(fd, "camera"), setName(fd, "display"), setName(fd, ""))
		}},
		{ID: "name-bytes", What: "SET_NAME with bytes that are no text", Try: func(c *Case) string { return setName(c.Buffer(1), "\xff\x01\n/") }},
		{ID: "name-rdonly", What: "SET_NAME of a buffer that is open for reading", Try: func(c *Case) string {
			return setName(c.BufferMode(1, unix.O_RDONLY), "camera")
		}},
		{ID: "name-same", What: "the same name for two buffers", Try: func(c *Case) string {
			return each(setName(c.Buffer(1), "camera"), setName(c.Buffer(1), "camera"))
		}},
	}
}
