package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"
)

// Limits for peers that are slow, broken or worse. A follower of the events
// may take its time: it occupies one of maxConns and loses events.
const (
	maxConns       = 64
	maxRefusals    = 16
	maxHeaderBytes = 8 << 10 // net/http adds 4 KiB of slack to it
	headerTimeout  = 5 * time.Second
	idleTimeout    = 30 * time.Second
	answerTimeout  = 10 * time.Second
	// endTimeout is what a peer that does not read can delay the end.
	endTimeout = time.Second
)

// Serve answers requests on ln until ctx is done, and closes ln. Followers of
// the events get what has been emitted by then and a clean end of the answer,
// so that the order of an end is: emit exit, close the stream, cancel ctx.
// The error is nil after ctx is done.
func Serve(ctx context.Context, ln net.Listener, src Source) error {
	srv := &http.Server{
		Handler:           handler{src},
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext:       withRefusal,
		// A client that breaks off is its own affair.
		ErrorLog: slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(newGuard(ln, os.Geteuid(), maxConns, maxRefusals)) }()
	select {
	case err := <-served:
		_ = srv.Close()
		return fmt.Errorf("control socket %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	if err := srv.Shutdown(end); err != nil {
		_ = srv.Close()
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("control socket %s: %w", ln.Addr(), err)
	}
	return nil
}
