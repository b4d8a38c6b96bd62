package ptrace

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/heapnodes"
	"github.com/heapfs/heapfs/internal/sys"
)

// programInC is testdata/caller.c.
func (s *site) programInC(t *testing.T) string {
	t.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil && os.Getenv("CI") != "true" {
		t.Skip("no C compiler; to have one: apt-get install gcc")
	}
	require.NoError(t, err)
	program := filepath.Join(t.TempDir(), "caller")
	out, err := exec.Command(cc, "-O1", "-Wall", "-o", program, "testdata/caller.c").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return program
}

// startC starts a mode of it.
func (s *site) startC(t *testing.T, mode string) *caller {
	t.Helper()
	return s.startCmd(t, exec.Command(s.programInC(t), mode, s.node()), "")
}

func (s *site) node() string { return filepath.Join(s.dir, "system") }

// inC is what a mode of testdata/caller.c reports.
func (s *site) inC(t *testing.T, mode string) report {
	t.Helper()
	c := s.startC(t, mode)
	c.say(t)
	r, ok := c.hear(t)
	require.True(t, ok, "%v", c.end(t))
	assert.True(t, c.end(t).Success())
	return r
}

func TestACallOfA32BitKindIsRefused(t *testing.T) {
	s := open(t, change{})
	r := s.inC(t, "old")
	if r.Fault == "no such calls" {
		t.Skip("kernel lacks: 32-bit calls; to have them: boot with ia32_emulation=1")
	}
	assert.EqualValues(t, unix.ENOMEM, r.Errno)
	assert.Empty(t, r.Fault)
	assert.Contains(t, s.reason(), "no 64-bit program")
}

func TestACallerThatIsTracedAlreadyIsRefused(t *testing.T) {
	s := open(t, change{})
	c := s.startC(t, "registers") // no Go program: it must get no signal
	traced, over, ended := make(chan unix.Errno), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // its tracees are let go with the thread
		traced <- sys.PtraceSeize(c.cmd.Process.Pid, 0)
		<-over
	}()
	require.Zero(t, <-traced)
	c.say(t)
	r, ok := c.hear(t)
	require.True(t, ok)
	close(over)
	<-ended
	assert.EqualValues(t, unix.ENOMEM, r.Errno)
	assert.Empty(t, r.Fault)
	assert.Contains(t, s.reason(), "traced already, by thread")
	c.end(t)
	s.mustWork(t)
}

func TestACallersOwnFilterIsNotInTheWay(t *testing.T) {
	s := open(t, change{})
	r := s.once(t, "filter")
	assert.Zero(t, r.Errno, s.reason())
	assert.Empty(t, r.Fault)
	assert.Equal(t, r.Before, r.After)
}

// Without CAP_SYS_ADMIN filters stay in force.
func TestACallerWithAFilterThatCantBeSuspendedIsRefused(t *testing.T) {
	s := open(t, change{serve: agentProcess(t, "lesser agent")})
	r := s.once(t, "filter")
	assert.EqualValues(t, unix.ENOMEM, r.Errno)
	assert.Empty(t, r.Fault)
	assert.Contains(t, s.reason(), "seccomp filter of its own")
	s.mustWork(t) // it has none
}

func TestAnAgentOfItsOwn(t *testing.T) {
	s := open(t, change{serve: agentProcess(t, "agent")})
	for range 3 {
		s.mustWork(t)
	}
	assert.Zero(t, s.once(t, "filter").Errno)
}

// agentProcess serves in another process, as the product does.
func agentProcess(t *testing.T, scene string) func(far int) {
	return func(far int) { assert.NoError(t, startAgent(t, scene, far).Wait()) }
}

func startAgent(t *testing.T, scene string, far int, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	assert.NoError(t, err)
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), callerScene+"="+scene)
	cmd.Stdin, cmd.Stderr = goAhead(), os.Stderr
	control := os.NewFile(uintptr(far), "control")
	cmd.ExtraFiles = []*os.File{control}
	assert.NoError(t, cmd.Start())
	assert.NoError(t, control.Close())
	return cmd
}

func TestAnAgentWithoutThePermissionSaysWhatToDo(t *testing.T) {
	s := open(t, change{serve: agentProcess(t, "powerless agent")})
	r := s.once(t, "undumpable")
	assert.EqualValues(t, unix.ENOMEM, r.Errno)
	assert.Empty(t, r.Fault)
	assert.Equal(t, r.Before, r.After)
	reason := s.reason()
	assert.Contains(t, reason, "CAP_SYS_PTRACE")
	assert.Contains(t, reason, "heapfs doctor")
}

