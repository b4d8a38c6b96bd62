package control

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/backing"
	"github.com/heapfs/heapfs/heapnodes/events"
)

var ctxBackground = context.Background()

func dialer(path string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
}

// start serves src on a socket of its own until the returned function or the
// end of the test.
func start(t *testing.T, path string, src Source) (stop func()) {
	t.Helper()
	ln, err := Listen(path)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(ctxBackground)
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, ln, src) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		assert.NoError(t, <-done)
		assert.NoFileExists(t, path)
	}
	t.Cleanup(stop)
	return stop
}

func socketIn(t *testing.T) string { return filepath.Join(shortDir(t), "s.sock") }

// shortDir is t.TempDir with a name that leaves room in sun_path.
func shortDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/tmp", "hfs")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// raw sends bytes as they are and returns the status line of the answer, empty
// when the connection was closed without one.
func raw(t *testing.T, path, request string) string {
	t.Helper()
	c, err := net.Dial("unix", path)
	require.NoError(t, err)
	defer c.Close()
	_, _ = io.WriteString(c, request) // the server may close before it has all
	line, _ := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(line)
}

func TestMalformedRequestsAreRefusedAndOthersServed(t *testing.T) {
	path := socketIn(t)
	start(t, path, newFake())
	const end = " HTTP/1.1\r\nHost: h\r\n\r\n"
	for name, tc := range map[string]struct{ request, want string }{
		"no HTTP":             {"hello\r\n\r\n", "400"},
		"binary":              {"\x00\x01\x02\xff\r\n\r\n", "400"},
		"long header":         {"GET /v1/heaps HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("a", 1<<20) + "\r\n\r\n", "431"},
		"many headers":        {"GET /v1/heaps HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("X: a\r\n", 1<<16) + "\r\n", "431"},
		"long target":         {"GET /" + strings.Repeat("a", 1<<20) + end, "431"},
		"other path":          {"GET /v2/heaps" + end, "404"},
		"path outside":        {"GET /v1/../../etc/passwd" + end, "404"},
		"other method":        {"POST /v1/heaps" + end, "405"},
		"a body":              {"GET /v1/heaps HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n", "400"},
		"an endless body":     {"GET /v1/heaps HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", "400"},
		"from is no number":   {"GET /v1/events?from=x" + end, "400"},
		"from is negative":    {"GET /v1/events?from=-1" + end, "400"},
		"from is too big":     {"GET /v1/events?from=18446744073709551616" + end, "400"},
		"from twice":          {"GET /v1/events?from=1&from=2" + end, "400"},
		"follow is no bit":    {"GET /v1/events?follow=yes" + end, "400"},
		"misspelt parameter":  {"GET /v1/events?folow=1" + end, "400"},
		"broken query escape": {"GET /v1/events?from=%zz" + end, "400"},
		"well-formed":         {"GET /v1/heaps" + end, "200"},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Contains(t, raw(t, path, tc.request), "HTTP/1.1 "+tc.want)
		})
	}
}

func TestForeignUserIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a process of another user can be made by root only: run sudo go test ./control")
	}
	dir := shortDir(t)
	path := filepath.Join(dir, "s.sock")
	start(t, path, newFake())
	// Everything else that keeps others out is undone.
	require.NoError(t, os.Chmod(dir, 0o755))
	require.NoError(t, os.Chmod(path, 0o666))
	self, err := os.ReadFile("/proc/self/exe")
	require.NoError(t, err)
	child := filepath.Join(dir, "child")
	require.NoError(t, os.WriteFile(child, self, 0o755))

	ask := func(uid uint32) (string, error) {
		cmd := exec.Command(child)
		cmd.Env = []string{childEnv + "=" + path}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := ask(65534)
	require.NoError(t, err, out)
	assert.Contains(t, out, "403 Forbidden")
	assert.Contains(t, out, "this instance belongs to another user")
	out, err = ask(0)
	require.NoError(t, err, out)
	assert.Equal(t, "200 OK\n<nil>\n", out)

	require.NoError(t, os.Chmod(path, 0o600))
	out, err = ask(65534)
	require.Error(t, err)
	assert.Contains(t, out, "permission denied", "the mode alone keeps others out too")
}

