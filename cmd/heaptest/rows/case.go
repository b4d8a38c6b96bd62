package rows

import (
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
	"github.com/heapfs/heapfs/uapi"
)

// Case is what a row is tried with. What a row opens is closed after it, and what it maps or limits ends with its process, which it
// shares with Plain rows at most.
type Case struct {
	Dir  string // directory of heap nodes
	Heap string // name of the heap in it
	Self string // path of this program, for rows that take two processes
}

// setUpFailure ends a row that could not be asked at all.
type setUpFailure struct{ text string }

// Try asks the row and gives its answer. ok is false when something before the question failed; the answer says what.
func (c *Case) Try(r Row) (answer string, ok bool) {
	defer func() {
		if failure, is := recover().(setUpFailure); is {
			answer, ok = failure.text, false
		}
	}()
	return r.Try(c), true
}

// must ends the row when something that it only builds on did not work.
func must(what string, err error) {
	if err != nil {
		panic(setUpFailure{fmt.Sprintf("set-up: %s: %s", what, errName(err))})
	}
}

// get is must for a call that gives a value: get[int]("open")(unix.Open(…)).
func get[T any](what string) func(v T, err error) T {
	return func(v T, err error) T {
		must(what, err)
		return v
	}
}

// Path is the heap's node.
func (c *Case) Path() string { return filepath.Join(c.Dir, c.Heap) }

// Node opens the heap's node.
func (c *Case) Node(flags int) int {
	fd, err := unix.Open(c.Path(), flags, 0)
	must("open "+c.Heap, err)
	return fd
}

// RW is a node open for reading and writing.
func (c *Case) RW() int { return c.Node(unix.O_RDWR | unix.O_CLOEXEC) }

// Buffer is a new buffer, readable and writable, close-on-exec. length is in bytes.
func (c *Case) Buffer(length uint64) int {
	return c.BufferMode(length, unix.O_RDWR|unix.O_CLOEXEC)
}

// BufferMode is a new buffer with the fd_flags given.
func (c *Case) BufferMode(length uint64, flags uint32) int {
	heap := c.RW()
	defer sys.Close(heap)
	fd, err := sys.HeapAlloc(heap, length, flags)
	must("alloc", err)
	return fd
}

// ioctl makes the call with the registers as they are.
func ioctl(fd int, cmd uapi.Cmd, arg uintptr) unix.Errno {
	_, errno := sys.RawCall(unix.SYS_IOCTL, uintptr(fd), uintptr(cmd), arg)
	return errno
}