func TestAProgramOfAnotherUserIsServed(t *testing.T) {
	s := open(t, change{})
	self, err := os.Executable()
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=755"))
	defer func() { assert.NoError(t, unix.Unmount(dir, 0)) }()
	program, err := os.ReadFile(self)
	require.NoError(t, err)
	path := filepath.Join(dir, "program")
	require.NoError(t, os.WriteFile(path, program, 0o755))
	require.NoError(t, os.Chmod(path, 0o755|os.ModeSetuid))
	cmd := exec.Command(fmt.Sprintf("/proc/self/fd/%d", 3))
	file, err := os.Open(path)
	require.NoError(t, err)
	defer func() { assert.NoError(t, file.Close()) }()
	cmd.ExtraFiles = []*os.File{file}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1234, Gid: 1234}}
	c := s.startCmd(t, cmd, "setuid")
	c.say(t)
	r, ok := c.hear(t)
	state := c.end(t)
	if state.ExitCode() == 13 {
		t.Skip("kernel lacks: set-user-id programs here (no_new_privs); run the tests without it")
	}
	require.True(t, ok, "%v", state)
	assert.Zero(t, r.Errno, s.reason())
	assert.Empty(t, r.Fault)
	assert.Equal(t, r.Before, r.After)
}

// tools trace programs by themselves; a program of theirs has no place for a second tracer.
var tools = map[string][]string{
	"strace": {"strace", "-f", "-qq", "-o", "/dev/null"},
	"gdb":    {"gdb", "-q", "-nx", "-batch", "-ex", "run", "--args"},
}

func TestAProgramUnderATracingToolIsRefused(t *testing.T) {
	for name, tool := range tools {
		if _, err := exec.LookPath(name); err != nil && os.Getenv("CI") != "true" {
			t.Skipf("no %s; to have it: make deps", name)
		}
		s := open(t, change{})
		c := s.startCmd(t, exec.Command(tool[0], append(tool[1:len(tool):len(tool)], s.programInC(t), "registers", s.node())...), "")
		c.say(t)
		r, ok := c.hear(t)
		require.True(t, ok, name)
		assert.EqualValues(t, unix.ENOMEM, r.Errno, name)
		assert.Empty(t, r.Fault, name)
		reason := s.reason()
		assert.Contains(t, reason, "traced already, by thread")
		assert.Contains(t, reason, "("+name+")")
		assert.True(t, c.end(t).Success(), name)
		s.mustWork(t)
	}
}

// The caller is seen by another number here than where it lives.
func TestACallerInAPidNamespaceOfItsOwn(t *testing.T) {
	s := open(t, change{})
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, "2")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID}
	c := s.startCmd(t, cmd, "once")
	c.say(t)
	r, ok := c.hear(t)
	require.True(t, ok, "%v", c.end(t))
	assert.Zero(t, r.Errno, s.reason())
	assert.Empty(t, r.Fault)
	assert.Equal(t, r.Before, r.After)
	assert.True(t, c.end(t).Success())
}

// A server in a pid namespace of its own does not see callers outside.
func TestACallerOutsideTheServersPidNamespaceIsRefused(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	require.NoError(t, err)
	near, far, err := pair(0)
	require.NoError(t, err)
	defer sys.Close(far)
	server := exec.Command(self, dir)
	server.Env = append(os.Environ(), callerScene+"=server")
	server.Stdin, server.Stderr = goAhead(), os.Stderr
	server.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID}
	server.ExtraFiles = []*os.File{os.NewFile(uintptr(near), "control")}
	out, err := server.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, server.Start())
	require.NoError(t, server.ExtraFiles[0].Close())
	_, err = out.Read(make([]byte, 1))
	require.NoError(t, err)
	r := (&site{dir: dir}).once(t, "once", "2")
	assert.EqualValues(t, unix.ENOMEM, r.Errno)
	assert.Empty(t, r.Fault)
	assert.Equal(t, r.Before, r.After)
	require.NoError(t, server.Process.Kill())
	_ = server.Wait()
	require.NoError(t, unix.Unmount(dir, unix.MNT_DETACH))

	d := Open(Config{})
	defer d.Close()
	_, err = d.Call(Request{}).Install(0, true)
	assert.ErrorIs(t, err, heapnodes.ErrNoInstaller)
	assert.ErrorContains(t, err, "another pid namespace")
}

func TestACallerThatCantBeLookedAtIsServedByRoot(t *testing.T) {
	s := open(t, change{})
	r := s.once(t, "undumpable")
	assert.Zero(t, r.Errno, s.reason())
	assert.Empty(t, r.Fault)
}

