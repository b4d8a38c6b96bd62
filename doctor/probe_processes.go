package doctor

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"

	"github.com/heapfs/heapfs/internal/sys"
	"golang.org/x/sys/unix"
)

var processProbes = []string{
	"caller-memory", "pidfd-getfd", "subreaper",
	"ptrace-child", "ptrace-other", "ptrace-suspend-seccomp",
}

// probeProcesses starts a process of our own beside the probing one, so that
// the probing one has a child and a stranger of the same uid to look at.
func probeProcesses(ctx context.Context, h host) []finding {
	ctx, cancel := context.WithTimeout(ctx, timeLimit)
	defer cancel()
	runtime.LockOSThread() // for the death signal, as in runChild
	defer runtime.UnlockOSThread()
	other, err := startTarget(ctx)
	if err != nil {
		return allUnknown(processProbes, reason(err))
	}
	defer other.end()
	return runChild(ctx, 0, processProbes, roleProcesses, strconv.Itoa(other.pid()), h.yama)
}

// The target's memory that the probes read and write.
var (
	targetMemory = []byte("heapfs-doctor-in")
	wantRead     = []byte("heapfs-doctor-in")
	wantWrite    = []byte("heapfs-doctor-ok")
)

// target is a process that waits to be looked at.
type target struct {
	cmd   *exec.Cmd
	stdin *os.File // the other end of its descriptor 0; closing it ends it
	addr  uint64   // of targetMemory there
}

// targetRole tells where its memory is and waits for the end of stdin.
func targetRole([]string) []finding {
	fmt.Println(sys.ProbeAddress(targetMemory))
	_, _ = io.Copy(io.Discard, os.Stdin) // any end is an end
	os.Exit(0)
	return nil
}

// startTarget starts one on the calling OS thread, which the caller keeps
// until end.
func startTarget(ctx context.Context) (*target, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer closeFile(r)
	cmd := childCommand(ctx, roleTarget)
	cmd.Stdin = r
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		closeFile(w)
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		closeFile(w)
		return nil, err
	}
	t := &target{cmd: cmd, stdin: w}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err == nil {
		t.addr, err = strconv.ParseUint(line[:len(line)-1], 10, 64)
	}
	if err != nil {
		t.end()
		return nil, fmt.Errorf("start a process to look at: %w", err)
	}
	return t, nil
}

// closeFile closes what has nothing left to write.
func closeFile(f *os.File) { _ = f.Close() }

func (t *target) pid() int { return t.cmd.Process.Pid }

// end ends the target and waits for it.
func (t *target) end() {
	closeFile(t.stdin)
	_ = t.cmd.Wait() // it may have been killed by the time limit
}

// processesRole has the pid of the stranger and Yama's setting as arguments.
func processesRole(args []string) []finding {
	if len(args) != 2 {
		return allUnknown(processProbes, "the probe's arguments are missing")
	}
	other, err := strconv.Atoi(args[0])
	if err != nil {
		return allUnknown(processProbes, err.Error())
	}
	runtime.LockOSThread() // one thread is the tracer
	child, err := startTarget(context.Background())
	if err != nil {
		return allUnknown(processProbes, reason(err))
	}
	defer child.end()

	scope := "Yama not there"
	if args[1] != "" {
		scope = "kernel.yama.ptrace_scope=" + args[1]
	}
	return []finding{
		callerMemory(child),
		pidfdGetfd(child),
		subreaper(),
		attach("ptrace-child", "an own child", scope, child.pid(), 0),
		attach("ptrace-other", "a process of the same user that is no child", scope, other, 0),
		attach("ptrace-suspend-seccomp", "an own child with its filters suspended", scope,
			child.pid(), unix.PTRACE_O_SUSPEND_SECCOMP),
	}
}

