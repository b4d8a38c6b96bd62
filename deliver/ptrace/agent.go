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
	ledger  ledger   // nil where the Door has none
	places  chan int // free entries of it
	watch   watch
	over    chan struct{}
}

func newAgent(reached func(step, int)) *agent {
	a := &agent{
		reached: reached, stopIn: stopIn, over: make(chan struct{}), places: make(chan int, entries),
		watch: watch{busy: map[*watched]struct{}{}, begun: make(chan struct{}, 1)},
	}
	for place := range entries {
		a.places <- place
	}
	return a
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
		b, fd, err := receive(control, buf)
		if err != nil {
			break // the Door is closed
		}
		switch {
		case fd < 0 || len(b) == 0:
		case b[0] == msgLedger && a.ledger == nil:
			if a.ledger, err = mapLedger(fd); err != nil {
				slog.Warn("an agent that is killed leaves descriptors in callers", "error", err)
			}
			sys.Close(fd)
		case b[0] == msgWorker:
			a.workers.Add(1)
			go a.work(fd, a.place())
		default:
			sys.Close(fd)
		}
	}
	sys.Close(control)
	a.workers.Wait()
	a.ledger.unmap()
}

// work serves the sessions of one socket, one after the other. The kernel takes a tracer to be a thread, so it stays on one.
func (a *agent) work(sock, place int) {
	runtime.LockOSThread()
	if unix.Gettid() == os.Getpid() {
		// This thread can't be given up: the Go runtime keeps a process's first one.
		go a.work(sock, place)
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
		if a.session(sock, buf, o, place) {
			// A thread that has not stopped can't be detached. It is let go when its tracer ends, which this thread does when its
			// goroutine returns without unlocking it.
			go a.work(sock, place)
			return
		}
	}
	sys.Close(sock)
	if place >= 0 {
		a.places <- place
	}
	runtime.UnlockOSThread()
	a.workers.Done()
}

// place takes an entry of the ledger, -1 if there is none.
func (a *agent) place() int {
	select {
	case place := <-a.places:
		return place
	default:
		return -1
	}
}

// session does one order, whose file is its own. stuck says that the caller is traced still and can't be let go.
func (a *agent) session(sock int, buf []byte, o order, place int) (stuck bool) {
	s := &session{order: o, reached: a.reached, ledger: a.ledger, place: place, late: new(atomic.Bool), received: -1}
	defer a.watch.over(a.watch.begin(s))
	defer s.closeFile()
	defer a.ledger.note(place, o.TID, left{}) // also of who has ended
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
