package ptrace

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/deliver/callers"
	"github.com/heapfs/heapfs/heapnodes"
	"github.com/heapfs/heapfs/internal/sys"
)

// ReplyErrno is what the FUSE reply makes the ioctl return while its caller's thread is on the way to its stop. It stands if the stop
// never comes; after an injection the result is set anew.
const ReplyErrno = unix.ENOMEM

// step is a point of a session that tests stop at.
type step string

const (
	stepSeized    step = "seized"    // traced, still in the ioctl
	stepStopped   step = "stopped"   // on the way out
	stepVerified  step = "verified"  // it is the ioctl of the order
	stepReady     step = "ready"     // its next way is into the ioctl again
	stepPaired    step = "paired"    // has made the socket pair
	stepSent      step = "sent"      // the file is on its way
	stepReceived  step = "received"  // has it
	stepPlaced    step = "placed"    // at its final number
	stepClosed    step = "closed"    // without the socket pair
	stepFinishing step = "finishing" // the transaction has ended
)

var steps = []step{
	stepSeized, stepStopped, stepVerified, stepReady, stepPaired, stepSent, stepReceived, stepPlaced, stepClosed, stepFinishing,
}

// session is the work on one caller. All of it is done by the OS thread that began it.
type session struct {
	order
	file    int             // what to install; the session's own, -1 when it is given up
	device  int             // where the request waits for its reply; the same
	reached func(step, int) // nil but in tests
	placed  func(fd int)    // is told, when the caller has the file, by which number
	handle  *handle         // the worker's, for its callers
	worker  int             // its thread
	ledger  ledger
	place   int          // in it, -1
	fileID  sys.FileID   // of the file
	late    *atomic.Bool // no more waiting for the first stop
	stopped bool         // it has come

	traced   bool           // until the thread is detached or has ended
	regs     *sys.Registers // those it left the ioctl with; nil until verified
	mask     uint64         // the signals that it blocks
	masked   bool           // it blocks all of them now
	scratch  uint64
	theirs   []int // descriptors that the injection opened in the caller and has not closed
	received int   // what the caller got, -1
}

var (
	errGone = fmt.Errorf("%w: its thread ended", heapnodes.ErrGone)
	errStop = fmt.Errorf("%w: its thread did not stop in time; it is frozen, or waits for something that can't be interrupted",
		heapnodes.ErrNoInstaller)
)

// at tells the tests.
func (s *session) at(p step) {
	if s.reached != nil {
		s.reached(p, s.TID)
	}
}

// seize begins to trace the caller and asks it to stop when its ioctl ends.
func (s *session) seize() error {
	if !supported {
		return fmt.Errorf("%w: not on this kind of machine; start the program with heapfs run", heapnodes.ErrNoInstaller)
	}
	const options = unix.PTRACE_O_TRACESYSGOOD
	errno := sys.PtraceSeize(s.TID, options|unix.PTRACE_O_SUSPEND_SECCOMP)
	if errno == unix.EPERM || errno == unix.EINVAL {
		// Without the suspension a filter of the caller's may kill it for a call that it never made.
		if err := s.mayWithoutSuspension(); err != nil {
			return err
		}
		errno = sys.PtraceSeize(s.TID, options)
	}
	switch errno {
	case 0:
	case unix.ESRCH:
		return errGone
	case unix.EPERM:
		return fmt.Errorf("%w: ptrace of thread %d is refused; it needs CAP_SYS_PTRACE, see heapfs doctor", heapnodes.ErrDenied, s.TID)
	default:
		return fmt.Errorf("%w: ptrace PTRACE_SEIZE: %v", heapnodes.ErrDenied, errno)
	}
	s.traced = true
	if errno := sys.PtraceInterrupt(s.TID); errno != 0 {
		return s.lost("PTRACE_INTERRUPT", errno)
	}
	s.at(stepSeized)
	return nil
}

// reply answers the caller's request. That it could not says that the caller was killed, or that the Door has given the request up.
func (s *session) reply() error {
	s.ledger.answer(s.place, s.Serial)
	n, err := unix.Write(s.device, s.Reply)
	sys.Close(s.device)
	s.device = -1
	switch {
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("%w: its request waits no more", heapnodes.ErrGone)
	case err != nil:
		return fmt.Errorf("%w: the reply: %v", heapnodes.ErrNoInstaller, err)
	case n != len(s.Reply):
		return fmt.Errorf("%w: %d of %d bytes of the reply were taken", heapnodes.ErrNoInstaller, n, len(s.Reply))
	}
	return nil
}

// mayWithoutSuspension is why a caller whose filters stay in force must not be traced, or nil.
func (s *session) mayWithoutSuspension() error {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(s.TID) + "/status")
	if err != nil {
		return errGone
	}
	if tracer := statusNumber(status, "TracerPid"); tracer != 0 {
		comm, _ := os.ReadFile("/proc/" + strconv.Itoa(tracer) + "/comm")
		return fmt.Errorf("%w: it is traced already, by thread %d (%s); start the program with heapfs run instead",
			heapnodes.ErrNoInstaller, tracer, bytes.TrimSpace(comm))
	}
	if statusNumber(status, "Seccomp") != 0 && statusNumber(status, "Seccomp_filters") > s.Filters {
		return fmt.Errorf("%w: it has a seccomp filter of its own, which can't be suspended without CAP_SYS_ADMIN; "+
			"start the program with heapfs run instead", heapnodes.ErrNoInstaller)
	}
	return nil
}

// statusNumber is a number of a /proc/PID/status, 0 if it is not there.
func statusNumber(status []byte, key string) int { return callers.StatusNumber(status, key, 0) }

