package control

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// SocketEnv is the environment variable by which the instance's socket is
// known to the programs that it runs.
const SocketEnv = "HEAPFS_SOCKET"

// Find returns a client of the instance that the user means: the one with the
// socket explicit (--socket), else the one of $HEAPFS_SOCKET, else the user's
// only live one. None, or several to choose from, is an error that says what
// to do. Sockets of instances that have ended are removed from the user's own
// directories.
func Find(explicit string) (*Client, error) { return ownPlaces().find(explicit) }

func (p places) find(explicit string) (*Client, error) {
	if explicit != "" {
		return connectable("", explicit)
	}
	if path := p.getenv(SocketEnv); path != "" {
		return connectable("$"+SocketEnv+": ", path)
	}
	live := p.live()
	switch len(live) {
	case 1:
		return NewClient(live[0]), nil
	case 0:
		return nil, fmt.Errorf(`no running instance in %s: start one with "heapfs run", or name its socket with --socket`,
			strings.Join(p.searched(), " or "))
	}
	return nil, fmt.Errorf("%d instances are running: choose one with --socket %s", len(live), strings.Join(live, " or --socket "))
}

// connectable returns a client of the instance at path if there is one.
func connectable(origin, path string) (*Client, error) {
	c := NewClient(path)
	conn, err := dial(context.Background(), path)
	if err != nil {
		return nil, fmt.Errorf("%s%w", origin, c.explain(err))
	}
	_ = conn.Close()
	return c, nil
}

// live returns the sockets of the user's live instances, and removes stale
// ones on the way.
func (p places) live() []string {
	var out []string
	for _, dir := range p.searched() {
		// A directory that others could have filled is not looked at.
		if p.checkOwnDir(dir) != nil {
			continue
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			pid, ok := strings.CutSuffix(e.Name(), socketSuffix)
			if _, err := strconv.ParseUint(pid, 10, 31); !ok || err != nil {
				continue
			}
			path := filepath.Join(dir, e.Name())
			stale, err := isStale(path)
			switch {
			case err != nil: // gone by now, or no socket
			case stale:
				removeStale(path)
			default:
				out = append(out, path)
			}
		}
	}
	return out
}
