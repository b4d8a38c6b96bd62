package integration

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// openBoard is the generic board with nodes that every user may open.
const openBoard = `apiVersion: heapfs/v1alpha1
name: open
memory: [{name: ram, base: 0x40000000, size: 4GiB}]
pools: [{name: cma, kind: contiguous, size: 256MiB}, {name: system, kind: scatter}]
heaps:
  - {name: system, pool: system, mode: "0666"}
  - {name: default_cma_region, pool: cma, aliases: ["linux,cma"], default: true, mode: "0666"}
`

// mounted is a `heapfs mount` beside the test.
type mounted struct {
	*process
	dir, socket, events string
	states              *net.UnixConn // what a service manager is told
}

// mountHeaps starts one and waits until it says that it is ready. It is root's. The test's end ends it, and takes the mount away
// should it be left.
func mountHeaps(t *testing.T, o options, flags ...string) *mounted {
	t.Helper()
	m := startMount(t, o, nil, flags...)
	require.Equal(t, "READY=1", m.state(), m.stderr.String())
	return m
}

// startMount starts one by a command that may be prefixed.
func startMount(t *testing.T, o options, prefix []string, flags ...string) *mounted {
	t.Helper()
	requireRoot(t)
	own := ownDir(t)
	require.NoError(t, os.Chmod(own, 0o755)) // others are to find the heaps
	m := &mounted{dir: filepath.Join(own, "heaps"), socket: filepath.Join(own, "s.sock"), events: filepath.Join(own, "events.jsonl")}
	require.NoError(t, os.Mkdir(m.dir, 0o755))
	states, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: filepath.Join(own, "notify")})
	require.NoError(t, err)
	m.states = states
	t.Cleanup(func() {
		_ = unix.Unmount(m.dir, unix.MNT_DETACH) // EINVAL: it is gone, as it should be
		_ = states.Close()
	})
	o.env = append(o.env, "NOTIFY_SOCKET="+filepath.Join(own, "notify"))
	args := append(prefix[:len(prefix):len(prefix)], site.heapfs, "mount", "--socket", m.socket, "--events", m.events)
	m.process = start(t, asRoot, o, append(append(args, flags...), m.dir)...)
	t.Cleanup(func() { // before that of start, which waits
		_ = m.cmd.Process.Signal(unix.SIGTERM)
		select {
		case <-m.done:
		case <-time.After(time.Second):
			_ = m.cmd.Process.Signal(unix.SIGTERM) // at once
		}
	})
	return m
}

// state is the next thing that the service manager is told, or "" when there is none in time.
func (m *mounted) state() string {
	buf := make([]byte, 100)
	_ = m.states.SetReadDeadline(time.Now().Add(30 * time.Second))
	n, err := m.states.Read(buf)
	if err != nil {
		return ""
	}
	return string(buf[:n])
}

// client is the option by which a client finds the heaps.
func (m *mounted) client() options {
	return options{env: []string{"HEAP_DIR=" + m.dir}, timeout: 2 * time.Minute}
}

// stop ends it as a service manager does, and gives its status.
func (m *mounted) stop() int {
	_ = m.cmd.Process.Signal(unix.SIGTERM)
	return m.wait()
}

// isMount is whether something is mounted at dir in this namespace.
func isMount(t *testing.T, dir string) bool {
	t.Helper()
	text, err := os.ReadFile("/proc/self/mountinfo")
	require.NoError(t, err)
	return strings.Contains(string(text), " "+dir+" ")
}

// fuseExports are the two forms of the export that mount chooses.
var fuseExports = []string{"auto", "fuse-cached"}

// mountedClients are programs that a mount serves as run does. Those that try the same by another compiler are left to run.
var mountedClients = []string{
	"basic-static", "basic-musl", "goclient", "threads", "forks", "passfd", "maps", "timer", "exhaust", "killed", "otheruid",
}

