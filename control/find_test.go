package control

import (
	"bufio"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fakePlaces is the world of one user below a directory of the test.
func fakePlaces(t *testing.T, env map[string]string) (places, string) {
	dir := shortDir(t)
	for k, v := range env {
		env[k] = filepath.Join(dir, v)
	}
	if env["TMPDIR"] == "" {
		if env == nil {
			env = map[string]string{}
		}
		env["TMPDIR"] = filepath.Join(dir, "tmp")
	}
	for _, d := range []string{"xdg", "run", "tmp"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, d), 0o700))
	}
	return places{uid: os.Geteuid(), getenv: func(k string) string { return env[k] }, run: filepath.Join(dir, "run")}, dir
}

// first is where a new socket goes in an untroubled world: root has another
// place than users.
func first(p places) string { return filepath.Dir(must(p.socketPath(1))) }

func must(s string, err error) string {
	if err != nil {
		panic(err)
	}
	return s
}

func TestSocketPathFallsBack(t *testing.T) {
	own := "tmp/heapfs-" + strconv.Itoa(os.Geteuid())
	for name, tc := range map[string]struct {
		spoil func(t *testing.T, preferred string)
		want  string
	}{
		"missing parent": {func(t *testing.T, d string) { require.NoError(t, os.Remove(filepath.Dir(d))) }, own},
		"a symbolic link": {func(t *testing.T, d string) {
			require.NoError(t, os.Mkdir(d+"2", 0o700))
			require.NoError(t, os.Symlink(d+"2", d))
		}, own},
		"a file":         {func(t *testing.T, d string) { require.NoError(t, os.WriteFile(d, nil, 0o700)) }, own},
		"open to others": {func(t *testing.T, d string) { require.NoError(t, os.Mkdir(d, 0o755)) }, own},
		"a parent open to others": {func(t *testing.T, d string) {
			require.NoError(t, os.Chmod(filepath.Dir(d), 0o777))
		}, own},
	} {
		t.Run(name, func(t *testing.T) {
			p, dir := fakePlaces(t, map[string]string{"XDG_RUNTIME_DIR": "xdg"})
			preferred := p.preferred()[0]
			tc.spoil(t, preferred)
			got, err := p.socketPath(42)
			require.NoError(t, err)
			assert.Equal(t, filepath.Join(dir, tc.want, "42.sock"), got)
			st, err := os.Lstat(filepath.Dir(got))
			require.NoError(t, err)
			assert.Equal(t, fs.ModeDir|0o700, st.Mode())
		})
	}
}

func TestSocketPathPreferences(t *testing.T) {
	env := map[string]string{"XDG_RUNTIME_DIR": "/run/user/7", "TMPDIR": "/var/tmp/"}
	get := func(k string) string { return env[k] }
	none := func(string) string { return "" }
	relative := func(string) string { return "relative" }
	for name, tc := range map[string]struct {
		p    places
		want []string
	}{
		"root, whatever sudo has kept": {places{0, get, "/run"}, []string{"/run/heapfs", "/var/tmp/heapfs-0", "/tmp/heapfs-0"}},
		"user":                         {places{7, get, "/run"}, []string{"/run/user/7/heapfs", "/var/tmp/heapfs-7", "/tmp/heapfs-7"}},
		"user without a session":       {places{7, none, "/run"}, []string{"/tmp/heapfs-7"}},
		"relative paths are no paths":  {places{7, relative, "/run"}, []string{"/tmp/heapfs-7"}},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, tc.want, tc.p.preferred()) })
	}
	assert.Contains(t, places{7, none, "/run"}.searched(), "/run/user/7/heapfs")
	assert.NotContains(t, places{0, none, "/run"}.searched(), "/run/user/0/heapfs")
}

func TestOwnDirMustBeOwn(t *testing.T) {
	dir := shortDir(t)
	p := places{uid: os.Geteuid() + 1}
	require.ErrorContains(t, p.checkOwnDir(dir), "belongs to uid")
	require.ErrorContains(t, p.makeOwnDir(dir), "belongs to uid")
}

