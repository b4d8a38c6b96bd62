package launch

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/deliver/seccomp"
	"github.com/heapfs/heapfs/devices/board"
	"github.com/heapfs/heapfs/doctor"
	"github.com/heapfs/heapfs/fs"
	"github.com/heapfs/heapfs/heapnodes"
	"github.com/heapfs/heapfs/internal/sys"
)

const (
	// lastWords is how long the server waits at its end for calls that are still being answered.
	lastWords = 2 * time.Second
	// agentGrace is how long the process that injects may take to end after the last caller, which is more than it gives one to stop.
	agentGrace = 10 * time.Second
	// settle is how long after CMD's end its other processes may take to end before they count as left in the background.
	settle = 50 * time.Millisecond
	// minProcs is how many Go threads of the server may run at once at the least: more than two processors have.
	minProcs = 4
)

// serverMain is the server's life. It exits.
func serverMain(p *plan) {
	front := channel{p.Sock}
	for _, fd := range []int{p.Self, p.Sock, p.Events} {
		if fd >= 0 {
			unix.CloseOnExec(fd)
		}
	}
	s := &server{plan: p, front: front, inherited: inheritedFDs(p)}
	if err := s.run(); err != nil {
		e := failure(err)
		if err := front.send(message{Kind: msgFailed, Code: e.Code, Text: e.Error()}, -1); err != nil {
			slog.Error("the front is gone", "error", err, "failure", e)
		}
		os.Exit(e.Code)
	}
	os.Exit(0)
}

type server struct {
	plan      *plan
	front     channel
	inherited []int // descriptors that are CMD's, not ours

	in     *instance
	door   *seccomp.Door
	second *secondDoor
	cmd    int // process id

	agentHangs atomic.Bool
	finished   sync.Once
}

func (s *server) run() error {
	// Where every slot is taken, the runtime's monitor takes it from a thread that has been in a system call for 20 µs, as a
	// receiver of calls always is; to get one back then costs a part of each ALLOC (measured with two processors).
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(minProcs, runtime.GOMAXPROCS(0)))
	}
	// A lease on a file that is opened meanwhile would kill a process that takes no notice.
	signal.Ignore(unix.SIGIO)
	drop := make(chan os.Signal, 1)
	if !signal.Ignored(unix.SIGHUP) {
		signal.Notify(drop, unix.SIGHUP) // background children outlive the terminal
	}
	// CMD's orphans become our children: we see when the last one has ended, and Yama lets us look into them.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl PR_SET_CHILD_SUBREAPER", err)
	}
	var err error
	if s.in, err = newInstance(s.plan); err != nil {
		return err
	}
	if err := s.start(); err != nil {
		s.in.end("CMD was not started")
		return err
	}
	s.detach()
	if err := s.front.send(message{Kind: msgStarted, PID: s.cmd}, -1); err != nil {
		slog.Debug("the front is gone", "error", err)
	}
	s.see()
	return nil
}

// start brings CMD to life: the stage mounts, hands over what is to be served, and executes it.
func (s *server) start() error {
	own, theirs, err := newChannel()
	if err != nil {
		return err
	}
	defer own.close()
	err = s.fork(theirs)
	theirs.close()
	if err != nil {
		return err
	}
	err = s.attend(own)
	if err != nil {
		// The stage ends by itself when nobody listens.
		own.shutdown()
		_, _ = syscall.Wait4(s.cmd, nil, 0, nil)
	}
	return err
}

func (s *server) fork(sock channel) error {
	stagePlan := *s.plan
	stagePlan.Sock, stagePlan.Events = sock.fd, -1
	file, err := stagePlan.store()
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // a memfd
	if _, err := unix.FcntlInt(uintptr(sock.fd), unix.F_SETFD, 0); err != nil {
		return os.NewSyscallError("fcntl F_SETFD", err)
	}
	attr := &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS, Setpgid: true, Pgid: s.plan.Group}
	s.cmd, err = syscall.ForkExec(ownPath(), []string{stageName, strconv.Itoa(stagePlan.Self)}, &syscall.ProcAttr{
		Env: os.Environ(), Files: []uintptr{0, 1, 2}, Sys: attr,
	})
	if err != nil {
		return hint(fmt.Errorf("new mount namespace: %w", err), doctor.ExplainUserNamespace(err))
	}
	return nil
}

// attend serves the stage until it has become CMD.
func (s *server) attend(stage channel) error {
	m, err := s.next(stage, msgMounted)
	if err != nil {
		return err
	}
	owner := fs.Owner{UID: uint32(s.plan.UID), GID: uint32(s.plan.GID)}
	tree := fs.NewTree(s.in.heaps.Nodes(), owner)
	tree.Sets = s.in.heaps
	s.second = newSecondDoor(ownFilters()+1, processors{}) // and the filter of the first
	once := &tellOnce{}
	tree.Door = tellingDoor{s.second, once}
	s.in.openBuffers(s.second, once)
	if _, err := fs.Serve(m.fd, tree); err != nil {
		return err
	}
	if err := s.serveDevices(stage, owner); err != nil {
		return err
	}
	if err := stage.send(message{Kind: msgGo}, -1); err != nil {
		return err
	}
	if m, err = s.next(stage, msgTrapped); err != nil {
		return err
	}
	dev := m.Dir.Dev
	s.second.dev.Store(dev)
	s.door = seccomp.Open(m.fd, seccomp.Config{
		Heaps: s.in.heaps,
		Node: func(id sys.FileID) *heapnodes.Node {
			if id.Dev != dev {
				return nil
			}
			return tree.NodeByIno(id.Ino)
		},
		Bound: s.in.bound,
	})
	go s.dismissAgent()
	if err := stage.send(message{Kind: msgGo}, -1); err != nil {
		return err
	}
	// The stage's end of the channel closes in execve.
	m, err = stage.receive()
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	default:
		return &Error{Code: m.Code, Err: errors.New(m.Text)}
	}
}