func TestMountServesUnmodifiedClients(t *testing.T) {
	rows := []struct {
		name, export string
		env          []string
		clients      []string
	}{
		{"passthrough", "auto", nil, mountedClients},
		// What waits for itself with a processor in its hands would wait for ever with only one.
		{"page cache, one processor", "fuse-cached", []string{"GOMAXPROCS=1"}, []string{"basic-static", "threads", "exhaust", "killed"}},
	}
	all := clientArgs()
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			m := mountHeaps(t, options{env: row.env}, "--export", row.export)
			in := &instance{process: m.process, who: asRoot, socket: m.socket}
			for _, name := range row.clients {
				r := run(t, asRoot, m.client(), all[name]...)
				assert.Equal(t, 0, r.status, name)
				assert.Contains(t, r.stdout, ": ok\n", name)
				var buffers []struct{ ID uint64 }
				in.outside(t, &buffers, "buffers")
				assert.Empty(t, buffers, name)
			}
			assert.Equal(t, 0, m.stop())
			assert.Empty(t, m.stderr.String())
			lines := readEvents(t, m.events)
			assert.Equal(t, count(lines, "alloc"), count(lines, "free"), "every buffer's end is seen")
			for _, line := range lines {
				if line.Event == "alloc" {
					require.Equal(t, "ptrace", line.Door)
				}
			}
		})
	}
}

// Several programs map, write and unmap at once, while it is asked again and again what lives: with one processor and pages that this
// heapfs has to bring and take back, whatever it does to its own files would be seen to wait for itself.
func TestMountDoesNotWaitForItself(t *testing.T) {
	t.Parallel()
	m := mountHeaps(t, options{env: []string{"GOMAXPROCS=1"}}, "--export", "fuse-cached")
	in := &instance{process: m.process, who: asRoot, socket: m.socket}
	var programs []*process
	for _, name := range []string{"passfd", "maps", "passfd", "maps"} {
		programs = append(programs, start(t, asRoot, m.client(), client(name)))
	}
	for _, p := range programs {
		for ended := false; !ended; {
			select {
			case <-p.done:
				ended = true
			case <-time.After(20 * time.Millisecond):
				var buffers []struct{ ID uint64 }
				in.outside(t, &buffers, "buffers")
			}
		}
		assert.Equal(t, 0, p.wait())
	}
	assert.Equal(t, 0, m.stop())
}

// What real kernels were seen to answer is what a mount answers, but for the closed list.
func TestMountConformance(t *testing.T) {
	// The suite looks for the heaps in /sys, and finds there what is bound over it.
	const bound = `mount --rbind "$1" /sys && shift && exec "$@"`
	for _, export := range fuseExports {
		t.Run(export, func(t *testing.T) {
			t.Parallel()
			view := filepath.Join(ownDir(t), "sys")
			require.NoError(t, os.Mkdir(view, 0o755))
			t.Cleanup(func() { _ = unix.Unmount(view, unix.MNT_DETACH) }) // EINVAL: it is gone, as it should be
			m := mountHeaps(t, options{}, "--export", export, "--sysfs", view)
			as := m.export(t)
			rows := "."
			if export == "fuse-cached" { // nodes and ALLOCs are the same
				rows = "^(buf|map|mmap|mprotect|mremap|madvise|msync|mincore|mlock|munlock|pages|sync|syncfile|export|import|merge|fileinfo|name|life)-"
			}
			suite := []string{"unshare", "--mount", "sh", "-c", bound, "sh", view, site.heaptest, "--dir", m.dir, "--as", as, "--run", rows}
			r := run(t, asRoot, m.client(), suite...)
			assert.Equal(t, 0, r.status, failures(r.stdout))
			assert.Contains(t, r.stdout, " 0 FAIL")
			assert.Equal(t, 0, m.stop())

			board := filepath.Join(ownDir(t), "protected.yaml")
			require.NoError(t, os.WriteFile(board, []byte(protectedBoard), 0o644))
			m = mountHeaps(t, options{}, "--export", export, "--board", board)
			r = run(t, asRoot, m.client(), site.heaptest, "--dir", m.dir, "--as", as, "--run", "protected")
			assert.Equal(t, 0, r.status, failures(r.stdout))
			assert.Contains(t, r.stdout, " 0 FAIL, 0 not tried")
		})
	}
}

// export is how buffers are handed out here.
func (m *mounted) export(t *testing.T) string {
	t.Helper()
	var list struct{ Instance struct{ Export string } }
	(&instance{process: m.process, who: asRoot, socket: m.socket}).outside(t, &list, "ls")
	return list.Instance.Export
}

