package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"syscall"
	"time"
)

// Client asks one instance. It may be used by many goroutines at once.
type Client struct {
	path string
	http *http.Client
}

// responseTimeout is what an instance may take to begin an answer. One that is
// stopped would otherwise stop "heapfs ls" too.
const responseTimeout = 10 * time.Second

// NewClient returns a client of the instance with the socket at path. Nothing
// is connected yet. Close it after use.
func NewClient(path string) *Client {
	return &Client{path: path, http: &http.Client{Transport: &http.Transport{
		DialContext:           func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, path) },
		ResponseHeaderTimeout: responseTimeout,
		DisableCompression:    true,
	}}}
}

// Path returns the path of the instance's socket.
func (c *Client) Path() string { return c.path }

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Instance returns the instance's description.
func (c *Client) Instance(ctx context.Context) (inst Instance, err error) {
	err = c.getJSON(ctx, "/v1/instance", &inst)
	return inst, err
}

// Heaps returns the heap nodes, never nil without an error.
func (c *Client) Heaps(ctx context.Context) (heaps []Heap, err error) {
	err = c.getJSON(ctx, "/v1/heaps", &heaps)
	return heaps, err
}

// Buffers returns the live buffers, never nil without an error.
func (c *Client) Buffers(ctx context.Context) (bufs []Buffer, err error) {
	err = c.getJSON(ctx, "/v1/buffers", &bufs)
	return bufs, err
}

// BuffersPhys is Buffers with how each lies in the machine's memory.
func (c *Client) BuffersPhys(ctx context.Context) (bufs []Buffer, err error) {
	err = c.getJSON(ctx, "/v1/buffers?phys=1", &bufs)
	return bufs, err
}

// Events returns the events from number from on (0: all that are kept) as JSON
// lines. With follow they go on until the instance ends. The caller closes the
// reader; io.ErrUnexpectedEOF from it means that the instance was killed.
func (c *Client) Events(ctx context.Context, from uint64, follow bool) (io.ReadCloser, error) {
	q := url.Values{"from": {strconv.FormatUint(from, 10)}, "follow": {"0"}}
	if follow {
		q.Set("follow", "1")
	}
	return c.get(ctx, "/v1/events?"+q.Encode())
}

func (c *Client) getJSON(ctx context.Context, target string, v any) error {
	body, err := c.get(ctx, target)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(v); err != nil {
		return fmt.Errorf("instance at %s: GET %s: broken answer: %w; is it of the same version?", c.path, target, err)
	}
	return nil
}

// get returns the body of a 200 answer; any other is an error.
func (c *Client) get(ctx context.Context, target string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://heapfs"+target, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.explain(err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	var e apiError
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&e); err != nil || e.Error == "" {
		e.Error = "no reason given"
	}
	return nil, fmt.Errorf("instance at %s: GET %s: %s: %q", c.path, target, resp.Status, e.Error)
}

// explain makes one line with a next step of what went wrong on the way to the
// instance.
func (c *Client) explain(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err // it would repeat a URL that the user never typed
	}
	var oe *net.OpError
	if errors.As(err, &oe) {
		err = oe.Err // it would repeat the path
	}
	var hint string
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		hint = `; it has ended: "heapfs run" starts one`
	case errors.Is(err, fs.ErrPermission):
		hint = "; it belongs to another user: ask as that user or as root"
	case errors.Is(err, os.ErrDeadlineExceeded), isTimeout(err):
		hint = "; it is stopped or overloaded: look at its process"
	}
	return fmt.Errorf("instance at %s: %w%s", c.path, err, hint)
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// errForeignServer says that the socket is another user's.
var errForeignServer = fmt.Errorf("the socket is another user's: %w", fs.ErrPermission)

// dial connects to the instance and verifies whose it is: in a directory like
// /tmp anyone may have made the socket. root may ask everyone's instances.
func dial(ctx context.Context, path string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	uid, err := peerUID(c)
	if err == nil && uid != 0 && uid != os.Geteuid() && os.Geteuid() != 0 {
		err = errForeignServer
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}
