package control

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// stale leaves a socket at path that nobody listens on.
func stale(t *testing.T, path string) {
	t.Helper()
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	ln.SetUnlinkOnClose(false)
	require.NoError(t, ln.Close())
	require.FileExists(t, path)
}

func TestListenRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		make func(t *testing.T, dir string) string // returns the path
		want string
	}{
		"a live socket": {func(t *testing.T, dir string) string {
			start(t, filepath.Join(dir, "s"), newFake())
			return filepath.Join(dir, "s")
		}, ErrLive.Error()},
		"a file": {func(t *testing.T, dir string) string {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "s"), []byte("precious"), 0o600))
			return filepath.Join(dir, "s")
		}, "is no socket"},
		"a symbolic link": {func(t *testing.T, dir string) string {
			stale(t, filepath.Join(dir, "target"))
			require.NoError(t, os.Symlink("target", filepath.Join(dir, "s")))
			return filepath.Join(dir, "s")
		}, "is no socket"},
		"no parent": {func(_ *testing.T, dir string) string { return filepath.Join(dir, "a/b/s") }, "no such file"},
		"a parent that is a file": {func(t *testing.T, dir string) string {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "f"), nil, 0o600))
			return filepath.Join(dir, "f/s")
		}, "is no directory"},
		"a directory of others": {func(t *testing.T, dir string) string {
			require.NoError(t, os.Mkdir(filepath.Join(dir, "d"), 0o700))
			require.NoError(t, os.Chmod(filepath.Join(dir, "d"), 0o777))
			return filepath.Join(dir, "d/s")
		}, "can be written by others"},
		"a path too long": {func(_ *testing.T, dir string) string {
			return filepath.Join(dir, strings.Repeat("s", maxSocketPath))
		}, "too long"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := shortDir(t)
			path := tc.make(t, dir)
			_, err := Listen(path)
			require.ErrorContains(t, err, tc.want)
			assert.NotContains(t, err.Error(), "\n")
			assert.Contains(t, err.Error(), path)
			left, err := filepath.Glob(filepath.Join(dir, ".heapfs-*"))
			require.NoError(t, err)
			assert.Empty(t, left)
		})
	}
}

func TestListenRefusesAForeignDirectory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a directory can be given away by root only: run sudo go test ./control")
	}
	dir := shortDir(t)
	require.NoError(t, os.Chown(dir, 65534, 65534))
	_, err := Listen(filepath.Join(dir, "s"))
	require.ErrorContains(t, err, "belongs to uid 65534")
}

func TestListenMakesAPrivateSocket(t *testing.T) {
	path := filepath.Join(shortDir(t), "new", "s.sock")
	ln, err := Listen(path)
	require.NoError(t, err)
	assert.Equal(t, path, ln.Addr().String())
	st, err := os.Lstat(path)
	require.NoError(t, err)
	assert.Equal(t, fs.ModeSocket|0o600, st.Mode())
	st, err = os.Stat(filepath.Dir(path))
	require.NoError(t, err)
	assert.Equal(t, fs.ModeDir|0o700, st.Mode())
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	assert.Len(t, entries, 1)
	require.NoError(t, ln.Close())
	assert.NoFileExists(t, path)
}

func TestListenTakesTheStickyTmp(t *testing.T) {
	dir := shortDir(t)
	require.NoError(t, os.Chmod(dir, 0o777|fs.ModeSticky))
	ln, err := Listen(filepath.Join(dir, "s"))
	require.NoError(t, err)
	require.NoError(t, ln.Close())
}

func TestStaleSocketIsReplacedByExactlyOne(t *testing.T) {
	path := socketIn(t)
	for range 20 {
		stale(t, path)
		var mu sync.Mutex
		var won []net.Listener
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				ln, err := Listen(path)
				if err != nil {
					assert.ErrorIs(t, err, ErrLive)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				won = append(won, ln)
			})
		}
		wg.Wait()
		require.Len(t, won, 1)
		require.NoError(t, won[0].Close())
		assert.NoFileExists(t, path)
	}
}

func TestCloseLeavesASuccessorsSocket(t *testing.T) {
	path := socketIn(t)
	first, err := Listen(path)
	require.NoError(t, err)
	require.NoError(t, os.Remove(path))
	second, err := Listen(path)
	require.NoError(t, err)
	require.NoError(t, first.Close())
	require.FileExists(t, path)
	require.Error(t, first.Close(), "a second Close is an error and does nothing")
	require.NoError(t, second.Close())
	assert.NoFileExists(t, path)
}
