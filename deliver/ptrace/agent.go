package ptrace

import (
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
)

const (
	// stopIn is how long a caller may take to come out of its ioctl after the reply.
	stopIn = 5 * time.Second
)

// Serve is the life of the agent. control is the far end of the socket that the Door Started it with, and belongs to Serve. It returns
// when the Door is closed or its process has ended, and all sessions that had begun are over.
//
// The process should have nothing else to do: its threads trace callers, and a wait for any child would take their stops away. It needs
// CAP_SYS_PTRACE over the callers, and CAP_SYS_ADMIN of the first user namespace for those with seccomp filters of their own.
func Serve(control int) {
	// The terminal's signals are for others; an agent that ended now would leave a caller half changed.
	signal.Ignore(unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGPIPE)
	newAgent(nil).serve(control)
}

type agent struct {
	reached func(step, int) // nil but in tests
	stopIn  time.Duration
	workers sync.WaitGroup
	watch   watch
	over    chan struct{}
}

func newAgent(reached func(step, int)) *agent {
	return &agent{
		reached: reached, stopIn: stopIn, over: make(chan struct{}),
		watch: watch{busy: map[*watched]struct{}{}, begun: make(chan struct{}, 1)},
	}
}

// serve hires a worker for each socket that comes.
func (a *agent) serve(control int) {
	defer close(a.over)
	if errno := sys.InterruptsCalls(kick); errno != 0 {
		slog.Error("callers that do not stop can't be given up", "error", os.NewSyscallError("rt_sigaction", errno))
	}
	go a.watch.keep(a.stopIn, a.over)
	if errno := sys.NoStopSignals(); errno != 0 {
		slog.Debug("each stop of a caller is signalled, too", "error", os.NewSyscallError("rt_sigaction", errno))
	}
	buf := make([]byte, maxMessage)
	for {
		_, sock, err := receive(control, buf)
		if err != nil {
			break // the Door is closed
		}
		if sock >= 0 {
			a.workers.Add(1)
			go a.work(sock)
		}
	}
	sys.Close(control)
	a.workers.Wait()
}

// work serves the sessions of one socket, one after the other. The kernel takes a tracer to be a thread, so it stays on one.
func (a *agent) work(sock int) {
	runtime.LockOSThread()
	if unix.Gettid() == os.Getpid() {
		// This thread can't be given up: the Go runtime keeps a process's first one.
		go a.work(sock)
		<-a.over
		return
	}
	buf := make([]byte, maxMessage)
	for {
		b, file, err := receive(sock, buf)
		if err != nil {
			break
		}
		o, err := decodeOrder(b)
		if err != nil {
			slog.Error("the agent was asked for something else", "error", err)
			sys.Close(file)
			break
		}
		o.file = file
		if a.session(sock, buf, o) {
			// A thread that has not stopped can't be detached. It is let go when its tracer ends, which this thread does when its
			// goroutine returns without unlocking it.
			go a.work(sock)
			return
		}
	}
	sys.Close(sock)
	runtime.UnlockOSThread()
	a.workers.Done()
}

// session does one order, whose file is its own. stuck says that the caller is traced still and can't be let go.
func (a *agent) session(sock int, buf []byte, o order) (stuck bool) {
	s := &session{order: o, reached: a.reached, late: new(atomic.Bool), received: -1}
	defer a.watch.over(a.watch.begin(s))
	defer s.closeFile()
	s.placed = func(n int) {
		// The Door ends the transaction while the caller tidies up. If it is gone, awaitEnd finds out.
		_ = send(sock, numbered(msgInstalled, n), -1)
	}
	if err := s.seize(); err != nil {
		_ = send(sock, failure(err), -1)
		_ = awaitEnd(sock, buf)
		_ = send(sock, []byte{msgDone}, -1)
		return false
	}
	_ = send(sock, []byte{msgSeized}, -1) // should the Door be gone, so is the caller's ioctl
	err := deliver(s)
	if err != nil && !s.traced {
		err = errGone // whatever that looked like
	}
	if err != nil {
		if s.regs == nil && !errors.Is(err, errStop) {
			s.detach()
		}
		_ = send(sock, failure(err), -1)
	}
	f := awaitEnd(sock, buf)
	if stuck = errors.Is(err, errStop); !stuck {
		s.finish(f)
	}
	_ = send(sock, []byte{msgDone}, -1)
	return stuck
}

func deliver(s *session) error {
	if err := s.awaitStop(); err != nil {
		return err
	}
	if err := s.verify(); err != nil {
		return err
	}
	return s.install()
}

// awaitEnd waits for the end of the transaction. A Door that is gone can't want the descriptor kept.
func awaitEnd(sock int, buf []byte) finish {
	b, fd, err := receive(sock, buf)
	sys.Close(fd)
	if err != nil {
		return finish{errno: ReplyErrno}
	}
	f, err := decodeFinish(b)
	if err != nil {
		return finish{errno: ReplyErrno}
	}
	return f
}
