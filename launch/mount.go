package launch

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"

	"github.com/heapfs/heapfs/devices/board"
	"github.com/heapfs/heapfs/doctor"
	"github.com/heapfs/heapfs/fs"
	"github.com/heapfs/heapfs/internal/sys"
)

// DefaultGrace is how long the end of a mount waits for live buffers.
const DefaultGrace = 10 * time.Second

// lookForBuffers is how often a mount that ends asks whether buffers live.
const lookForBuffers = 20 * time.Millisecond

// mountCaps are what the server of a mount needs when it is mounted: what callers' memory and /proc entries take, to register files for
// passthrough and to unmount, and what the process that injects inherits.
var mountCaps = []cap.Value{cap.SYS_PTRACE, cap.DAC_READ_SEARCH, cap.SYS_ADMIN}

// MountConfig is what `heapfs mount` was asked for.
type MountConfig struct {
	// Dir is the directory to mount on.
	Dir string
	// Sysfs is a directory that is to show the heaps as /sys does, "" for none.
	Sysfs string
	// Board is a built-in board's name or a file's path.
	Board string
	// HeapNames is the set of names that the board's heaps go by (board.NameSet), "" for the board's own.
	HeapNames string
	// Export is "auto", "fuse", "fuse-cached", "memfd" or "udmabuf".
	Export string
	// Faults are specifications as of heapnodes.ParseFault.
	Faults []string
	// Events is a file that gets every event as a JSON line, "" for none.
	Events string
	// Socket is the path of the control socket, "" for the usual place.
	Socket string
	// Grace is how long the end waits for live buffers.
	Grace time.Duration

	Version string
}

// mount is a heap directory that is mounted for whoever can reach it.
type mount struct {
	cfg     MountConfig
	plan    *plan
	dir     string
	sysfs   string // "" for none
	signals chan os.Signal

	on     processors
	in     *instance
	second *secondDoor
	view   *sysfsView
	dev    uint64
	done   <-chan struct{} // the file system is gone
}

// Mount serves a heap directory until it is told to end by SIGTERM or SIGINT, or the directory is unmounted.
func Mount(cfg MountConfig) error {
	m := &mount{cfg: cfg, signals: make(chan os.Signal, 8)}
	if err := m.check(); err != nil {
		return err
	}
	for _, s := range []os.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP} {
		if !signal.Ignored(s) {
			signal.Notify(m.signals, s)
		}
	}
	defer signal.Stop(m.signals)
	if err := m.start(); err != nil {
		return err
	}
	m.tell("READY=1")
	why := m.wait()
	m.tell("STOPPING=1")
	m.end(why)
	return nil
}

func (m *mount) tell(state string) {
	if err := notify(state); err != nil {
		slog.Warn("the service manager was not told", "state", state, "error", err)
	}
}

// check looks at all that can be judged before anything is started.
func (m *mount) check() error {
	b, err := board.Load(m.cfg.Board)
	if err != nil {
		return err
	}
	if b, err = b.WithNames(board.NameSet(m.cfg.HeapNames)); err != nil {
		return err
	}
	m.plan = &plan{
		Version: m.cfg.Version, Board: m.cfg.Board, HeapNames: m.cfg.HeapNames, Faults: m.cfg.Faults, UID: os.Geteuid(), GID: os.Getegid(),
		Events: -1, Front: os.Getpid(), Door: "ptrace",
	}
	if m.plan.Export, err = decideMountExport(m.cfg.Export, b); err != nil {
		return err
	}
	if err := checkExport(m.plan.Export); err != nil {
		return err
	}
	if err := m.plan.fill(b); err != nil {
		return err
	}
	if m.dir, err = mountPoint(m.cfg.Dir); err != nil {
		return err
	}
	if m.cfg.Sysfs != "" {
		if m.sysfs, err = mountPoint(m.cfg.Sysfs); err != nil {
			return err
		}
		if m.sysfs == m.dir || strings.HasPrefix(m.sysfs, m.dir+"/") {
			return fmt.Errorf("mount point %q: the heaps are to be there; give another directory for --sysfs", m.cfg.Sysfs)
		}
	}
	if !mayMount() {
		return fmt.Errorf("mount point %q: this user may not mount (no CAP_SYS_ADMIN); run heapfs mount as root, "+
			"or start the program with heapfs run, which needs no privilege", m.cfg.Dir)
	}
	m.plan.findSocket(m.cfg.Socket)
	return nil
}

// decideMountExport says what `auto` means here.
func decideMountExport(asked string, b *board.Board) (string, error) {
	if asked == "" || asked == string(board.ExportAuto) {
		asked = string(b.Export)
	}
	switch board.Export(asked) {
	case "", board.ExportAuto, board.ExportFUSE:
		return string(board.ExportFUSE), nil
	case board.ExportMemfd, board.ExportUdmabuf, exportCached:
		return asked, nil
	default:
		return "", fmt.Errorf("export %q: unknown; mount takes auto, fuse, %s, memfd or udmabuf", asked, exportCached)
	}
}