func TestFindWithoutInstances(t *testing.T) {
	p, dir := fakePlaces(t, nil)
	_, err := p.find("")
	require.ErrorContains(t, err, "no running instance")
	assert.ErrorContains(t, err, "heapfs run")
	assert.NotContains(t, err.Error(), "\n")

	_, err = p.find(filepath.Join(dir, "none"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	assert.ErrorContains(t, err, "has ended")

	stale(t, filepath.Join(dir, "old"))
	_, err = p.find(filepath.Join(dir, "old"))
	require.ErrorContains(t, err, "refused")
	assert.FileExists(t, filepath.Join(dir, "old"), "what the user names is not removed")
}

func TestFindPicksTheOnlyLiveAndRemovesStaleOnes(t *testing.T) {
	p, _ := fakePlaces(t, map[string]string{"XDG_RUNTIME_DIR": "xdg"})
	d := first(p)
	live, old, other := filepath.Join(d, "10.sock"), filepath.Join(d, "11.sock"), filepath.Join(d, "notes.sock")
	stale(t, old)
	stale(t, other) // not a name of ours
	require.NoError(t, os.WriteFile(filepath.Join(d, "12.sock"), nil, 0o600))
	src := newFake()
	src.instance.Socket = live
	start(t, live, src)
	c, err := p.find("")
	require.NoError(t, err)
	defer c.Close()
	assert.Equal(t, live, c.Path())
	inst, err := c.Instance(ctxBackground)
	require.NoError(t, err)
	assert.Equal(t, live, inst.Socket)
	assert.NoFileExists(t, old)
	assert.FileExists(t, other)
	assert.FileExists(t, filepath.Join(d, "12.sock"))
}

func TestFindListsSeveral(t *testing.T) {
	p, dir := fakePlaces(t, map[string]string{"XDG_RUNTIME_DIR": "xdg"})
	a := filepath.Join(first(p), "10.sock")
	fallback := filepath.Join(dir, "tmp/heapfs-"+strconv.Itoa(os.Geteuid()))
	require.NoError(t, p.makeOwnDir(fallback))
	b := filepath.Join(fallback, "20.sock")
	start(t, a, newFake())
	stopB := start(t, b, newFake())
	_, err := p.find("")
	require.ErrorContains(t, err, "2 instances are running")
	assert.ErrorContains(t, err, "--socket "+a)
	assert.ErrorContains(t, err, "--socket "+b)
	assert.NotContains(t, err.Error(), "\n")

	c, err := p.find(b)
	require.NoError(t, err)
	assert.Equal(t, b, c.Path())
	stopB()
	c, err = p.find("")
	require.NoError(t, err)
	assert.Equal(t, a, c.Path())
}

func TestFindOrder(t *testing.T) {
	p, dir := fakePlaces(t, map[string]string{SocketEnv: "env.sock"})
	explicit, env, found := filepath.Join(dir, "explicit.sock"), filepath.Join(dir, "env.sock"), filepath.Join(first(p), "1.sock")
	start(t, explicit, newFake())
	stopEnv := start(t, env, newFake())
	start(t, found, newFake())
	c, err := p.find(explicit)
	require.NoError(t, err)
	assert.Equal(t, explicit, c.Path())
	c, err = p.find("")
	require.NoError(t, err)
	assert.Equal(t, env, c.Path())
	stopEnv()
	_, err = p.find("")
	require.ErrorContains(t, err, "$HEAPFS_SOCKET: ", "a named instance that has ended is not replaced by another")
}

func TestSocketsInADirectoryOpenToOthersAreNotTrusted(t *testing.T) {
	p, _ := fakePlaces(t, nil)
	d := first(p)
	start(t, filepath.Join(d, "1.sock"), newFake())
	require.NoError(t, os.Chmod(d, 0o777))
	_, err := p.find("")
	require.ErrorContains(t, err, "no running instance")
	require.NoError(t, os.Chmod(d, 0o700))
	_, err = p.find("")
	require.NoError(t, err)
}

func TestClientTellsBrokenAnswers(t *testing.T) {
	for name, tc := range map[string]struct{ answer, want string }{
		"no JSON":        {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "broken answer"},
		"no HTTP":        {"hello\r\n\r\n", "malformed"},
		"closed at once": {"", "EOF"},
		"no reason":      {"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", "no reason given"},
		"terminal codes": {"HTTP/1.1 500 Oops\r\nContent-Length: 21\r\n\r\n{\"error\":\"\\u001b[m\"}", `\x1b[m`},
	} {
		t.Run(name, func(t *testing.T) {
			path := socketIn(t)
			ln, err := net.Listen("unix", path)
			require.NoError(t, err)
			defer ln.Close()
			done := make(chan struct{})
			go func() {
				defer close(done)
				c, err := ln.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				_, _ = bufio.NewReader(c).ReadString('\n')
				_, _ = c.Write([]byte(tc.answer))
			}()
			c := NewClient(path)
			defer c.Close()
			_, err = c.Heaps(ctxBackground)
			require.ErrorContains(t, err, tc.want)
			assert.NotContains(t, err.Error(), "\n")
			ln.Close()
			<-done
		})
	}
}
