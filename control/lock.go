package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// lockTime is how long another process may take to make or remove a socket in
// the same directory. Both take microseconds; whoever needs longer hangs.
const lockTime = 2 * time.Second

// errLocked says that the directory's lock could not be had.
var errLocked = errors.New("another process holds the lock of the directory")

// lockDir takes the lock under which sockets in dir come and go, so that one
// process does not remove as stale what another has just made. The lock ends
// with unlock or with the process.
func lockDir(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(lockTime)
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		// In a directory for everybody anyone may keep the lock for ever.
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			_ = f.Close()
			return nil, fmt.Errorf("lock %s: %w", dir, err)
		}
		if time.Now().After(deadline) {
			_ = f.Close()
			return nil, fmt.Errorf("%s: %w", dir, errLocked)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// isStale reports whether the file at path is a socket that no process
// listens on. A socket of heapfs listens before it gets its path, so that it
// is never stale at first.
func isStale(path string) (bool, error) {
	st, err := os.Lstat(path)
	if err != nil {
		return false, err
	}
	// connect answers ECONNREFUSED for any other kind of file too.
	if st.Mode().Type() != fs.ModeSocket {
		return false, fmt.Errorf("%s exists and is no socket", path)
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = c.Close()
		return false, nil
	}
	// Anything else, such as EAGAIN for a full backlog, comes from a listener
	// or leaves it open whether there is one.
	return errors.Is(err, unix.ECONNREFUSED), nil
}

// removeStale removes the socket at path if it is still stale once the lock is
// held. What stands in the way is no error: the socket is then left.
func removeStale(path string) {
	unlock, err := lockDir(filepath.Dir(path))
	if err != nil {
		return
	}
	defer unlock()
	if stale, err := isStale(path); err == nil && stale {
		_ = os.Remove(path)
	}
}