// serveDevices serves the device files, if there are any.
func (s *server) serveDevices(stage channel, owner fs.Owner) error {
	if len(s.plan.Importers) == 0 {
		return nil
	}
	m, err := s.next(stage, msgDevices)
	if err != nil {
		return err
	}
	_, err = fs.ServeDevices(m.fd, fs.NewDevices(s.in.heaps.Devices(), owner))
	return err
}

// next receives a message with a descriptor, or why the stage could not go on.
func (s *server) next(stage channel, kind string) (message, error) {
	m, err := stage.receive()
	switch {
	case errors.Is(err, io.EOF):
		return m, errors.New("the process that was to become CMD ended too early; see heapfs doctor")
	case err != nil:
		return m, err
	case m.Kind == msgFailed:
		return m, &Error{Code: m.Code, Err: errors.New(m.Text)}
	case m.Kind != kind || m.fd < 0:
		sys.Close(m.fd)
		return m, fmt.Errorf("got message %q instead of %q", m.Kind, kind)
	}
	return m, nil
}

// detach lets go of what is CMD's: whoever reads CMD's output to its end must not have to wait for us. Privileges that only the
// start needed go too.
func (s *server) detach() {
	caps := serverCaps
	if s.plan.Export == string(board.ExportFUSE) {
		caps = mountCaps // each buffer's memory is registered with the kernel
	}
	if err := keepCaps(caps); err != nil {
		slog.Warn("more privileges than needed", "error", err)
	}
	for _, fd := range s.inherited {
		sys.Close(fd)
	}
	for _, fd := range []int{0, 1} {
		toNull(fd)
	}
}

// see waits for CMD and for all that it left behind.
func (s *server) see() {
	var reported bool
	var status syscall.WaitStatus
	ended := false
	report := func(final bool) {
		if ended && !reported {
			reported = true
			// The front may be gone; CMD's others still need us.
			_ = s.front.send(message{Kind: msgEnded, Status: status, Final: final}, -1)
			toNull(2)
		}
	}
	var deadline time.Time
	for {
		var st syscall.WaitStatus
		flags := 0
		if ended && !reported {
			flags = unix.WNOHANG
		}
		pid, err := syscall.Wait4(-1, &st, flags, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ECHILD):
			s.finish()
			report(true)
			return
		case err != nil:
			slog.Error("wait4", "error", err)
			s.finish()
			report(true)
			return
		case pid == s.cmd:
			ended, status, deadline = true, st, time.Now().Add(settle)
		case pid == 0: // others live
			switch {
			case s.agentHangs.Load():
				s.finish()
				report(true)
				return
			case time.Now().After(deadline) && s.callersLive():
				report(false)
			default:
				time.Sleep(time.Millisecond)
			}
		}
	}
}

// dismissAgent lets the second door's process go when nobody is left who could call by the first. It is our child, and so CMD's end is
// not ours before that has ended. It ends as soon as its callers are on their way. One of them may be a stranger who has come to the
// heap directory by himself and is frozen: then it stays behind, to put that one right later, and nobody waits for it.
func (s *server) dismissAgent() {
	<-s.door.Done()
	s.second.Close()
	time.Sleep(agentGrace)
	slog.Warn("the process that injects still has a caller; it ends when that goes on")
	s.agentHangs.Store(true)
	time.Sleep(lastWords) // where nobody is waited for without blocking, CMD's end has been told long ago
	s.finish()
	os.Exit(0)
}

// callersLive is whether children that we have are CMD's, and not only the agent.
func (s *server) callersLive() bool {
	select {
	case <-s.door.Done():
		return false
	default:
		return true
	}
}

// finish ends the instance after the last process that could call.
func (s *server) finish() {
	select {
	case <-s.door.Done():
	case <-time.After(lastWords):
		slog.Warn("the listener has not hung up")
	}
	s.finished.Do(func() { s.in.end("the last process ended") })
}

// inheritedFDs are the open descriptors that came from the front's own parent.
func inheritedFDs(p *plan) []int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil
	}
	var fds []int
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || fd <= 2 || fd == p.Self || fd == p.Sock || fd == p.Events {
			continue
		}
		// What this process opened itself has the flag.
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err == nil && flags&unix.FD_CLOEXEC == 0 {
			fds = append(fds, fd)
		}
	}
	return fds
}

func toNull(fd int) {
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer sys.Close(null)
	_ = unix.Dup3(null, fd, 0) // it stays what it was if this fails
}

// shutdown tells the other end that nobody listens any more.
func (c channel) shutdown() { _ = unix.Shutdown(c.fd, unix.SHUT_RDWR) }
