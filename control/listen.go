package control

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxSocketPath is the longest path that fits sockaddr_un.sun_path with its
// terminating zero (unix(7)).
const maxSocketPath = 107

// ErrLive says that a live instance has the socket already.
var ErrLive = errors.New("an instance is running at this socket")

// Listen makes the socket at path, with mode 0600, and listens on it. The
// directory is made with mode 0700 if it is not there (its parent must be);
// otherwise it must be the user's own or root's, and one in which others
// cannot replace the socket. The socket of an instance that has ended is
// replaced; that of a live one is ErrLive.
//
// The caller owns the listener; Close removes the socket.
func Listen(path string) (net.Listener, error) {
	ln, err := listen(path)
	if errors.Is(err, ErrLive) {
		return nil, fmt.Errorf("control socket %s: %w; choose another with --socket", path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("control socket %s: %w; choose a path in a directory of your own with --socket", path, err)
	}
	return ln, nil
}

func listen(path string) (*listener, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	dir := filepath.Dir(path)
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if err := ownPlaces().checkSharedDir(dir); err != nil {
		return nil, err
	}
	unlock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := clearPath(path); err != nil {
		return nil, err
	}
	return bind(path)
}

// clearPath removes a stale socket at path. An error means that something
// else is there.
func clearPath(path string) error {
	stale, err := isStale(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !stale:
		return ErrLive
	}
	return os.Remove(path)
}

// bind listens under a name that nobody looks for, and only then gives the
// socket its path: between bind and listen a socket answers ECONNREFUSED, and
// "heapfs ls" would take it for stale.
func bind(path string) (*listener, error) {
	temporary := filepath.Join(filepath.Dir(path), ".heapfs-"+rand.Text()[:8])
	if n := max(len(path), len(temporary)); n > maxSocketPath {
		return nil, fmt.Errorf("the path is too long: it needs %d bytes of %d", n, maxSocketPath)
	}
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		// The kernel takes the mode of a unix socket from the descriptor's
		// inode at bind, so that no moment exists with another mode.
		if e := c.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), 0o600) }); e != nil {
			return e
		}
		return os.NewSyscallError("fchmod", err)
	}}
	ln, err := lc.Listen(context.Background(), "unix", temporary)
	if err != nil {
		return nil, err
	}
	l := &listener{UnixListener: ln.(*net.UnixListener), path: path}
	l.SetUnlinkOnClose(false)
	if l.id, err = os.Lstat(temporary); err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		_ = os.Remove(temporary)
		_ = l.UnixListener.Close()
		return nil, err
	}
	return l, nil
}

// listener is a unix listener that knows the path its socket was moved to.
type listener struct {
	*net.UnixListener
	path string
	id   fs.FileInfo // the socket's own, to tell it from a successor's
	once sync.Once
}

// Addr returns the address at which clients find the socket.
func (l *listener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

// Close removes the socket, if it is still this one, and ends the listener.
func (l *listener) Close() error {
	l.once.Do(func() {
		if st, err := os.Lstat(l.path); err == nil && os.SameFile(st, l.id) {
			_ = os.Remove(l.path)
		}
	})
	return l.UnixListener.Close()
}
