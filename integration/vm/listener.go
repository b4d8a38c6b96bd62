package vm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/heapfs/heapfs/integration/vm/wire"
)

// maxSaid is the most that a guest may send, in bytes: more than a minute's worth, as a serial port carries 200 KiB/s or so.
const maxSaid = 16 << 20

// heard is a step's result in the making.
type heard struct {
	StepResult
	stdout, stderr bytes.Buffer
}

// listener takes the guest's frames.
type listener struct {
	cfg Config
	up  func() // called at the first frame

	release string
	steps   []heard
	files   map[string][]byte
	file    wire.File // the one that data belongs to
	fault   string
	ended   bool
	said    int
}

func (l *listener) prepare(cfg Config, up func()) {
	l.cfg, l.up, l.files = cfg, up, map[string][]byte{}
}

// listen takes frames until there are none.
func (l *listener) listen(frames *wire.Reader) error {
	for {
		frame, err := frames.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := l.take(frame); err != nil {
			return err
		}
	}
}

func (l *listener) take(frame wire.Frame) error {
	if l.said += len(frame.Data); l.said > maxSaid {
		return fmt.Errorf("%w: more than %d MiB", ErrTooMuch, maxSaid>>20)
	}
	switch frame.Kind {
	case wire.KindHello:
		var hello wire.Hello
		if err := decode(frame, &hello); err != nil {
			return err
		}
		l.release = hello.Release
		l.up()
		return nil
	case wire.KindBegin:
		if frame.Step != len(l.steps) || frame.Step >= len(l.cfg.Steps) {
			return fmt.Errorf("%w: step %d begins after %d steps", wire.ErrGarbled, frame.Step, len(l.steps))
		}
		l.steps = append(l.steps, heard{StepResult: StepResult{Name: l.cfg.Steps[frame.Step].Name}})
		return nil
	case wire.KindStdout, wire.KindStderr, wire.KindExit:
		return l.step(frame)
	case wire.KindFile:
		if err := decode(frame, &l.file); err != nil {
			return err
		}
		l.files[l.file.Path] = nil
		return nil
	case wire.KindData:
		l.files[l.file.Path] = append(l.files[l.file.Path], frame.Data...)
		return nil
	case wire.KindFault:
		l.fault = string(frame.Data)
		return nil
	case wire.KindEnd:
		l.ended = true
		return nil
	}
	return fmt.Errorf("%w: kind %q", wire.ErrGarbled, frame.Kind)
}

// step takes what belongs to a step. A step's late words (a process that it left behind) may come after its end.
func (l *listener) step(frame wire.Frame) error {
	if frame.Step < 0 || frame.Step >= len(l.steps) {
		return fmt.Errorf("%w: step %d has not begun", wire.ErrGarbled, frame.Step)
	}
	step := &l.steps[frame.Step]
	switch frame.Kind {
	case wire.KindExit:
		var exit wire.Exit
		if err := decode(frame, &exit); err != nil {
			return err
		}
		step.Ended, step.Status, step.TimedOut, step.Elapsed = true, exit.Status, exit.TimedOut, exit.Elapsed
		return nil
	case wire.KindStdout:
		step.stdout.Write(frame.Data)
	default:
		step.stderr.Write(frame.Data)
	}
	if l.cfg.Output != nil {
		_, _ = l.cfg.Output.Write(frame.Data)
	}
	return nil
}

// into hands over what was heard.
func (l *listener) into(r *Result) {
	r.Release = l.release
	for i := range l.steps {
		step := l.steps[i].StepResult
		step.Stdout, step.Stderr = l.steps[i].stdout.String(), l.steps[i].stderr.String()
		r.Steps = append(r.Steps, step)
	}
	if l.files != nil {
		r.Files = l.files
	}
	if l.ended {
		return
	}
	// A file that is not whole is no file.
	if data, ok := r.Files[l.file.Path]; ok && int64(len(data)) != l.file.Size {
		delete(r.Files, l.file.Path)
	}
}

func decode(frame wire.Frame, into any) error {
	if err := json.Unmarshal(frame.Data, into); err != nil {
		return fmt.Errorf("%w: %s: %v", wire.ErrGarbled, frame.Kind, err)
	}
	return nil
}