// The selftest knows no other directory than /dev/dma_heap.
func TestMountPassesTheKernelSelftest(t *testing.T) {
	t.Parallel()
	program := selftest(t, "6.12")
	m := mountHeaps(t, options{})
	r := run(t, asRoot, m.client(), "unshare", "--mount", "sh", "-c",
		`mount -t tmpfs dev /dev && mkdir /dev/dma_heap && mount --bind "$1" /dev/dma_heap && exec "$0"`, program, m.dir)
	assert.Equal(t, 0, r.status)
	for _, heap := range []string{"default_cma_region", "linux,cma", "system"} {
		assert.Contains(t, r.stdout, "Testing heap: "+heap+"\n")
	}
	assert.NotContains(t, r.stdout, "FAIL")
	assert.NotContains(t, r.stdout, "not ok")
}

func TestMountServesEveryUserThatTheBoardLetsIn(t *testing.T) {
	m := mountHeaps(t, options{}, "--board", writeBoard(t, openBoard))
	for _, name := range []string{"basic-static", "passfd"} {
		r := run(t, asUser, m.client(), client(name))
		assert.Equal(t, 0, r.status, name)
	}
	closed := mountHeaps(t, options{})
	o := closed.client()
	o.stderrWanted = true
	r := run(t, asUser, o, client("threads"))
	assert.NotEqual(t, 0, r.status)
	assert.Contains(t, r.stderr, "Permission denied")
}

func TestMountRefusesACallerThatItCantServe(t *testing.T) {
	require32Bit(t)
	m := mountHeaps(t, options{})
	o := m.client()
	o.stderrWanted = true
	r := run(t, asRoot, o, client("basic-32"))
	assert.NotEqual(t, 0, r.status)
	assert.Equal(t, 0, m.stop())
	for _, line := range readEvents(t, m.events) {
		if line.Event == "alloc_failed" && line.Errno == "ENOMEM" {
			assert.Contains(t, line.Reason, "64-bit")
			assert.Contains(t, line.Reason, "heapfs run")
			return
		}
	}
	assert.Fail(t, "no event tells of the refusal")
}

func TestMountIsSeenFromOutside(t *testing.T) {
	m := mountHeaps(t, options{})
	p := start(t, asRoot, m.client(), client("hold"), "system", "8192", "2")
	held := p.until("ready")
	fd := strings.TrimPrefix(held[0], "buffer ")
	require.Equal(t, "ok", p.ask("name %s a-name-of-its-own", fd))
	require.Equal(t, "ok", p.ask("fill %s", fd))
	in := &instance{process: m.process, who: asRoot, socket: m.socket}
	var list struct {
		Instance struct{ Door, Export string }
		Heaps    []struct{ Name string }
	}
	in.outside(t, &list, "ls")
	assert.Equal(t, "ptrace", list.Instance.Door)
	assert.Contains(t, []string{"fuse", "fuse-cached"}, list.Instance.Export)
	assert.Len(t, list.Heaps, 3)
	var buffers []struct {
		Name string
		Len  uint64
		PID  int
	}
	in.outside(t, &buffers, "buffers")
	require.Len(t, buffers, 2)
	assert.Equal(t, "a-name-of-its-own", buffers[0].Name)
	assert.EqualValues(t, 8192, buffers[0].Len)
	assert.Equal(t, p.cmd.Process.Pid, buffers[0].PID)
	require.Equal(t, 0, p.wait())
	in.outside(t, &buffers, "buffers")
	assert.Empty(t, buffers)
}

// placesOf are the sets of processors that threads of a process may run on.
func placesOf(t *testing.T, pid int) map[unix.CPUSet]int {
	t.Helper()
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	require.NoError(t, err)
	places := map[unix.CPUSet]int{}
	for _, thread := range threads {
		tid, err := strconv.Atoi(thread.Name())
		require.NoError(t, err)
		var place unix.CPUSet
		if unix.SchedGetaffinity(tid, &place) == nil { // else it has ended
			places[place]++
		}
	}
	return places
}

func TestMountKeepsToOneOfTwoProcessors(t *testing.T) {
	var machine, two unix.CPUSet
	require.NoError(t, unix.SchedGetaffinity(0, &machine))
	var names []string
	for cpu := 0; len(names) < min(2, machine.Count()); cpu++ {
		if machine.IsSet(cpu) {
			two.Set(cpu)
			names = append(names, strconv.Itoa(cpu))
		}
	}
	t.Run("all of the machine's", func(t *testing.T) { mountOn(t, machine, nil) })
	t.Run("two", func(t *testing.T) { mountOn(t, two, []string{"taskset", "--cpu-list", strings.Join(names, ",")}) })
}

