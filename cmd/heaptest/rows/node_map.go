package rows

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
)

// nodeMapRows: a node can't be mapped.
func nodeMapRows() []Row {
	var rows []Row
	for _, flags := range []struct {
		name string
		bits int
	}{{"shared", unix.MAP_SHARED}, {"private", unix.MAP_PRIVATE}, {"validate", unix.MAP_SHARED_VALIDATE}} {
		for _, p := range []struct {
			name string
			prot int
		}{{"r", unix.PROT_READ}, {"w", unix.PROT_WRITE}, {"rw", unix.PROT_READ | unix.PROT_WRITE}} {
			rows = append(rows, Row{
				ID:   "node-mmap-" + flags.name + "-" + p.name,
				What: fmt.Sprintf("mmap of a node, %s, %s", flags.name, p.name),
				Try: func(c *Case) string {
					addr, errno := sys.RawMap(pageSize, p.prot, flags.bits, c.RW(), 0)
					if errno != 0 {
						return errName(errno)
					}
					return each("0", named("touch:", touch(addr, false)))
				},
			})
		}
	}
	return append(rows, Row{ID: "node-mmap-read-only-node", What: "shared mapping for writing of a node that is open for reading",
		Try: func(c *Case) string {
			_, errno := sys.RawMap(pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED, c.Node(unix.O_RDONLY), 0)
			return errName(errno)
		}})
}

// nodePollRows: poll, select and epoll of a node.
func nodePollRows() []Row {
	return pollTable("node", "a node", (*Case).RW)
}

// nodeFcntlRows: locks, leases and flags of a node.
func nodeFcntlRows() []Row {
	return fcntlTable("node", "a node", (*Case).RW)
}

// pollRows: the same of a buffer.
func pollRows() []Row {
	return pollTable("buf", "a buffer", func(c *Case) int { return c.Buffer(pageSize) })
}

// bufFcntlRows: the same of a buffer.
func bufFcntlRows() []Row {
	return fcntlTable("buf", "a buffer", func(c *Case) int { return c.Buffer(pageSize) })
}