func TestRegistersAndStackAreAsBefore(t *testing.T) {
	s := open(t, change{})
	r := s.inC(t, "registers")
	assert.Zero(t, r.Errno, s.reason())
	assert.Empty(t, r.Fault)
}

func TestACallerWithoutRoomOnItsStack(t *testing.T) {
	s := open(t, change{})
	r := s.inC(t, "shallow")
	assert.Zero(t, r.Errno, s.reason())
	assert.Empty(t, r.Fault)
}

func TestManyThreadsUnderATimer(t *testing.T) {
	for _, restart := range []string{"restart", ""} {
		s := open(t, change{})
		c := s.start(t, "threads", "100", "4", restart)
		c.say(t)
		r, ok := c.hear(t)
		require.True(t, ok)
		assert.Equal(t, 400, r.Count, "%s (%s)", r.Fault, s.reason())
		assert.LessOrEqual(t, len(r.After), len(r.Before)+2, "stray descriptors: %v", r.After) // the runtime's
		s.idle(t)
		c.end(t)
	}
}

// freezers are the kinds of control groups that freeze processes: where their tree is, the file, and what it is told.
var freezers = map[string]struct{ file, freeze, thaw string }{
	"/sys/fs/cgroup/freezer": {"freezer.state", "FROZEN", "THAWED"},
	"/sys/fs/cgroup/unified": {"cgroup.freeze", "1", "0"},
	"/sys/fs/cgroup":         {"cgroup.freeze", "1", "0"},
}

// A frozen caller is given up, and finds out when it is thawed.
func TestACallerThatIsFrozen(t *testing.T) {
	found := false
	// Where nobody has mounted such a tree, one of this namespace's own will do.
	own := t.TempDir()
	trees := maps.Clone(freezers)
	if err := unix.Mount("none", own, "cgroup2", 0, ""); err == nil {
		defer func() { assert.NoError(t, unix.Unmount(own, 0)) }()
		trees[own] = freezers["/sys/fs/cgroup/unified"]
		delete(trees, "/sys/fs/cgroup/unified")
		delete(trees, "/sys/fs/cgroup")
	}
	for tree, f := range trees {
		group := filepath.Join(tree, fmt.Sprintf("heapfs-test-%d", os.Getpid()))
		if os.Mkdir(group, 0o755) != nil {
			continue
		}
		defer func() { assert.NoError(t, unix.Rmdir(group)) }()
		set := func(state string) { assert.NoError(t, os.WriteFile(filepath.Join(group, f.file), []byte(state), 0)) }
		if _, err := os.Stat(filepath.Join(group, f.file)); err == nil {
			found = true
			frozen(t, filepath.Join(group, "cgroup.procs"), func() { set(f.freeze) }, func() { set(f.thaw) })
		}
	}
	if !found {
		t.Skip("kernel lacks: control groups that freeze; to have them: boot a kernel with CONFIG_CGROUPS")
	}
}

func frozen(t *testing.T, procs string, freeze, thaw func()) {
	t.Helper()
	var h hook
	s := open(t, change{reached: h.reached, stopIn: 150 * time.Millisecond, patience: 300 * time.Millisecond})
	for _, p := range steps {
		h.set(p, func(int) {
			freeze()
			time.Sleep(moment)
		})
		c := s.start(t, "once", "2")
		require.NoError(t, os.WriteFile(procs, []byte(fmt.Sprint(c.cmd.Process.Pid)), 0))
		c.say(t)
		<-h.done
		time.Sleep(500 * time.Millisecond)
		reason := s.reason()
		thaw()
		r, ok := c.hear(t)
		require.True(t, ok)
		t.Logf("%s, frozen at %s: errno %d, %s", procs, p, r.Errno, reason)
		assert.Equal(t, r.Before, r.After)
		assert.Equal(t, "0000000000000000", r.Blocked, p)
		if r.Errno != 0 {
			assert.EqualValues(t, unix.ENOMEM, r.Errno)
			assert.Contains(t, reason, "frozen")
		}
		s.idle(t)
		assert.True(t, c.end(t).Success())
	}
	s.mustWork(t)
}

// A caller may trace others itself.
func TestACallerThatIsATracer(t *testing.T) {
	s := open(t, change{})
	r := s.once(t, "tracer")
	assert.Zero(t, r.Errno, s.reason())
	assert.Empty(t, r.Fault)
}

