package integration

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// options say how a command is run. The zero value: nothing on stdin, a minute at the most, nothing on stderr.
type options struct {
	env     []string
	dir     string
	stdin   string
	changes []string // of the machine, see leg_test.go
	umask   int
	noFile  uint64
	timeout time.Duration
	// stderrWanted: the test looks at stderr itself. Otherwise a single byte there fails it.
	stderrWanted bool
}

// result is how a command ended.
type result struct {
	stdout, stderr string
	status         int // exit status, or -N when signal N ended it
}

// heapfs runs the binary under test to its end.
func heapfs(t *testing.T, who leg, o options, args ...string) result {
	t.Helper()
	return run(t, who, o, append([]string{site.heapfs}, args...)...)
}

// run runs a command to its end, kills it after the time limit, and logs what it said when the test fails.
func run(t *testing.T, who leg, o options, args ...string) result {
	t.Helper()
	if o.timeout == 0 {
		o.timeout = time.Minute
	}
	cmd := command(t, who, o, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(o.stdin), &stdout, &stderr
	// Background processes of CMD may hold the pipes for longer than CMD itself.
	cmd.WaitDelay = 20 * time.Second
	require.NoError(t, cmd.Start())
	started.Store(cmd.Process.Pid, true)
	late := time.AfterFunc(o.timeout, func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	inTime := late.Stop()
	r := result{stdout: stdout.String(), stderr: stderr.String(), status: statusOf(cmd)}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s (%s): status %d\nstdout: %s\nstderr: %s", strings.Join(args, " "), who, r.status, r.stdout, r.stderr)
		}
	})
	require.True(t, inTime, "%s did not end within %s", strings.Join(args, " "), o.timeout)
	if errors.Is(err, exec.ErrWaitDelay) {
		t.Fatalf("%s has ended, but something still holds its output", strings.Join(args, " "))
	}
	require.NotEqual(t, 99, r.status, "the test's namespace could not be made: %s", r.stderr)
	if !o.stderrWanted {
		assert.Empty(t, r.stderr, "stderr must be quiet")
	}
	return r
}

func statusOf(cmd *exec.Cmd) int {
	ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ok && ws.Signaled() {
		return -int(ws.Signal())
	}
	return cmd.ProcessState.ExitCode()
}

// process is a command that runs beside the test, which talks to it by lines.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	lines  chan string
	done   chan struct{}
	stderr lockedBuffer
}

// start runs a command beside the test. Where the test does not wait for its end, the test's end kills it.
func start(t *testing.T, who leg, o options, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: command(t, who, o, args...), lines: make(chan string, 1000), done: make(chan struct{})}
	var err error
	p.stdin, err = p.cmd.StdinPipe()
	require.NoError(t, err)
	stdout, w, err := os.Pipe()
	require.NoError(t, err)
	p.cmd.Stdout, p.cmd.Stderr = w, &p.stderr
	p.cmd.WaitDelay = 10 * time.Second
	require.NoError(t, p.cmd.Start())
	started.Store(p.cmd.Process.Pid, true)
	require.NoError(t, w.Close())
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(p.lines)
		scanner := bufio.NewScanner(stdout)
		for scanner.Scan() {
			p.lines <- scanner.Text()
		}
	}()
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = p.stdin.Close()
		select {
		case <-p.done:
		case <-time.After(10 * time.Second):
			_ = p.cmd.Process.Kill()
			<-p.done
		}
		_ = stdout.SetReadDeadline(time.Now().Add(10 * time.Second))
		for range p.lines { // what the test did not read
			continue
		}
		<-read
		_ = stdout.Close()
		if t.Failed() {
			t.Logf("%s: stderr: %s", strings.Join(args, " "), p.stderr.String())
		}
	})
	return p
}

// line gives the next line of the command's output.
func (p *process) line() string {
	p.t.Helper()
	select {
	case line, ok := <-p.lines:
		require.True(p.t, ok, "the command's output has ended; stderr: %s", p.stderr.String())
		return line
	case <-time.After(time.Minute):
		require.Fail(p.t, "no line within a minute", "stderr: %s", p.stderr.String())
	}
	return ""
}

// until reads lines up to one that is as given, and returns those before it.
func (p *process) until(last string) []string {
	p.t.Helper()
	var lines []string
	for {
		line := p.line()
		if line == last {
			return lines
		}
		lines = append(lines, line)
	}
}

// ask sends a line and gives the line that answers it.
func (p *process) ask(format string, args ...any) string {
	p.t.Helper()
	_, err := fmt.Fprintf(p.stdin, format+"\n", args...)
	require.NoError(p.t, err)
	return p.line()
}

// wait closes the command's stdin and gives its status when it has ended.
func (p *process) wait() int {
	p.t.Helper()
	_ = p.stdin.Close()
	select {
	case <-p.done:
	case <-time.After(time.Minute):
		require.Fail(p.t, "the command does not end", "stderr: %s", p.stderr.String())
	}
	return statusOf(p.cmd)
}

// lockedBuffer may be read while a command writes into it.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// oneLine requires that a text is one line, and gives it.
func oneLine(t *testing.T, text string) string {
	t.Helper()
	line := strings.TrimSuffix(text, "\n")
	require.NotEmpty(t, line, "a line was expected")
	require.NotContains(t, line, "\n", "one line was expected")
	return line
}
