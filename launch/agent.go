package launch

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"

	"github.com/heapfs/heapfs/deliver/ptrace"
	"github.com/heapfs/heapfs/doctor"
	"github.com/heapfs/heapfs/fs"
	"github.com/heapfs/heapfs/heapnodes"
	"github.com/heapfs/heapfs/internal/sys"
)

// agentControl is the agent's end of its control socket.
const agentControl = 3

// agentCaps are what the agent needs: to trace callers of any user, to suspend their filters, and to make room for the injection's
// descriptors.
var agentCaps = []cap.Value{cap.SYS_PTRACE, cap.SYS_ADMIN, cap.DAC_READ_SEARCH}

// agentMain is the life of the process that injects descriptors into callers.
func agentMain() {
	unix.CloseOnExec(agentControl)
	// Whoever looks for memory to be freed must not find a process that holds callers in the middle of a call.
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte("-1000"), 0); err != nil {
		slog.Debug("the kernel may end this process for want of memory", "error", err)
	}
	if err := keepCaps(agentCaps); err != nil {
		slog.Warn("more privileges than needed", "error", err)
	}
	ptrace.Serve(agentControl)
}

// startAgent starts that process and gives our end of its control socket. It ends when that is closed. It is out of the terminal's
// reach, and holds none of the descriptors that CMD's reader waits for.
func startAgent() (int, error) {
	near, far, err := ptrace.Control()
	if err != nil {
		return -1, err
	}
	defer sys.Close(far)
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		sys.Close(near)
		return -1, &os.PathError{Op: "open", Path: os.DevNull, Err: err}
	}
	defer sys.Close(null)
	attr := &syscall.SysProcAttr{Setsid: true}
	if os.Geteuid() != 0 { // execve would take them
		attr.AmbientCaps = []uintptr{unix.CAP_SYS_PTRACE}
	}
	n := uintptr(null)
	_, err = syscall.ForkExec(ownPath(), []string{agentName, strconv.Itoa(agentControl)}, &syscall.ProcAttr{
		Dir: "/", Env: os.Environ(), Files: []uintptr{n, n, n, uintptr(far)}, Sys: attr,
	})
	if err != nil {
		sys.Close(near)
		return -1, &os.PathError{Op: "execute", Path: ownPath(), Err: err}
	}
	return near, nil
}

// secondDoor connects fs and deliver/ptrace.
type secondDoor struct {
	*ptrace.Door
	dev atomic.Uint64 // the tree's file system, once it is mounted
}

var _ fs.Door = (*secondDoor)(nil)

// newSecondDoor makes one for callers that have the given number of seccomp filters which are known to be harmless.
func newSecondDoor(filters int, on processors) *secondDoor {
	start := func() (control int, err error) {
		err = on.atHome(func() error {
			control, err = startAgent()
			return err
		})
		return control, err
	}
	return &secondDoor{Door: ptrace.Open(ptrace.Config{Start: start, Filters: filters})}
}

// Call makes the Caller of a request.
func (d *secondDoor) Call(r fs.Request) fs.Call {
	return d.Door.Call(ptrace.Request{
		TID: r.TID, UID: r.UID, Cmd: r.Cmd, Arg: r.Arg, Node: sys.FileID{Dev: d.dev.Load(), Ino: r.Ino}, In: r.In, Out: r.Out,
		Reply: r.Reply, Interrupted: r.Interrupted,
	})
}

// tellingDoor says in the log, once, that the way in is closed for want of permission: programs see ENOMEM only.
type tellingDoor struct {
	fs.Door
	told *tellOnce
}

type tellOnce struct{ sync.Once }

func (d tellingDoor) Call(r fs.Request) fs.Call { return tellingCall{d.Door.Call(r), d.told} }

type tellingCall struct {
	fs.Call
	told *tellOnce
}

// End tells of a refusal, and ends the call.
func (c tellingCall) End(err error) {
	if errors.Is(err, heapnodes.ErrDenied) {
		c.told.Do(func() {
			slog.Error("programs can't be given buffers", "error", err, "next", doctor.ExplainTrace(err))
		})
	}
	c.Call.End(err)
}

// ownFilters is how many seccomp filters this process has: those of a container around it, which whatever it starts has too.
func ownFilters() int {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, after, _ := bytes.Cut(status, []byte("\nSeccomp_filters:\t"))
	line, _, _ := bytes.Cut(after, []byte("\n"))
	n, err := strconv.Atoi(string(line))
	if err != nil {
		return 0
	}
	return n
}
