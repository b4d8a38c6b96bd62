package launch

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"os/user"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/control"
	"github.com/heapfs/heapfs/devices/board"
	"github.com/heapfs/heapfs/devices/sysfs"
	"github.com/heapfs/heapfs/doctor"
	"github.com/heapfs/heapfs/heapnodes"
	"github.com/heapfs/heapfs/internal/sys"
)

// RunConfig is what `heapfs run` was asked for.
type RunConfig struct {
	// Args is CMD with its arguments.
	Args []string
	// Board is a built-in board's name or a file's path.
	Board string
	// HeapNames is the set of names that the board's heaps go by (board.NameSet), "" for the board's own.
	HeapNames string
	// Export is "auto", "memfd" or "udmabuf".
	Export string
	// Faults are specifications as of heapnodes.ParseFault.
	Faults []string
	// Binds are NODE=DEVICE: a buffer that is given to the driver of the real NODE must suit DEVICE of the board.
	Binds []string
	// Events is a file that gets every event as a JSON line, "" for none.
	Events string
	// Socket is the path of the control socket, "" for the usual place.
	Socket string
	// User is the name or number of the user that CMD runs as, "" for the own one. Only for root.
	User string

	Version  string
	LogLevel slog.Level
}

// Run starts CMD and returns its exit status when it has ended: 128 + N if signal N ended it. An error is an *Error.
func Run(cfg RunConfig) (int, error) {
	p, err := newPlan(cfg)
	if err != nil {
		return CodeFailed, failure(err)
	}
	// Events and socket are opened as the user that the front is, before anything is started.
	var events *os.File
	if cfg.Events != "" {
		events, err = os.OpenFile(cfg.Events, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o644)
		if err != nil {
			return CodeFailed, failure(fmt.Errorf("events: %w", err))
		}
		defer func() { _ = events.Close() }() // the server's copy is the one that is written
	}
	slog.Info("run", "board", p.Board, "nodes", len(p.Nodes), "export", p.Export, "user namespace", p.UserNamespace, "socket", p.Socket)
	f := &front{signals: forwarded()}
	code, err := f.run(p, events)
	if err != nil {
		return code, failure(err)
	}
	return code, nil
}

// newPlan checks what can be checked without starting anything.
func newPlan(cfg RunConfig) (*plan, error) {
	b, err := board.Load(cfg.Board)
	if err != nil {
		return nil, err
	}
	if b, err = b.WithNames(board.NameSet(cfg.HeapNames)); err != nil {
		return nil, err
	}
	p := &plan{
		Version: cfg.Version, Board: cfg.Board, HeapNames: cfg.HeapNames, LogLevel: int(cfg.LogLevel), Args: cfg.Args, Faults: cfg.Faults,
		UserNamespace: !mayMount(), UID: os.Geteuid(), GID: os.Getegid(), Events: -1,
		Front: os.Getpid(), Group: unix.Getpgrp(), Door: "seccomp",
	}
	if p.Export, err = decideExport(cfg.Export, b); err != nil {
		return nil, err
	}
	if err := checkExport(p.Export); err != nil {
		return nil, err
	}
	if err := p.fill(b); err != nil {
		return nil, err
	}
	if p.Binds, err = parseBinds(cfg.Binds, p.Importers); err != nil {
		return nil, err
	}
	if cfg.User != "" {
		if err := p.switchUser(cfg.User); err != nil {
			return nil, err
		}
	}
	p.findSocket(cfg.Socket)
	return p, nil
}

// fill takes over what the board has, and checks the faults.
func (p *plan) fill(b *board.Board) (err error) {
	if p.Nodes, err = b.Nodes(); err != nil {
		return err
	}
	if p.Pools, err = pools(b); err != nil {
		return err
	}
	if p.Platform, err = b.Platform(); err != nil {
		return err
	}
	if p.Importers, err = b.Importers(); err != nil {
		return err
	}
	p.Devices = sysfs.Devices(b, p.Nodes, &p.Platform)
	if b.UAPI != nil {
		p.UAPI = *b.UAPI
	}
	for _, spec := range p.Faults {
		if _, err := heapnodes.ParseFault(spec); err != nil {
			return err
		}
	}
	return nil
}

// findSocket decides the path of the control socket: asked, or the usual place.
func (p *plan) findSocket(asked string) {
	p.Socket = asked
	if asked != "" {
		return
	}
	path, err := control.SocketPath(os.Getpid())
	if err != nil {
		// Programs work without; ls, buffers and events won't.
		slog.Warn("no control socket", "error", err)
		return
	}
	p.Socket = path
}