// start serves the heap directory.
func (m *mount) start() error {
	slackTimers()
	m.on = chooseProcessors()
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(mountProcs, runtime.GOMAXPROCS(0)))
	}
	// A lease on a file that is opened meanwhile would kill a process that takes no notice.
	signal.Ignore(unix.SIGIO)
	if m.cfg.Events != "" {
		// Not an os.File: the number alone goes into the plan.
		fd, err := unix.Open(m.cfg.Events, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC|unix.O_APPEND|unix.O_CLOEXEC, 0o644)
		if err != nil {
			return fmt.Errorf("events: %w", &os.PathError{Op: "open", Path: m.cfg.Events, Err: err})
		}
		m.plan.Events = fd
	}
	dev, err := openFUSE()
	if err != nil {
		return err
	}
	if m.in, err = newInstance(m.plan); err != nil {
		sys.Close(dev)
		return err
	}
	if err := m.serve(dev); err != nil {
		m.in.end("it was not mounted")
		return err
	}
	if m.sysfs != "" {
		if m.view, err = mountSysfs(m.sysfs, m.plan.newView()); err != nil {
			m.detach()
			m.in.end("it was not mounted")
			return err
		}
	}
	go reapChildren()
	if err := keepCaps(mountCaps); err != nil {
		slog.Warn("more privileges than needed", "error", err)
	}
	slog.Info("mounted", "dir", m.dir, "board", m.plan.Board, "nodes", len(m.plan.Nodes), "export", m.plan.Export, "socket", m.plan.Socket)
	return nil
}

// serve mounts the heap directory and connects the way in. dev is an open /dev/fuse and belongs to it.
func (m *mount) serve(dev int) error {
	tree := fs.NewTree(m.in.heaps.Nodes(), fs.Owner{UID: uint32(m.plan.UID), GID: uint32(m.plan.GID)})
	tree.Sets = m.in.heaps
	m.second = newSecondDoor(0, m.on)
	once := &tellOnce{}
	tree.Door = tellingDoor{m.second, once}
	m.in.openBuffers(m.second, once)
	if err := mountHeaps(dev, m.dir, m.plan.UID, m.plan.GID); err != nil {
		sys.Close(dev)
		return hint(err, doctor.ExplainMount(err))
	}
	var err error
	if m.done, err = fs.Serve(dev, tree); err != nil {
		m.detach()
		return err
	}
	id, err := sys.StatAt(unix.AT_FDCWD, m.dir)
	if err != nil {
		m.detach()
		return &os.PathError{Op: "stat", Path: m.dir, Err: err}
	}
	m.dev = id.Dev
	m.second.dev.Store(m.dev)
	return nil
}

// wait gives the reason to end.
func (m *mount) wait() string {
	select {
	case s := <-m.signals:
		return "signal: " + s.String()
	case <-m.done:
		return "the heap directory was unmounted"
	}
}

// end takes the directory away and refuses ALLOCs, but serves live buffers until they are gone, the grace has passed, or another
// signal comes.
func (m *mount) end(why string) {
	slog.Info("ending", "reason", why, "grace", m.cfg.Grace)
	m.in.heaps.Refuse()
	m.detach()
	m.view.close()
	hurry := m.settle()
	m.in.end(why)
	if hurry {
		return // the process that injects ends when this one has
	}
	m.second.Close()
	if m.in.buffers != nil {
		m.in.buffers.Close()
	}
}

// settle waits for the end of all buffers. hurry is true when another signal came.
func (m *mount) settle() (hurry bool) {
	late := time.NewTimer(m.cfg.Grace)
	defer late.Stop()
	tick := time.NewTicker(lookForBuffers)
	defer tick.Stop()
	for {
		live := len(m.in.heaps.Buffers())
		if live == 0 {
			return false
		}
		select {
		case <-tick.C:
		case <-late.C:
			slog.Info("buffers outlive heapfs; their mappings stay valid", "buffers", live)
			return false
		case <-m.signals:
			return true
		}
	}
}

// detach takes the directory away, if it is ours still. Nodes that are open stay open, and are refused.
func (m *mount) detach() {
	if id, err := sys.StatAt(unix.AT_FDCWD, m.dir); err != nil || m.dev != 0 && id.Dev != m.dev {
		return
	}
	if m.dev == 0 && !m.isOurs() {
		return
	}
	if err := unix.Unmount(m.dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
		slog.Error("the heap directory could not be unmounted", "dir", m.dir, "error", err, "next", "umount -l "+word(m.dir))
	}
}

// isOurs is for a mount that was never served.
func (m *mount) isOurs() bool {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return false
	}
	at, ok := mountOf(parseMounts(string(text)), m.dir)
	return ok && at.point == m.dir && at.kind == heapType
}

// reapChildren takes note of the end of processes that inject.
func reapChildren() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGCHLD)
	for range ended {
		for {
			if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 && !errors.Is(err, unix.EINTR) {
				break
			}
		}
	}
}
