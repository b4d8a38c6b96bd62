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
		b, fds, err := receive(control, buf)
		if err != nil {
			break // the Door is closed
		}
		if len(b) != 1 || len(fds) != 1 {
			closeAll(fds)
			continue
		}
		fd := fds[0]
		switch {
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

// worker is a thread that serves the sessions of one socket.
type worker struct {
	sock   int
	place  int // in the ledger, -1
	thread int
	handle handle
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
	w := worker{sock: sock, place: place, thread: unix.Gettid()}
	buf := make([]byte, maxOrder)
	at := follower{on: -1}
	for {
		b, fds, err := receive(sock, buf)
		if err != nil {
			break
		}
		o, err := decodeOrder(b)
		if err != nil || len(fds) != 2 {
			slog.Error("the agent was asked for something else", "error", err, "descriptors", len(fds))
			closeAll(fds)
			break
		}
		at.follow(o.TID)
		if a.session(&w, o, fds[0], fds[1]) {
			w.handle.close()
			// A thread that has not stopped can't be detached. It is let go when its tracer ends, which this thread does when its
			// goroutine returns without unlocking it.
			go a.work(sock, place)
			return
		}
	}
	w.handle.close()
	sys.Close(sock)
	if place >= 0 {
		a.places <- place
	}
	at.leave()
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

// session does one order; file and device are its own. stuck says that the caller is traced still and can't be let go.
func (a *agent) session(w *worker, o order, file, device int) (stuck bool) {
	sock := w.sock
	s := &session{
		order: o, file: file, device: device, reached: a.reached, handle: &w.handle, worker: w.thread, ledger: a.ledger, place: w.place,
		late: new(atomic.Bool), received: -1,
	}
	defer s.closeFiles()
	defer a.ledger.note(w.place, o.TID, left{}) // also of who has ended
	defer a.ledger.answer(w.place, 0)
	defer func() { _ = send(sock, []byte{msgDone}) }()
	s.placed = func(n int) {
		// The Door ends the transaction while the caller tidies up. If it is gone, awaitEnd finds out.
		_ = send(sock, numbered(msgInstalled, n))
	}
	err := s.seize()
	if err == nil {
		err = s.reply()
	}
	if err != nil {
		_ = send(sock, failure(err)) // the Door replies, or has
	}
	// From here on there is a reply, so the caller can be late.
	defer a.watch.over(a.watch.begin(s))
	if err != nil {
		stuck = s.letGo()
		_ = awaitEnd(sock)
		return stuck
	}
	err = deliver(s)
	if err != nil && !s.traced {
		err = errGone // whatever that looked like
	}
	if err != nil {
		if s.regs == nil && !errors.Is(err, errStop) {
			s.detach()
		}
		_ = send(sock, failure(err))
	}
	f := awaitEnd(sock)
	if stuck = errors.Is(err, errStop); !stuck {
		s.finish(f)
	}
	return stuck
}

// letGo lets a caller go on that is to have nothing. If it was asked to stop, that comes first.
func (s *session) letGo() (stuck bool) {
	if !s.traced {
		return false
	}
	err := s.awaitStop()
	if err == nil {
		s.detach()
	}
	return errors.Is(err, errStop)
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
func awaitEnd(sock int) finish {
	var buf [maxMessage]byte
	b, fds, err := receive(sock, buf[:])
	closeAll(fds)
	if err != nil {
		return finish{errno: ReplyErrno}
	}
	f, err := decodeFinish(b)
	if err != nil {
		return finish{errno: ReplyErrno}
	}
	return f
}