// awaitStop waits for the caller's thread to come out of its ioctl. Nothing else can stop it first: what ptrace asked for comes before
// any signal.
func (s *session) awaitStop() error {
	for {
		st, err := s.wait()
		if err != nil {
			return err
		}
		if isEventStop(st) {
			s.stopped = true
			s.at(stepStopped)
			return nil
		}
		if errno := sys.PtraceSyscall(s.TID, st.StopSignal()); errno != 0 {
			return s.lost("PTRACE_SYSCALL", errno)
		}
	}
}

func isEventStop(st unix.WaitStatus) bool {
	return st.Stopped() && uint32(st)>>16 == unix.PTRACE_EVENT_STOP
}

// verify is whether the stopped thread is the caller: in an ioctl, with the order's command and argument, on its node. Nothing of it
// has been changed yet.
func (s *session) verify() error {
	info, errno := sys.PtraceSyscallInfo(s.TID)
	if errno != 0 {
		return s.lost("PTRACE_GET_SYSCALL_INFO", errno)
	}
	if info.Arch != nativeArch {
		return fmt.Errorf("%w: it is no 64-bit program of this machine; start it with heapfs run instead", heapnodes.ErrNoInstaller)
	}
	r, errno := sys.PtraceRegisters(s.TID)
	if errno != 0 {
		return s.lost("PTRACE_GETREGS", errno)
	}
	if number(r) != sysIoctl || uint32(argument(r, 1)) != s.Cmd || argument(r, 2) != s.Arg {
		return fmt.Errorf("%w: thread %d is not in the ioctl that it asked for", heapnodes.ErrGone, s.TID)
	}
	if result(r) == -int64(unix.EFAULT) {
		return fmt.Errorf("%w: the reply could not be copied to %#x", heapnodes.ErrFault, s.Arg)
	}
	if result(r) != -int64(ReplyErrno) {
		return fmt.Errorf("%w: the ioctl of thread %d ended without the reply", heapnodes.ErrGone, s.TID)
	}
	heap := uint32(argument(r, 0))
	id, err := sys.StatAt(unix.AT_FDCWD, fmt.Sprintf("/proc/%d/fd/%d", s.TID, heap))
	if err != nil || id != s.Node {
		return fmt.Errorf("%w: descriptor %d is no longer the heap node", heapnodes.ErrNoInstaller, heap)
	}
	code := make([]byte, len(syscallInstruction))
	if err := s.read(code, instruction(r)); err != nil || !bytes.Equal(code, syscallInstruction) {
		return fmt.Errorf("%w: it did not enter the kernel by a system call instruction (%x, %v)", heapnodes.ErrNoInstaller, code, err)
	}
	s.regs = r
	s.at(stepVerified)
	return nil
}

// note keeps the ledger: what would be left in the caller if this process were killed now.
func (s *session) note() {
	of := left{file: s.fileID, fds: s.theirs}
	if s.received >= 0 {
		of.fds = append(of.fds[:len(of.fds):len(of.fds)], s.received)
	}
	s.ledger.note(s.place, s.TID, of)
}

// finish gives the caller its registers and signals back, with what its ioctl returns, and lets it go. After a failure it keeps
// nothing of the injection.
func (s *session) finish(f finish) {
	if !s.traced {
		return
	}
	s.at(stepFinishing)
	if s.regs == nil {
		s.detach() // it was never touched: the reply's result stands
		return
	}
	errno := f.errno
	for _, w := range f.writes {
		// The reply has been copied to the same page just now, so another thread of the caller has taken it away.
		if errno == 0 && s.write(w.data, w.addr) != nil {
			errno = unix.EFAULT
		}
	}
	if errno != 0 && s.received >= 0 {
		s.theirs, s.received = append(s.theirs, s.received), -1
	}
	s.closeTheirs()
	s.ledger.note(s.place, s.TID, left{}) // before it can go on, for what it has now is its own
	setResult(s.regs, -int64(errno))
	if e := sys.PtraceSetRegisters(s.TID, s.regs); e != 0 {
		_ = s.lost("PTRACE_SETREGS", e)
		return
	}
	if s.unmask() != nil {
		return
	}
	s.detach()
}

func (s *session) detach() {
	if !s.traced {
		return
	}
	if errno := sys.PtraceDetach(s.TID); errno != 0 {
		_ = s.lost("PTRACE_DETACH", errno)
		return
	}
	s.traced = false
}

// wait waits for the caller's thread to stop.
func (s *session) wait() (unix.WaitStatus, error) {
	for {
		st, errno := sys.WaitTraced(s.TID)
		switch {
		case errno == unix.EINTR:
			switch {
			case !s.isOurs():
				s.traced = false
				return 0, errGone
			case s.late.Load() && !s.stopped:
				return 0, errStop
			}
		case errno != 0, st.Exited(), st.Signaled(): // ECHILD: another thread of its process has executed a program
			s.traced = false
			return 0, errGone
		default:
			return st, nil
		}
	}
}

// isOurs is whether the thread of that number is still traced by this one. Another thread that executes a program takes the number of
// its process over.
func (s *session) isOurs() bool {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(s.TID) + "/status")
	return err == nil && statusNumber(status, "TracerPid") == unix.Gettid()
}

// lost judges the failure of a request on a stopped thread. ESRCH says that it was killed; its end must be waited for, because a
// thread that has ended and is traced keeps its process from executing a program, and its parent from hearing of the end.
func (s *session) lost(what string, errno syscall.Errno) error {
	if !errors.Is(errno, unix.ESRCH) {
		return fmt.Errorf("%w: ptrace %s: %v", heapnodes.ErrNoInstaller, what, errno)
	}
	for {
		if _, err := s.wait(); err != nil {
			return err
		}
	}
}
