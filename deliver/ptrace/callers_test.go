package ptrace

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/heapnodes"
	"github.com/heapfs/heapfs/internal/sys"
)

// startC starts a mode of testdata/caller.c.
func (s *site) startC(t *testing.T, mode string) *caller {
	t.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil && os.Getenv("CI") != "true" {
		t.Skip("no C compiler; to have one: apt-get install gcc")
	}
	require.NoError(t, err)
	program := filepath.Join(t.TempDir(), "caller")
	out, err := exec.Command(cc, "-O1", "-Wall", "-o", program, "testdata/caller.c").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return s.startCmd(t, exec.Command(program, mode, filepath.Join(s.dir, "system")), "")
}

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

func startAgent(t *testing.T, scene string, far int) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	assert.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), callerScene+"="+scene)
	cmd.Stdin, cmd.Stderr = goAhead(), os.Stderr
	control := os.NewFile(uintptr(far), "control")
	cmd.ExtraFiles = []*os.File{control}
	assert.NoError(t, cmd.Start())
	assert.NoError(t, control.Close())
	return cmd
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
	for tree, f := range freezers {
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
		t.Skip("no control groups that freeze; to have them: mount -t cgroup2 none /sys/fs/cgroup/unified")
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
	v, err := s.door.begin(order{TID: cmd.Process.Pid, Cmd: uint32(foreign), Arg: 1, file: file})
	require.NoError(t, err)
	_, err = v.installed()
	assert.ErrorIs(t, err, heapnodes.ErrGone)
	assert.ErrorContains(t, err, "not in the ioctl")
	v.end(finish{errno: unix.ENOMEM})
	require.NoError(t, cmd.Wait(), "it slept on")

	_, err = s.door.begin(order{TID: cmd.Process.Pid, Cmd: uint32(foreign), Arg: 1, file: file})
	assert.ErrorIs(t, err, heapnodes.ErrGone, "it is gone")
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