func TestClientRefusesAnotherUsersSocket(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a process of another user can be made by root only: run sudo go test ./control")
	}
	// The child's server is uid 65534's; the client of uid 65533 must not
	// believe it although it may connect.
	dir := shortDir(t)
	require.NoError(t, os.Chmod(dir, 0o777))
	path := filepath.Join(dir, "s.sock")
	self, err := os.ReadFile("/proc/self/exe")
	require.NoError(t, err)
	child := filepath.Join(dir, "child")
	require.NoError(t, os.WriteFile(child, self, 0o755))
	as := func(uid uint32, env string) *exec.Cmd {
		cmd := exec.Command(child)
		cmd.Env = []string{env + "=" + path}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		return cmd
	}
	server := as(65534, serverEnv)
	stdin, err := server.StdinPipe()
	require.NoError(t, err)
	stdout, err := server.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, server.Start())
	defer server.Wait()
	defer stdin.Close()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "listening\n", line)

	out, err := as(65533, childEnv).CombinedOutput()
	require.NoError(t, err, string(out))
	assert.Contains(t, string(out), "the socket is another user's")
}

func TestConnectionsAreBounded(t *testing.T) {
	path := socketIn(t)
	start(t, path, newFake())
	var idle []net.Conn
	closeAll := func() {
		for _, c := range idle {
			c.Close()
		}
		idle = nil
	}
	defer closeAll()
	open := func(n int) {
		for range n {
			c, err := net.Dial("unix", path)
			require.NoError(t, err)
			idle = append(idle, c)
		}
	}
	open(maxConns)
	client := NewClient(path)
	defer client.Close()
	_, err := client.Instance(ctxBackground)
	require.ErrorContains(t, err, "too many connections")
	open(2 * maxRefusals)
	require.Empty(t, raw(t, path, ""), "closed without an answer")
	closeAll()
	require.Eventually(t, func() bool {
		_, err := client.Instance(ctxBackground)
		return err == nil
	}, 10*time.Second, time.Millisecond, "the slots come back")
}

func TestStateComesThroughUnchanged(t *testing.T) {
	path := socketIn(t)
	src := newFake()
	start(t, path, src)
	c, err := Find(path)
	require.NoError(t, err)
	defer c.Close()
	inst, err := c.Instance(ctxBackground)
	require.NoError(t, err)
	assert.Equal(t, src.instance, inst)
	heaps, err := c.Heaps(ctxBackground)
	require.NoError(t, err)
	assert.Equal(t, src.heaps, heaps)
	bufs, err := c.Buffers(ctxBackground)
	require.NoError(t, err)
	want := src.buffers[0]
	want.Name = "n\ufffd"
	assert.Equal(t, []Buffer{want}, bufs)
}

func TestEmptyListsAreArrays(t *testing.T) {
	path := socketIn(t)
	src := newFake()
	src.heaps, src.buffers = nil, []Buffer{{ID: 1}}
	start(t, path, src)
	tr := &http.Transport{DialContext: dialer(path)}
	defer tr.CloseIdleConnections()
	get := func(p string) string {
		resp, err := (&http.Client{Transport: tr}).Get("http://heapfs" + p)
		require.NoError(t, err)
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return string(b)
	}
	assert.Equal(t, "[]\n", get("/v1/heaps"))
	assert.Contains(t, get("/v1/buffers"), `"extents":[]`)
	assert.Nil(t, src.buffers[0].Extents, "the source's own is left alone")
	var e []backing.Extent
	assert.NoError(t, json.Unmarshal([]byte(`[]`), &e))
}

func readEvents(t *testing.T, r io.Reader) (out []events.Event) {
	t.Helper()
	sc := bufio.NewScanner(r)
	for sc.Scan() {
		var e events.Event
		require.NoError(t, json.Unmarshal(sc.Bytes(), &e), sc.Text())
		out = append(out, e)
	}
	require.NoError(t, sc.Err())
	return out
}

