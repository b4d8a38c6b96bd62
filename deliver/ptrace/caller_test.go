package ptrace

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/uapi"
)

const (
	callerScene = "HEAPFS_TEST_CALLER"
	callerNode  = "HEAPFS_TEST_NODE"
)

// report is what a caller saw of an ALLOC.
type report struct {
	Errno   int
	FD      int
	Link    string
	Cloexec bool
	Before  []int  // open descriptors
	After   []int  // without the new one
	Blocked string // signals, of the calling thread
	Tail    string // what lies behind the 24 bytes
	Fault   string // anything else that was wrong
	Count   int
}

// caller is a program that does an ALLOC.
type caller struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Reader
}

// start starts this binary as a caller, which waits for its first line of input.
func (s *site) start(t testing.TB, scene string, args ...string) *caller {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	return s.startCmd(t, exec.Command(self, args...), scene)
}

func (s *site) startCmd(t testing.TB, cmd *exec.Cmd, scene string) *caller {
	t.Helper()
	cmd.Env = append(os.Environ(), callerScene+"="+scene, callerNode+"="+s.node())
	cmd.Stderr = os.Stderr
	c := &caller{cmd: cmd}
	var err error
	c.in, err = cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	c.lines = bufio.NewReader(out)
	return c
}

// say lets the caller go on.
func (c *caller) say(t testing.TB) {
	t.Helper()
	_, err := io.WriteString(c.in, "go\n")
	require.NoError(t, err)
}

// hear reads a report; ok is false when the caller has ended.
func (c *caller) hear(t testing.TB) (r report, ok bool) {
	t.Helper()
	line := ""
	for !strings.HasPrefix(line, "{") { // a debugger talks, too
		var err error
		if line, err = c.lines.ReadString('\n'); err != nil {
			return report{}, false
		}
	}
	require.NoError(t, json.Unmarshal([]byte(line), &r), line)
	return r, true
}

// end closes the caller's input and waits for its end. No session with it may be in progress.
func (c *caller) end(t testing.TB) *os.ProcessState {
	t.Helper()
	_ = c.in.Close()
	_ = c.cmd.Wait()
	return c.cmd.ProcessState
}

// once is a caller's only ALLOC.
func (s *site) once(t testing.TB, scene string, args ...string) report {
	t.Helper()
	c := s.start(t, scene, args...)
	c.say(t)
	r, ok := c.hear(t)
	require.True(t, ok, "the caller died: %v", c.end(t))
	state := c.end(t)
	require.True(t, state.Success(), "the caller: %v", state)
	return r
}

// What follows is the caller's side.

// foreign is number 0 of a type that no filter traps.
var foreign = uapi.IOC(3, 'X', 0, 24)

type request struct {
	length    uint64
	fd, flags uint32
	heap      uint64
}

func alloc(heap int, cmd uapi.Cmd, r *request) unix.Errno {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(heap), uintptr(cmd), uintptr(unsafe.Pointer(r)))
	return errno
}

func openNode() int {
	fd, err := unix.Open(os.Getenv(callerNode), unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		fmt.Fprintln(os.Stderr, "open:", err)
		os.Exit(3)
	}
	return fd
}

func openFDs() []int {
	fds := []int{}
	for n := range 200 {
		if _, err := unix.FcntlInt(uintptr(n), unix.F_GETFD, 0); err == nil {
			fds = append(fds, n)
		}
	}
	return fds
}

func blocked() string {
	status, _ := os.ReadFile("/proc/thread-self/status")
	_, after, _ := strings.Cut(string(status), "SigBlk:\t")
	line, _, _ := strings.Cut(after, "\n")
	return line
}

var stdin = bufio.NewReader(os.Stdin)

func awaitGo() bool {
	_, err := stdin.ReadString('\n')
	return err == nil
}

// goAhead is an input that waits for nothing.
func goAhead() io.Reader { return strings.NewReader("go\n") }

func tell(r report) {
	b, _ := json.Marshal(r)
	fmt.Println(string(b))
}

// try does an ALLOC and looks at all that it may have changed.
func try(heap int, cmd uapi.Cmd, flags uint32) report {
	var r report
	r.Before = openFDs()
	req := request{length: 5000, flags: flags}
	r.Errno = int(alloc(heap, cmd, &req))
	r.After = openFDs()
	r.Blocked = blocked()
	if r.Errno != 0 {
		r.FD = -1
		return r
	}
	r.FD = int(req.fd)
	r.Link, _ = os.Readlink("/proc/self/fd/" + strconv.Itoa(r.FD))
	got, err := unix.FcntlInt(uintptr(r.FD), unix.F_GETFD, 0)
	if err != nil {
		r.Fault = "no such descriptor"
	}
	r.Cloexec = got&unix.FD_CLOEXEC != 0
	r.After = without(r.After, r.FD)
	var st unix.Stat_t
	if err := unix.Fstat(r.FD, &st); err != nil || st.Size != 8192 {
		r.Fault = fmt.Sprintf("fstat: %v, %d bytes", err, st.Size)
	}
	return r
}

func without(fds []int, fd int) []int {
	i := sort.SearchInts(fds, fd)
	if i < len(fds) && fds[i] == fd {
		return append(fds[:i:i], fds[i+1:]...)
	}
	return fds
}

func beCaller(scene string) int {
	runtime.LockOSThread()
	play := scenes[scene]
	if play == nil {
		fmt.Fprintln(os.Stderr, "no scene", scene)
		return 3
	}
	if !awaitGo() {
		return 3
	}
	play()
	return 0
}

// lowest is the number that the next descriptor gets.
func lowest() int {
	fd, err := unix.Dup(0)
	if err != nil {
		return -1
	}
	unix.Close(fd)
	return fd
}
