package rows

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
	"github.com/heapfs/heapfs/uapi"
)

// HelperCommand is the first argument under which this program plays the second process of a row.
const HelperCommand = "row-helper"

// answerFD is where a second process writes its answer.
const answerFD = 3

// helper runs this program once more, as a child that inherits what is not close-on-exec, and gives its answer. env is added to
// the environment.
func (c *Case) helper(role string, env []string, arguments ...string) string {
	var ends [2]int
	must("pipe", unix.Pipe2(ends[:], unix.O_CLOEXEC))
	// Without a lock: Go's own starts use ForkLock, and a descriptor of ours that leaks into another helper harms nothing.
	// Descriptors that the row means to pass keep their numbers; those beside 0 to 3 are inherited as they are.
	out := ends[1]
	pid, err := syscall.ForkExec(c.Self, append([]string{c.Self, HelperCommand, role}, arguments...), &syscall.ProcAttr{
		Env:   append(os.Environ(), env...),
		Files: []uintptr{0, 1, 2, uintptr(out)},
	})
	sys.Close(out)
	must("start helper", err)
	answer := readAll(ends[0])
	sys.Close(ends[0])
	var status unix.WaitStatus
	for {
		if _, err = unix.Wait4(pid, &status, 0, nil); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	must("wait", err)
	if !status.Exited() || status.ExitStatus() != 0 {
		return answer + " (helper: status " + strconv.Itoa(int(status)) + ")"
	}
	return answer
}

func readAll(fd int) string {
	var text strings.Builder
	b := make([]byte, 4096)
	for {
		n, err := unix.Read(fd, b)
		if err == unix.EINTR {
			continue
		}
		if n <= 0 {
			return text.String()
		}
		text.Write(b[:n])
	}
}

// roles are what a second process may be asked to do. The first argument of most is the number of a descriptor.
var roles = map[string]func(c *Case, arguments []string) string{
	"is-open": func(_ *Case, a []string) string {
		if isOpen(number(a[0])) {
			return "open"
		}
		return "closed"
	},
	"write-byte": func(_ *Case, a []string) string {
		fill(mapRW(number(a[0]), pageSize), 1, 0x77)
		return "0"
	},
	"alloc": func(_ *Case, a []string) string {
		return ask(number(a[0]), uapi.HeapIoctlAlloc, newArea(1).putFirst(usual.bytes()), 24)
	},
	"nested": func(c *Case, a []string) string { return c.helper("alloc", nil, a...) },
	"use":    func(_ *Case, a []string) string { return use(number(a[0]), byte(number(a[1]))) },
	"receive": func(_ *Case, a []string) string {
		return use(receive(number(a[0])), byte(number(a[1])))
	},
	"make-and-send": func(_ *Case, a []string) string {
		fd := get[int]("alloc")(sys.HeapAlloc(number(a[1]), pageSize, unix.O_RDWR))
		fill(mapRW(fd, pageSize), 1, 0x33)
		return errName(unix.Sendmsg(number(a[0]), []byte{1}, unix.UnixRights(fd), nil, 0))
	},
	"sync-file": func(_ *Case, a []string) string {
		return each(pollBits(number(a[0])), fileInfo(number(a[0]), infoArg(0, 0, 0, 0)))
	},
}

func number(s string) int { return get[int]("argument " + s)(strconv.Atoi(s)) }

// Helper plays the second process: role and arguments as helper gave them. The answer goes to descriptor 3.
func Helper(c *Case, role string, arguments []string) error {
	answer, _ := c.Try(Row{Try: func(c *Case) string { return roles[role](c, arguments) }})
	_, err := unix.Write(answerFD, []byte(answer))
	return os.NewSyscallError("write", err)
}