// decideExport says what `auto` means.
func decideExport(asked string, b *board.Board) (string, error) {
	if asked == "" || asked == string(board.ExportAuto) {
		asked = string(b.Export)
	}
	switch board.Export(asked) {
	case "", board.ExportAuto, board.ExportMemfd:
		return string(board.ExportMemfd), nil
	case board.ExportUdmabuf, board.ExportFUSE, exportCached:
		return asked, nil
	default:
		return "", fmt.Errorf("export %q: unknown; run takes auto, memfd, fuse, %s or udmabuf", asked, exportCached)
	}
}

// switchUser makes CMD another user's.
func (p *plan) switchUser(name string) error {
	if p.UserNamespace {
		return fmt.Errorf("user %q: only root can run CMD as another user; leave --user out", name)
	}
	u, err := user.Lookup(name)
	if err != nil {
		if _, nerr := strconv.ParseUint(name, 10, 32); nerr == nil {
			u, err = user.LookupId(name)
		}
	}
	if err != nil {
		return fmt.Errorf("user %q: %w; give a name or number of /etc/passwd", name, err)
	}
	ids, err := u.GroupIds()
	if err != nil {
		return fmt.Errorf("user %q: groups: %w", name, err)
	}
	numbers := make([]int, 0, len(ids)+2)
	for _, id := range append([]string{u.Uid, u.Gid}, ids...) {
		n, err := strconv.Atoi(id)
		if err != nil {
			return fmt.Errorf("user %q: id %q is no number", name, id)
		}
		numbers = append(numbers, n)
	}
	p.Switch, p.UID, p.GID, p.Groups = true, numbers[0], numbers[1], numbers[2:]
	return nil
}

// front is the process that the user started.
type front struct {
	signals chan os.Signal
	server  int // process id
	cmd     int // process id, 0 before CMD runs
	pidfd   int // CMD's
}

func (f *front) run(p *plan, events *os.File) (int, error) {
	// If the server dies, CMD becomes a child of this process, which can still return its status.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return CodeFailed, os.NewSyscallError("prctl PR_SET_CHILD_SUBREAPER", err)
	}
	own, theirs, err := newChannel()
	if err != nil {
		return CodeFailed, err
	}
	defer own.close()
	if err := f.startServer(p, theirs, events); err != nil {
		return CodeFailed, err
	}

	messages, done, ended := make(chan message), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		listen(own, messages, done)
	}()
	code, err := f.wait(messages)
	// The descriptor must not be closed, and its number used again, under somebody who still reads it.
	close(done)
	own.shutdown()
	<-ended
	return code, err
}

// listen passes on what the server says, until it ends or nobody wants to know.
func listen(server channel, messages chan<- message, done <-chan struct{}) {
	defer close(messages)
	for {
		m, err := server.receive()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				slog.Error("the server", "error", err)
			}
			return
		}
		select {
		case messages <- m:
		case <-done:
			return
		}
	}
}

// startServer starts the server with the descriptors that the plan names, which it inherits under the same numbers: every number
// that this process was given by its own parent stays free for CMD.
func (f *front) startServer(p *plan, sock channel, events *os.File) error {
	defer sock.close()
	p.Sock = sock.fd
	inherit := []int{sock.fd}
	if events != nil {
		p.Events = int(events.Fd())
		inherit = append(inherit, p.Events)
	}
	file, err := p.store()
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // a memfd
	for _, fd := range inherit {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
			return os.NewSyscallError("fcntl F_SETFD", err)
		}
	}
	// A group of its own: what the terminal sends is for CMD.
	attr := &syscall.SysProcAttr{Setpgid: true}
	if p.UserNamespace {
		// The server is in it, too: FUSE gives nothing to a process outside of the mount's user namespace, its own server
		// included, and then no caller's descriptor could be told for a heap node.
		attr.Cloneflags = unix.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: p.UID, HostID: p.UID, Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: p.GID, HostID: p.GID, Size: 1}}
		attr.AmbientCaps = ambientCaps
		if p.fuseBuffers() {
			// Only who has a mount namespace may make a mount, be it one that is attached nowhere.
			attr.Cloneflags |= unix.CLONE_NEWNS
		}
	}
	f.server, err = syscall.ForkExec(ownPath(), []string{serverName, strconv.Itoa(p.Self)}, &syscall.ProcAttr{
		Env: os.Environ(), Files: []uintptr{0, 1, 2}, Sys: attr,
	})
	switch {
	case err == nil:
		return nil
	case p.UserNamespace:
		// Where a security module lets the namespace be made but takes its capabilities, it is the ambient one that fails.
		return hint(fmt.Errorf("new user namespace: %w", err), doctor.ExplainUserNamespace(err))
	default:
		return fmt.Errorf("start the server: %w", os.NewSyscallError("execve", err))
	}
}