// mountOn has a mount that is started by a prefix, and where all these processors are its own.
func mountOn(t *testing.T, all unix.CPUSet, prefix []string) {
	m := startMount(t, options{}, prefix)
	require.Equal(t, "READY=1", m.state(), m.stderr.String())
	require.Equal(t, 0, run(t, asRoot, m.client(), client("basic-static")).status)
	places := placesOf(t, m.cmd.Process.Pid)
	require.Len(t, places, 1)
	for place := range places {
		if all.Count() == 2 {
			assert.Equal(t, 1, place.Count())
		} else {
			assert.Equal(t, all, place)
		}
	}
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", m.cmd.Process.Pid))
	require.NoError(t, err)
	require.NotEmpty(t, lists, "a kernel without CONFIG_PROC_CHILDREN")
	var agents []string
	for _, list := range lists {
		children, err := os.ReadFile(list)
		require.NoError(t, err)
		agents = append(agents, strings.Fields(string(children))...)
	}
	require.Len(t, agents, 1)
	agent, err := strconv.Atoi(agents[0])
	require.NoError(t, err)
	assert.Positive(t, placesOf(t, agent)[all], "the agent goes where callers are")
	assert.Equal(t, 0, m.stop())
}

// A container's programs have namespaces of their own, and find the heaps where they were bound to.
func TestMountServesOtherNamespaces(t *testing.T) {
	t.Parallel()
	m := mountHeaps(t, options{})
	for flags, name := range map[string]string{
		"--mount": "passfd",
		"--mount --pid --fork --mount-proc --net --ipc --uts":            "passfd",
		"--user --map-root-user --mount --pid --fork --mount-proc --net": "basic-static",
	} {
		args := append([]string{"unshare"}, strings.Fields(flags)...)
		args = append(args, "sh", "-c", `mount --bind "$1" /mnt && HEAP_DIR=/mnt exec "$0"`)
		r := run(t, asRoot, options{timeout: 2 * time.Minute}, append(args, client(name), m.dir)...)
		assert.Equal(t, 0, r.status, flags)
		assert.Contains(t, r.stdout, ": ok\n", flags)
	}
	assert.Equal(t, 0, m.stop())
	lines := readEvents(t, m.events)
	assert.Equal(t, count(lines, "alloc"), count(lines, "free"))
}

// With passthrough the memory needs no server.
func TestMemoryOutlivesAMountThatIsKilled(t *testing.T) {
	m := mountHeaps(t, options{})
	p := start(t, asRoot, m.client(), client("hold"), "system", "1048576", "1")
	fd := strings.TrimPrefix(p.until("ready")[0], "buffer ")
	require.NoError(t, m.cmd.Process.Kill())
	m.wait()
	assert.Equal(t, "error ENOTCONN", p.ask("alloc"))
	assert.Equal(t, "error ENOTCONN", p.ask("open"))
	assert.Equal(t, "error ENOTCONN", p.ask("name %s x", fd))
	if strings.Contains(parseEvents(t, m.events)[0].Reason, "cached") {
		kernelLacks(t, "FUSE passthrough (Linux 6.9)")
	}
	assert.Equal(t, "ok", p.ask("fill %s", fd))
	assert.Equal(t, "ok", p.ask("close %s", fd))
}

func TestMountShowsTheHeapsAsInSysfs(t *testing.T) {
	dir := filepath.Join(ownDir(t), "sys")
	require.NoError(t, os.Mkdir(dir, 0o755))
	m := mountHeaps(t, options{}, "--sysfs", dir)
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }) // EINVAL: it is gone, as it should be
	for _, heap := range []string{"default_cma_region", "linux,cma", "system"} {
		text, err := os.ReadFile(filepath.Join(dir, "class/dma_heap", heap, "uevent"))
		require.NoError(t, err)
		assert.Contains(t, string(text), "DEVNAME=dma_heap/"+heap+"\n")
	}
	assert.ErrorIs(t, os.Remove(filepath.Join(dir, "class/dma_heap/system")), unix.EROFS)
	assert.Contains(t, refused(t, asRoot, options{}, "--sysfs", dir, ownDir(t)), "a tmpfs (heapfs-sys) is mounted there already")
	both := ownDir(t)
	assert.Contains(t, refused(t, asRoot, options{}, "--sysfs", both, both), "another directory for --sysfs")
	assert.Equal(t, 0, m.stop())
	assert.False(t, isMount(t, dir))
}