func TestEventsWithoutFollowEndWithTheBacklog(t *testing.T) {
	path := socketIn(t)
	src := newFake()
	start(t, path, src)
	c := NewClient(path)
	defer c.Close()
	read := func(from uint64) []events.Event {
		body, err := c.Events(ctxBackground, from, false)
		require.NoError(t, err)
		defer body.Close()
		return readEvents(t, body)
	}
	assert.Empty(t, read(0))
	for range 3 {
		src.stream.Emit(events.Event{Event: events.Warning, Reason: "r"})
	}
	assert.Len(t, read(0), 3)
	got := read(3)
	require.Len(t, got, 1)
	assert.EqualValues(t, 3, got[0].Seq)
	assert.Empty(t, read(4))
}

func TestFollowersGetAllUntilTheEnd(t *testing.T) {
	path := socketIn(t)
	src := newFake()
	stop := start(t, path, src)
	c := NewClient(path)
	defer c.Close()
	src.stream.Emit(events.Event{Event: events.Start})
	body, err := c.Events(ctxBackground, 0, true)
	require.NoError(t, err)
	defer body.Close()
	r := bufio.NewReader(body)
	line, err := r.ReadString('\n')
	require.NoError(t, err)
	assert.Contains(t, line, `"event":"start"`)
	src.stream.Emit(events.Event{Event: events.Warning, Reason: "live"})
	line, err = r.ReadString('\n') // flushed although more may come
	require.NoError(t, err)
	assert.Contains(t, line, "live")
	src.stream.Emit(events.Event{Event: events.Exit})
	src.stream.Close()
	stop()
	rest := readEvents(t, r)
	require.Len(t, rest, 1)
	assert.Equal(t, events.Exit, rest[0].Event)
}

func TestFollowerOfAnOpenStreamEndsWithTheServer(t *testing.T) {
	path := socketIn(t)
	src := newFake()
	stop := start(t, path, src)
	c := NewClient(path)
	defer c.Close()
	body, err := c.Events(ctxBackground, 0, true)
	require.NoError(t, err)
	defer body.Close()
	src.stream.Emit(events.Event{Event: events.Warning, Reason: "last"})
	stop()
	assert.Len(t, readEvents(t, body), 1, "what was emitted, and a clean end")
}

func TestSlowFollowerHoldsUpNobodyAndHearsOfItsLoss(t *testing.T) {
	path := socketIn(t)
	src := newFake()
	start(t, path, src)
	c := NewClient(path)
	defer c.Close()
	body, err := c.Events(ctxBackground, 0, true)
	require.NoError(t, err)
	defer body.Close()
	// More than socket buffers, net/http's and the backlog of 64 can hold.
	const n = 3000
	reason := strings.Repeat("x", 4096)
	for range n {
		src.stream.Emit(events.Event{Event: events.Warning, Reason: reason})
	}
	src.stream.Emit(events.Event{Event: events.Exit})
	src.stream.Close()
	got := readEvents(t, body)
	assert.Less(t, len(got), n)
	lost := 0
	next := uint64(1)
	for _, e := range got {
		if e.Event == events.Lost {
			lost++
			assert.Greater(t, e.Seq, next-1)
		} else {
			assert.Equal(t, next, e.Seq)
		}
		next = e.Seq + 1
	}
	assert.Positive(t, lost)
	assert.EqualValues(t, n+2, next, "nothing is missing that no Lost event tells")
}

func TestClientThatLeavesEndsItsSubscription(t *testing.T) {
	path := socketIn(t)
	start(t, path, newFake())
	for range 2 * maxConns {
		c := NewClient(path)
		require.Eventually(t, func() bool {
			body, err := c.Events(ctxBackground, 0, true)
			if err != nil {
				return false // the slots of those before are not back yet
			}
			body.Close()
			return true
		}, 10*time.Second, time.Millisecond)
		c.Close()
	}
}

func TestServeReportsAListenerThatBreaks(t *testing.T) {
	ln, err := Listen(socketIn(t))
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	require.ErrorIs(t, Serve(ctxBackground, ln, newFake()), net.ErrClosed)
}
