package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/integration/vm/wire"
)

// runStep runs one step and reports how it ended. An error means that it could not be reported.
func runStep(index int, step wire.Step, out *wire.Writer) error {
	ctx := context.Background()
	if step.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, step.Timeout)
		defer cancel()
	}
	if err := out.Write(wire.KindBegin, index, nil); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", step.Script)
	cmd.Dir = "/tmp"
	cmd.Stdout = &stream{out, wire.KindStdout, index}
	cmd.Stderr = &stream{out, wire.KindStderr, index}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	// At the time limit the whole group goes, or a child of the script would go on and hold the pipes.
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	// A process that the script left in the background may hold them too; what it says later belongs to no step.
	cmd.WaitDelay = 2 * time.Second
	start := time.Now()
	err := cmd.Run()
	exit := wire.Exit{TimedOut: ctx.Err() != nil, Elapsed: time.Since(start)}
	switch {
	case cmd.ProcessState != nil:
		exit.Status = status(cmd.ProcessState.Sys().(syscall.WaitStatus))
	case err != nil:
		return err
	}
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) && !errors.Is(err, exec.ErrWaitDelay) && ctx.Err() == nil {
		return fmt.Errorf("output: %w", err)
	}
	return send(out, wire.KindExit, index, exit)
}

func status(s syscall.WaitStatus) int {
	if s.Signaled() {
		return 128 + int(s.Signal())
	}
	return s.ExitStatus()
}

// stream sends what a step prints, as it prints it.
type stream struct {
	out  *wire.Writer
	kind wire.Kind
	step int
}

func (s *stream) Write(p []byte) (int, error) {
	if err := s.out.Write(s.kind, s.step, p); err != nil {
		return 0, err
	}
	return len(p), nil
}