func TestMountHandsOutMemfdsIfAsked(t *testing.T) {
	m := mountHeaps(t, options{}, "--export", "memfd")
	p := start(t, asRoot, m.client(), client("hold"), "system", "8192", "1")
	fd := strings.TrimPrefix(p.until("ready")[0], "buffer ")
	link, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", p.cmd.Process.Pid, fd))
	require.NoError(t, err)
	assert.Contains(t, link, "memfd:")
	assert.Equal(t, "ok", p.ask("fill %s", fd))
}

func TestMountEndsWhenItsBuffersAreGone(t *testing.T) {
	for _, export := range fuseExports {
		t.Run(export, func(t *testing.T) {
			m := mountHeaps(t, options{}, "--export", export, "--grace", "5m")
			p := start(t, asRoot, m.client(), client("hold"), "system", "1048576", "1")
			fd := strings.TrimPrefix(p.until("ready")[0], "buffer ")
			require.NoError(t, m.cmd.Process.Signal(unix.SIGTERM))
			require.Equal(t, "STOPPING=1", m.state())
			require.Eventually(t, func() bool { return !isMount(t, m.dir) }, 30*time.Second, 10*time.Millisecond)
			assert.Equal(t, "error ENOMEM", p.ask("alloc"), "no further buffer")
			assert.Equal(t, "ok", p.ask("name %s served-still", fd), "a live one is served")
			assert.Equal(t, "ok", p.ask("fill %s", fd))
			assert.Equal(t, "ok", p.ask("close %s", fd))
			assert.Equal(t, 0, m.wait())
			assert.Empty(t, m.stderr.String())
			lines := readEvents(t, m.events)
			assert.Equal(t, 1, count(lines, "free"))
			assert.Contains(t, lines[len(lines)-1].Reason, "terminated")
		})
	}
}

func TestMountEndsWhenTheGraceHasPassedOrAtTheSecondSignal(t *testing.T) {
	for name, grace := range map[string]string{"grace": "50ms", "second signal": "5m"} {
		t.Run(name, func(t *testing.T) {
			m := mountHeaps(t, options{}, "--grace", grace)
			p := start(t, asRoot, m.client(), client("hold"), "system", "1048576", "1")
			fd := strings.TrimPrefix(p.until("ready")[0], "buffer ")
			require.NoError(t, m.cmd.Process.Signal(unix.SIGINT))
			require.Equal(t, "STOPPING=1", m.state())
			if name == "second signal" {
				require.NoError(t, m.cmd.Process.Signal(unix.SIGINT))
			}
			assert.Equal(t, 0, m.wait())
			assert.False(t, isMount(t, m.dir))
			lines := readEvents(t, m.events)
			assert.Equal(t, 1, count(lines, "free"))
			// With passthrough the memory needs no server.
			if lines[0].Event == "start" && strings.Contains(lines[0].Reason, "export fuse") && !strings.Contains(lines[0].Reason, "cached") {
				assert.Equal(t, "ok", p.ask("fill %s", fd))
			}
		})
	}
}

func TestMountEndsWhenItIsUnmounted(t *testing.T) {
	m := mountHeaps(t, options{})
	require.NoError(t, unix.Unmount(m.dir, 0))
	assert.Equal(t, "STOPPING=1", m.state())
	assert.Equal(t, 0, m.wait())
	assert.Empty(t, m.stderr.String())
}

// refused runs `heapfs mount` and gives the line by which it refuses.
func refused(t *testing.T, who leg, o options, args ...string) string {
	t.Helper()
	o.stderrWanted = true
	r := heapfs(t, who, o, append([]string{"mount", "--socket", filepath.Join(ownDir(t), "s.sock")}, args...)...)
	assert.Equal(t, 1, r.status)
	assert.Empty(t, r.stdout)
	return oneLine(t, r.stderr)
}