// callerMemory reads and writes a child's memory as ALLOC does, by
// process_vm_* or, where a container's profile denies those, by /proc/PID/mem.
func callerMemory(t *target) finding {
	const name = "caller-memory"
	vmErr := exchange(t, processVM{t.pid()})
	if vmErr == nil {
		return works(name, "process_vm_readv and process_vm_writev on a child")
	}
	mem, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", t.pid()), os.O_RDWR, 0)
	if err != nil {
		return fails(name, "process_vm_readv: "+reason(vmErr)+"; open /proc/PID/mem", err)
	}
	defer closeFile(mem)
	if err := exchange(t, mem); err != nil {
		return fails(name, "process_vm_readv: "+reason(vmErr)+"; /proc/PID/mem", err)
	}
	return works(name, "/proc/PID/mem on a child (process_vm: %s)", reason(vmErr))
}

// memory is a process's memory by address.
type memory interface {
	io.ReaderAt
	io.WriterAt
}

// exchange reads what the target holds, writes something else, and reads that
// back, so that a success which did not reach the target is noticed.
func exchange(t *target, m memory) error {
	buf := make([]byte, len(wantRead))
	if _, err := m.ReadAt(buf, int64(t.addr)); err != nil {
		return err
	}
	if !bytes.Equal(buf, wantRead) {
		return errors.New("read something else than was there")
	}
	if _, err := m.WriteAt(wantWrite, int64(t.addr)); err != nil {
		return err
	}
	if _, err := m.ReadAt(buf, int64(t.addr)); err != nil {
		return err
	}
	if !bytes.Equal(buf, wantWrite) {
		return errors.New("what was written is not there")
	}
	_, err := m.WriteAt(wantRead, int64(t.addr))
	return err
}

// processVM is a process's memory by process_vm_readv and process_vm_writev.
type processVM struct{ pid int }

func (p processVM) ReadAt(b []byte, off int64) (int, error) {
	n, err := sys.ReadVM(p.pid, b, uint64(off))
	return whole(n, len(b), err)
}

func (p processVM) WriteAt(b []byte, off int64) (int, error) {
	n, err := sys.WriteVM(p.pid, b, uint64(off))
	return whole(n, len(b), err)
}

// whole makes a part an error, as io.ReaderAt and io.WriterAt ask for.
func whole(n, want int, err error) (int, error) {
	if err == nil && n != want {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func pidfdGetfd(t *target) finding {
	const name = "pidfd-getfd"
	pidfd, err := unix.PidfdOpen(t.pid(), 0)
	if err != nil {
		return fails(name, "pidfd_open", err)
	}
	defer sys.Close(pidfd)
	fd, err := unix.PidfdGetfd(pidfd, 0, 0)
	if err != nil {
		return fails(name, "pidfd_getfd", err)
	}
	defer sys.Close(fd)
	if err := sameFile(int(t.stdin.Fd()), fd); err != nil { // two ends of one pipe: one inode
		return finding{Name: name, Detail: err.Error()}
	}
	return works(name, "a child's descriptor taken")
}

func subreaper() finding {
	const name = "subreaper"
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fails(name, "prctl PR_SET_CHILD_SUBREAPER", err)
	}
	return works(name, "PR_SET_CHILD_SUBREAPER")
}

// attach seizes pid's first thread, stops it, and lets it go again.
func attach(name, whom, scope string, pid int, options uint) finding {
	if err := sys.ProbePtraceSeize(pid, options); err != nil {
		f := fails(name, "PTRACE_SEIZE "+whom, err)
		f.Detail += " (" + scope + ")"
		return f
	}
	// A tracee must be stopped to be let go. Should it not be possible, the
	// end of this process lets it go.
	if err := unix.PtraceInterrupt(pid); err != nil {
		return fails(name, "PTRACE_INTERRUPT "+whom, err)
	}
	var ws unix.WaitStatus
	for {
		_, err := unix.Wait4(pid, &ws, unix.WALL, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fails(name, "wait for "+whom, err)
		}
		break
	}
	if !ws.Stopped() {
		return finding{Name: name, Detail: whom + " ended when it should have stopped"}
	}
	if err := unix.PtraceDetach(pid); err != nil {
		return fails(name, "PTRACE_DETACH "+whom, err)
	}
	return works(name, "attached to %s and let it go (%s)", whom, scope)
}
