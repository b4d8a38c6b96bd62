package fuzz

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// side is a peer process that sees one of the two heap directories.
type side struct {
	name string
	argv []string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *os.File
	err  tail
	buf  []byte
}

const (
	answerTime = 60 * time.Second // for one sequence, on a slow machine
	endTime    = 20 * time.Second
)

// tail keeps the last of what a process says.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if over := len(t.b) - 4096; over > 0 {
		t.b = t.b[over:]
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.b))
}

// start runs the peer, behind prefix if there is one.
func start(name string, prefix []string, dir string) (*side, error) {
	s := &side{name: name, argv: append(append([]string(nil), prefix...), "/proc/self/exe", "fuzz", "peer", dir)}
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s.argv[len(prefix)] = exe
	s.cmd = exec.Command(s.argv[0], s.argv[1:]...)
	s.cmd.Stderr = &s.err
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.out = out.(*os.File)
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s side: %w", name, err)
	}
	return s, nil
}

// ask sends a sequence.
func (s *side) ask(ops []Op) error {
	b := binary.LittleEndian.AppendUint64(s.buf[:0], uint64(len(ops)))
	for i := range ops {
		b = append(b, make([]byte, opBytes)...)
		ops[i].put(b[len(b)-opBytes:])
	}
	s.buf = b
	if _, err := s.in.Write(b); err != nil {
		return s.died(err)
	}
	return nil
}

// answers waits for what ask asked.
func (s *side) answers(n int) ([]Result, error) {
	b := make([]byte, n*resultSize)
	if err := s.out.SetReadDeadline(time.Now().Add(answerTime)); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(s.out, b); err != nil {
		return nil, s.died(err)
	}
	results := make([]Result, n)
	for i := range results {
		results[i].get(b[i*resultSize:])
	}
	return results, nil
}

// died says what is known about a side that does not answer.
func (s *side) died(cause error) error {
	said := s.err.String()
	if said == "" {
		said = "it said nothing"
	}
	return fmt.Errorf("the %s side (%s) gives no answer: %w: %s", s.name, s.argv, cause, said)
}

// stop ends the side; whatever it says at its end is an error.
func (s *side) stop() error {
	_ = s.in.Close()
	done := make(chan error, 1)
	go func() { done <- s.cmd.Wait() }()
	select {
	case err := <-done:
		said := s.err.String()
		switch {
		case err != nil:
			return fmt.Errorf("the %s side ended: %w: %s", s.name, err, said)
		case said != "":
			return fmt.Errorf("the %s side said: %s", s.name, said)
		}
		return nil
	case <-time.After(endTime):
		_ = s.cmd.Process.Kill()
		return fmt.Errorf("the %s side did not end within %s and was killed: %w", s.name, endTime, <-done)
	}
}

// pair is both sides.
type pair struct {
	dir         string
	prefix      []string
	left, right *side
	starts      int
}

func (p *pair) ensure() (err error) {
	if p.left == nil {
		if p.left, err = start("left", nil, p.dir); err != nil {
			return err
		}
	}
	if p.right == nil {
		p.starts++
		if p.right, err = start("right", p.prefix, p.dir); err != nil {
			return err
		}
	}
	return nil
}

// run executes a sequence on both sides. An error is a side that died: it is started anew by the next run.
func (p *pair) run(ops []Op) (left, right []Result, err error) {
	if err := p.ensure(); err != nil {
		return nil, nil, err
	}
	for _, s := range []*side{p.left, p.right} {
		if err := s.ask(ops); err != nil {
			p.drop()
			return nil, nil, err
		}
	}
	if left, err = p.left.answers(len(ops)); err == nil {
		right, err = p.right.answers(len(ops))
	}
	if err != nil {
		p.drop()
	}
	return left, right, err
}

// drop ends both sides whatever they say.
func (p *pair) drop() { _ = p.stop() }

func (p *pair) stop() error {
	var first error
	for _, s := range []**side{&p.left, &p.right} {
		if *s != nil {
			if err := (*s).stop(); err != nil && first == nil {
				first = err
			}
			*s = nil
		}
	}
	return first
}
