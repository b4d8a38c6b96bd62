package main

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

//go:embed client/client.c
var clientSource string

// compile makes the client. Static, so that its start has no share in the cost of a launch.
func (s *site) compile() error {
	cmd := exec.Command("gcc", "-std=gnu11", "-O2", "-static", "-o", s.client, "-x", "c", "-")
	cmd.Stdin = strings.NewReader(clientSource)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("compile the client with gcc: %w\n%s", err, out)
	}
	return nil
}

// series is what a client tells of many samples: median, mean and minimum in nanoseconds.
type series [3]float64

// answer is one line of a client.
type answer map[string]series

// client is a running client that is asked again and again.
type client struct {
	name   string
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr strings.Builder
}

// serve runs a client that answers, with more in its environment.
func (s *site) serve(name string, env ...string) (*client, error) {
	return start(name, append(append([]string{"env"}, env...), s.client, "serve")...)
}

// start runs a client. Its stderr is kept, for the error that a broken answer becomes.
func start(name string, argv ...string) (*client, error) {
	c := &client{name: name, cmd: exec.Command(argv[0], argv[1:]...)}
	c.cmd.Stderr = &c.stderr
	in, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.in, c.out = in, bufio.NewReader(out)
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

// ask has something measured.
func (c *client) ask(what string, samples int) (answer, error) {
	if _, err := fmt.Fprintf(c.in, "%s %d\n", what, samples); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		return nil, c.failed(what, err)
	}
	line, err := c.out.ReadBytes('\n')
	if err != nil {
		return nil, c.failed(what, err)
	}
	var a answer
	if err := json.Unmarshal(line, &a); err != nil {
		return nil, c.failed(what, err)
	}
	return a, nil
}

// failed says why there is no answer: as a rule the client has ended and told why.
func (c *client) failed(what string, err error) error {
	if werr := c.stop(); werr != nil {
		err = werr
	}
	return fmt.Errorf("measure %q %s: %w", what, c.name, err)
}

// stop ends the client. The second time it does nothing.
func (c *client) stop() error {
	if c.cmd == nil {
		return nil
	}
	_ = c.in.Close() // it may have ended already
	err := c.cmd.Wait()
	c.cmd = nil
	if err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(c.stderr.String()))
	}
	return nil
}

// once runs a client that gives one answer.
func once(argv ...string) (answer, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(stderr.String()))
	}
	var a answer
	if err := json.Unmarshal(out, &a); err != nil {
		return nil, fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
	}
	return a, nil
}

// asUser is the command that runs something as an ordinary user: nothing to add for one who is.
func asUser() ([]string, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	const script = "scripts/as-user.sh"
	if _, err := os.Stat(script); err != nil {
		return nil, fmt.Errorf("the launch as an ordinary user: %w; start bench in the checkout's root", err)
	}
	return []string{script}, nil
}