func TestMountRefusesABadPlace(t *testing.T) {
	requireRoot(t)
	own := ownDir(t)
	file, busy := filepath.Join(own, "file"), filepath.Join(own, "with a space")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	require.NoError(t, os.Mkdir(busy, 0o755))
	require.NoError(t, unix.Mount("busy", busy, "tmpfs", 0, "size=64k"))
	t.Cleanup(func() { assert.NoError(t, unix.Unmount(busy, 0)) })
	m := mountHeaps(t, options{})
	rows := []struct {
		name, dir string
		want      []string
	}{
		{"missing", filepath.Join(own, "nosuch"), []string{"no such directory", "mkdir -p " + filepath.Join(own, "nosuch")}},
		{"no directory", file, []string{"not a directory"}},
		{"below a file", file + "/x", []string{"no directory"}},
		{"busy", busy, []string{"tmpfs (busy) is mounted there already", "umount '" + busy + "'"}},
		{"busy with heapfs", m.dir, []string{"a heapfs is mounted there already", "umount " + m.dir}},
		{"nested", filepath.Join(m.dir, "system"), []string{"inside the heapfs at " + m.dir}},
		{"root", "/", []string{"give another directory"}},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			line := refused(t, asRoot, options{}, r.dir)
			assert.Contains(t, line, strconv.Quote(r.dir))
			for _, want := range r.want {
				assert.Contains(t, line, want)
			}
		})
	}
}

func TestMountNamesTheCommandThatClearsAStaleMount(t *testing.T) {
	m := mountHeaps(t, options{})
	require.NoError(t, m.cmd.Process.Kill())
	m.wait()
	for _, dir := range []string{m.dir, filepath.Join(m.dir, "below")} {
		line := refused(t, asRoot, options{}, dir)
		assert.Contains(t, line, "dead heapfs")
		_, command, ok := strings.Cut(line, "clear it: ")
		require.True(t, ok, line)
		require.Equal(t, "umount -l "+m.dir, command)
	}
	assert.Equal(t, 0, run(t, asRoot, options{}, "umount", "-l", m.dir).status)
	assert.False(t, isMount(t, m.dir))
}

func TestMountRefusesWhatTheMachineOrTheUserLacks(t *testing.T) {
	dir := ownDir(t)
	line := refused(t, asUser, options{}, dir)
	assert.Contains(t, line, "CAP_SYS_ADMIN")
	assert.Contains(t, line, "heapfs run")
	t.Run("no /dev/fuse", func(t *testing.T) {
		requireRoot(t)
		line := refused(t, asRoot, options{changes: []string{fuseHidden}}, dir)
		assert.Contains(t, line, "/dev/fuse")
		assert.Contains(t, line, "modprobe fuse")
	})
}

func TestMountRefusesBadFlags(t *testing.T) {
	dir := ownDir(t)
	rows := []struct {
		name string
		args []string
		want string
	}{
		{"no directory", nil, "one directory"},
		{"two directories", []string{dir, dir}, "one directory"},
		{"export", []string{"--export", "floppy", dir}, `export "floppy": unknown`},
		{"board", []string{"--board", "nosuch", dir}, `nosuch`},
		{"grace", []string{"--grace", "-1s", dir}, "negative"},
		{"no duration", []string{"--grace", "soon", dir}, "soon"},
		{"fault", []string{"--fault", "system:alloc=EFLOPPY", dir}, "EFLOPPY"},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			assert.Contains(t, refused(t, asRoot, options{}, r.args...), r.want)
		})
	}
}

// Without CAP_SYS_PTRACE no other process can be given anything: the program gets ENOMEM, the events and one line of the log say why.
func TestMountWithoutPermissionToTraceSaysSoOnce(t *testing.T) {
	requireRoot(t)
	if out := run(t, asRoot, options{stderrWanted: true}, "setpriv", "--bounding-set", "-sys_ptrace", "true"); out.status != 0 {
		skip(t, "no setpriv", "apt-get install util-linux")
	}
	m := startMount(t, options{}, []string{"setpriv", "--bounding-set", "-sys_ptrace"})
	require.Equal(t, "READY=1", m.state(), m.stderr.String())
	p := start(t, asRoot, m.client(), client("hold"), "system", "4096", "3")
	assert.Equal(t, []string{"error ENOMEM", "error ENOMEM", "error ENOMEM"}, p.until("ready"))
	assert.Equal(t, 0, m.stop())
	line := oneLine(t, m.stderr.String())
	assert.Contains(t, line, "programs can't be given buffers")
	assert.Contains(t, line, "SYS_PTRACE")
	lines := readEvents(t, m.events)
	assert.Equal(t, 3, count(lines, "alloc_failed"))
	for _, line := range lines {
		if line.Event == "alloc_failed" {
			assert.Contains(t, line.Reason, "not permitted")
		}
	}
}
