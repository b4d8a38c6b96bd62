package control

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// peerUID returns the user id of the process at the other end of a unix
// socket: the one that connected, or the one that listened. The kernel has
// recorded it at that time (SO_PEERCRED), so that it cannot be feigned. A user
// whom the user namespace does not map is the overflow uid, which is no match.
func peerUID(c net.Conn) (int, error) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return 0, fmt.Errorf("connection of type %T has no peer credentials", c)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return 0, err
	}
	if credErr != nil {
		return 0, os.NewSyscallError("getsockopt SO_PEERCRED", credErr)
	}
	return int(cred.Uid), nil
}

// guard is a listener that marks the connections that get no answer but why:
// those of users other than the own and root, and those beyond limit. If the
// latter waited, followers of the events could shut out everyone else.
//
// A marked connection is served as far as its first request, because clients
// take an answer that comes before the request for a broken server. There are
// at most refusals of them at a time; those beyond are closed at once.
type guard struct {
	net.Listener
	uid      int
	slots    chan struct{} // one token for each open connection
	refusals chan struct{} // the same for marked ones
}

func newGuard(ln net.Listener, uid, limit, refusals int) *guard {
	return &guard{Listener: ln, uid: uid, slots: make(chan struct{}, limit), refusals: make(chan struct{}, refusals)}
}

// refusal is the only answer that a connection gets.
type refusal struct {
	status int
	why    string
}

var (
	foreignPeer  = &refusal{http.StatusForbidden, "this instance belongs to another user"}
	tooManyPeers = &refusal{http.StatusServiceUnavailable, "too many connections to this instance"}
)

// Accept returns the next connection, a *guardedConn.
func (g *guard) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		var refused *refusal
		uid, err := peerUID(c)
		if err != nil || (uid != g.uid && uid != 0) {
			slog.Debug("control socket: refused a connection", "uid", uid, "err", err)
			refused = foreignPeer
		} else if gc := take(c, g.slots, nil); gc != nil {
			return gc, nil
		} else {
			refused = tooManyPeers
		}
		if gc := take(c, g.refusals, refused); gc != nil {
			return gc, nil
		}
		_ = c.Close()
	}
}

// guardedConn gives its slot back when it is closed.
type guardedConn struct {
	net.Conn
	refused *refusal // nil for a connection that may ask
	release func()
}

// take returns c with one of slots, nil if there is none.
func take(c net.Conn, slots chan struct{}, refused *refusal) *guardedConn {
	select {
	case slots <- struct{}{}:
		return &guardedConn{Conn: c, refused: refused, release: sync.OnceFunc(func() { <-slots })}
	default:
		return nil
	}
}

// Close closes the connection.
func (c *guardedConn) Close() error {
	err := c.Conn.Close()
	c.release()
	return err
}

// refusalKey is the context key of a connection's *refusal.
type refusalKey struct{}

// withRefusal hands the mark of a connection to its requests.
func withRefusal(ctx context.Context, c net.Conn) context.Context {
	if gc, ok := c.(*guardedConn); ok && gc.refused != nil {
		return context.WithValue(ctx, refusalKey{}, gc.refused)
	}
	return ctx
}
