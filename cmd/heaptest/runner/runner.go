package runner

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Kind is how a row's process ended.
type Kind int

// The ways in which it may.
const (
	Answered Kind = iota
	SetUp         // something before the question failed
	Hung          // no answer within the limit
	Crashed       // the process died, or ended without an answer
)

// Outcome is what came of one row.
type Outcome struct {
	Kind   Kind
	Answer string // the answer, or what went wrong
}

// Runner starts rows.
type Runner struct {
	// Command is the program that tries a row whose ID is added as the last argument. It writes the answer to descriptor 3 and ends
	// with status 0, or with StatusSetUp when it could not ask.
	Command []string
	// Env is added to this process's environment.
	Env []string
	// Limit is how long a row may take. A row that takes longer has hung.
	Limit time.Duration
	// Workers is how many rows are tried at once.
	Workers int
}

// StatusSetUp is the exit status of a row that could not ask.
const StatusSetUp = 3

// graceAfterKill is how long a killed row may take to end. One that does not is left behind: it hangs in the kernel.
const graceAfterKill = 5 * time.Second

// Run tries the rows and hands each outcome to done, in the order of ids.
func (r *Runner) Run(ctx context.Context, ids []string, done func(id string, o Outcome)) {
	outcomes := make([]chan Outcome, len(ids))
	for i := range outcomes {
		outcomes[i] = make(chan Outcome, 1)
	}
	next := make(chan int)
	var workers sync.WaitGroup
	for range max(1, r.Workers) {
		workers.Go(func() {
			for i := range next {
				outcomes[i] <- r.one(ctx, ids[i])
			}
		})
	}
	go func() {
		defer close(next)
		for i := range ids {
			next <- i
		}
	}()
	for i, id := range ids {
		done(id, <-outcomes[i])
	}
	workers.Wait()
}

// one tries one row.
func (r *Runner) one(ctx context.Context, id string) Outcome {
	read, write, err := os.Pipe()
	if err != nil {
		return Outcome{SetUp, err.Error()}
	}
	defer read.Close()
	var complaint bytes.Buffer
	cmd := exec.Command(r.Command[0], append(r.Command[1:len(r.Command):len(r.Command)], id)...)
	cmd.Env = append(os.Environ(), r.Env...)
	cmd.ExtraFiles = []*os.File{write}
	cmd.Stderr = &complaint
	cmd.WaitDelay = graceAfterKill
	// A group of its own: what the row started ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = cmd.Start()
	write.Close()
	if err != nil {
		return Outcome{SetUp, err.Error()}
	}
	kill := func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

	answer := make(chan string, 1)
	var waited error // to be read once ended is closed
	ended := make(chan struct{})
	go func() {
		text, _ := io.ReadAll(read)
		answer <- string(text)
	}()
	go func() {
		waited = cmd.Wait()
		close(ended)
	}()
	limit := time.NewTimer(r.Limit)
	defer limit.Stop()
	select {
	case <-ended:
	case <-limit.C:
		kill()
		select {
		case <-ended:
			return Outcome{Hung, fmt.Sprintf("no answer within %v", r.Limit)}
		case <-time.After(graceAfterKill + time.Second):
			return Outcome{Hung, fmt.Sprintf("no answer within %v, and can't be killed", r.Limit)}
		}
	case <-ctx.Done():
		kill()
		return Outcome{Hung, "interrupted"}
	}
	kill() // whatever it left behind
	text := <-answer
	switch {
	case waited == nil && text != "":
		return Outcome{Answered, text}
	case cmd.ProcessState.ExitCode() == StatusSetUp && text != "":
		return Outcome{SetUp, text}
	}
	return Outcome{Crashed, fmt.Sprintf("%v, answer %q, %s", cmd.ProcessState, text, firstLine(complaint.String()))}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	if line == "" {
		return "nothing on stderr"
	}
	return line
}