// A thread that is not the caller, because its number was used again, is let go as it was.
func TestAThreadThatIsNotTheCallerIsLeftAlone(t *testing.T) {
	s := open(t, change{})
	cmd := exec.Command("sleep", "1")
	require.NoError(t, cmd.Start())
	time.Sleep(500 * time.Millisecond) // it sleeps by then
	file, err := sys.Memfd("somebody else's")
	require.NoError(t, err)
	defer sys.Close(file)
	require.NoError(t, sys.AddSeals(file, unix.F_SEAL_WRITE))
	null, err := unix.Open(os.DevNull, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	defer sys.Close(null)
	o := order{TID: cmd.Process.Pid, Cmd: uint32(foreign), Arg: 1, Reply: []byte("anything")}
	try := func(device int) error {
		v, err := s.door.begin(o, file, device)
		require.NoError(t, err)
		_, err = v.installed()
		v.end(finish{errno: unix.ENOMEM}, nil)
		s.idle(t)
		return err
	}
	err = try(null)
	assert.ErrorIs(t, err, heapnodes.ErrGone)
	assert.ErrorContains(t, err, "not in the ioctl")
	err = try(file) // takes no bytes where it is sealed
	assert.ErrorIs(t, err, heapnodes.ErrNoInstaller)
	assert.ErrorContains(t, err, "the reply")
	require.NoError(t, cmd.Wait(), "it slept on")
	assert.ErrorIs(t, try(null), heapnodes.ErrGone, "it is gone")
}

// Whoever is on the way when the server is killed gets the buffer or an error, and keeps nothing else.
func TestTheServerIsKilledAtAnyStep(t *testing.T) {
	for _, p := range steps {
		dir := t.TempDir()
		near, far, err := pair(0)
		require.NoError(t, err)
		self, err := os.Executable()
		require.NoError(t, err)
		server := exec.Command(self, dir)
		server.Env = append(os.Environ(), callerScene+"=server")
		server.Stdin, server.Stderr = goAhead(), os.Stderr
		server.ExtraFiles = []*os.File{os.NewFile(uintptr(near), "control")}
		out, err := server.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, server.Start())
		require.NoError(t, server.ExtraFiles[0].Close())
		_, err = out.Read(make([]byte, 1))
		require.NoError(t, err)

		var h hook
		h.set(p, func(int) {
			assert.NoError(t, server.Process.Kill())
			time.Sleep(moment)
		})
		over := make(chan struct{})
		go func() {
			defer close(over)
			newAgent(h.reached).serve(far)
		}()
		s := &site{dir: dir}
		c := s.start(t, "once", "2")
		c.say(t)
		r, ok := c.hear(t)
		require.True(t, ok, "killed at %s", p)
		<-over
		t.Logf("killed at %s: %v", p, unix.Errno(r.Errno))
		assert.Contains(t, []unix.Errno{0, unix.ENOMEM, unix.ENOTCONN, unix.ECONNABORTED}, unix.Errno(r.Errno), p)
		assert.Empty(t, r.Fault, p)
		assert.Equal(t, r.Before, r.After, "killed at %s", p)
		assert.Equal(t, "0000000000000000", r.Blocked, p)
		assert.True(t, c.end(t).Success(), p)
		_ = server.Wait()
		require.NoError(t, unix.Unmount(dir, unix.MNT_DETACH))
	}
}

// Whoever is on the way when the agent is killed goes on as itself: it gets the buffer from the next agent, or ENOMEM. What the killed one
// had open in it is closed.
func TestTheAgentIsKilledAtAnyStep(t *testing.T) {
	for _, p := range steps {
		var mortal sync.Once
		s := open(t, change{serve: func(far int) {
			scene, args := "agent", []string(nil)
			mortal.Do(func() { scene, args = "mortal agent", []string{string(p)} })
			_ = startAgent(t, scene, far, args...).Wait()
		}})
		r := s.once(t, "once", "2")
		t.Logf("killed at %s: %v %s", p, unix.Errno(r.Errno), s.reason())
		if p == stepStopped || p == stepVerified { // the reply has been made, and nothing of the caller been changed
			assert.EqualValues(t, unix.ENOMEM, r.Errno, p)
		} else {
			assert.Zero(t, r.Errno, p)
			assert.Contains(t, r.Link, "memfd:buffer", p)
		}
		assert.Empty(t, r.Fault, p)
		assert.Equal(t, r.Before, r.After, "killed at %s", p)
		assert.Equal(t, "0000000000000000", r.Blocked, p)
		s.mustWork(t)
	}
}

func TestAnAgentThatDiesIsReplaced(t *testing.T) {
	pids := make(chan int, 2)
	s := open(t, change{serve: func(far int) {
		cmd := startAgent(t, "agent", far)
		pids <- cmd.Process.Pid
		_ = cmd.Wait()
	}})
	s.mustWork(t)
	require.NoError(t, unix.Kill(<-pids, unix.SIGKILL))
	s.mustWork(t)
	s.mustWork(t)
}