// wait sees CMD through to its end.
func (f *front) wait(messages <-chan message) (int, error) {
	f.pidfd = -1
	defer func() { sys.Close(f.pidfd) }()
	var early []os.Signal
	for {
		select {
		case s := <-f.signals:
			if f.cmd == 0 {
				early = append(early, s)
			} else {
				f.forward(s)
			}
		case m, ok := <-messages:
			switch {
			case !ok:
				return f.serverDied()
			case m.Kind == msgStarted:
				f.started(m.PID)
				for _, s := range early {
					f.forward(s)
				}
			case m.Kind == msgFailed:
				f.reap(f.server)
				return m.Code, &Error{Code: m.Code, Err: errors.New(m.Text)}
			case m.Kind == msgEnded:
				if m.Final {
					f.reap(f.server)
				}
				return exitCode(m.Status), nil
			}
		}
	}
}

// started notes CMD. The pidfd keeps a later signal from reaching another process of the same number; where the process has
// ended already, its end is on its way.
func (f *front) started(pid int) {
	f.cmd = pid
	if fd, err := unix.PidfdOpen(pid, 0); err == nil {
		f.pidfd = fd
	}
}

// serverDied is what remains when the server was killed: CMD goes on, its buffers stay valid, and its ALLOCs fail.
func (f *front) serverDied() (int, error) {
	status := f.reap(f.server)
	how := fmt.Sprintf("exit status %d", status.ExitStatus())
	if status.Signaled() {
		how = fmt.Sprintf("signal %d", status.Signal())
	}
	if f.cmd == 0 {
		return CodeFailed, fmt.Errorf("the server ended before CMD was started (%s)", how)
	}
	slog.Error("the server ended; buffers stay valid, every further ALLOC fails with ENOSYS", "how", how)
	done := make(chan syscall.WaitStatus, 1)
	go func() { done <- f.reap(f.cmd) }()
	for {
		select {
		case s := <-f.signals:
			f.forward(s)
		case status := <-done:
			return exitCode(status), nil
		}
	}
}

// reap waits for a child, or for what becomes one.
func (f *front) reap(pid int) syscall.WaitStatus {
	var status syscall.WaitStatus
	for tries := 0; ; {
		_, err := syscall.Wait4(pid, &status, 0, nil)
		switch {
		case err == nil:
			return status
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.ECHILD) && tries < 100:
			// The server's children are handed on a moment after its descriptors are closed.
			tries++
			time.Sleep(time.Millisecond)
		default:
			return syscall.WaitStatus(CodeFailed << 8)
		}
	}
}

func exitCode(status syscall.WaitStatus) int {
	if status.Signaled() {
		return codeSignal + int(status.Signal())
	}
	return status.ExitStatus()
}

// forwarded subscribes to the signals that CMD gets too, but for those that this process was started to ignore.
func forwarded() chan os.Signal {
	signals := make(chan os.Signal, 64)
	for _, s := range []os.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM, unix.SIGCONT} {
		if !signal.Ignored(s) {
			signal.Notify(signals, s)
		}
	}
	return signals
}

// forward passes a signal on, unless the terminal has sent it to the whole group, CMD included.
func (f *front) forward(s os.Signal) {
	sig, ok := s.(syscall.Signal)
	if !ok || f.cmd == 0 {
		return
	}
	if (sig == unix.SIGINT || sig == unix.SIGQUIT) && inForeground() {
		return
	}
	var err error
	if f.pidfd >= 0 {
		err = unix.PidfdSendSignal(f.pidfd, sig, nil, 0)
	} else {
		err = unix.Kill(f.cmd, sig)
	}
	if err != nil && !errors.Is(err, unix.ESRCH) {
		slog.Warn("a signal could not be forwarded", "signal", sig, "error", err)
	}
}

// inForeground is whether this process is in the foreground group of its terminal.
func inForeground() bool {
	tty, err := os.OpenFile("/dev/tty", os.O_RDONLY|unix.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	defer func() { _ = tty.Close() }() // nothing was written
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}
