package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
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
	// Workers is how many processes there are at once.
	Workers int
	// Plain says which rows may share a process with others like them; nil: none. Command then gets several IDs, and writes an Answer
	// as a line of JSON for each that it could ask.
	Plain func(id string) bool
}

// Answer is what a process for several rows writes of each.
type Answer struct {
	Row    string `json:"row"`
	Answer string `json:"answer"`
}

// maxTogether is how many rows share a process at the most. Most of a row's time is the start of its process.
const maxTogether = 48

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
	groups := r.groups(ids)
	var workers sync.WaitGroup
	for range max(1, r.Workers) {
		workers.Go(func() {
			for first := range next {
				for i, o := range r.group(ctx, ids[first:first+groups[first]]) {
					outcomes[first+i] <- o
				}
			}
		})
	}
	go func() {
		defer close(next)
		for first := 0; first < len(ids); first += groups[first] {
			next <- first
		}
	}()
	for i, id := range ids {
		done(id, <-outcomes[i])
	}
	workers.Wait()
}

// groups says for the first row of each process how many rows it tries.
func (r *Runner) groups(ids []string) map[int]int {
	sizes := map[int]int{}
	first := 0
	for i, id := range ids {
		together := r.Plain != nil && r.Plain(id)
		if i > 0 && together && sizes[first] < maxTogether && r.Plain(ids[first]) {
			sizes[first]++
			continue
		}
		first = i
		sizes[first] = 1
	}
	return sizes
}

// group tries rows in one process. Those that it gave no answer to, because one of them hung or crashed or could not ask, are tried
// each by itself: what is wrong then is its own.
func (r *Runner) group(ctx context.Context, ids []string) []Outcome {
	outcomes := make([]Outcome, len(ids))
	if len(ids) == 1 {
		outcomes[0] = r.alone(ctx, ids[0])
		return outcomes
	}
	answers := map[string]string{}
	text, _, _ := r.try(ctx, ids)
	decoder := json.NewDecoder(strings.NewReader(text))
	for {
		var a Answer
		if decoder.Decode(&a) != nil {
			break
		}
		answers[a.Row] = a.Answer
	}
	for i, id := range ids {
		if answer, ok := answers[id]; ok {
			outcomes[i] = Outcome{Answered, answer}
		} else {
			outcomes[i] = r.alone(ctx, id)
		}
	}
	return outcomes
}

// alone tries one row in a process of its own.
func (r *Runner) alone(ctx context.Context, id string) Outcome {
	text, status, failure := r.try(ctx, []string{id})
	switch {
	case failure.Answer != "" && failure.Kind != Crashed:
		return failure
	case status == 0 && text != "":
		return Outcome{Answered, text}
	case status == StatusSetUp && text != "":
		return Outcome{SetUp, text}
	}
	return failure
}

// try starts a process for rows. It gives what that wrote, its exit status (-1 for none), and what went wrong.
func (r *Runner) try(ctx context.Context, ids []string) (text string, status int, failure Outcome) {
	read, write, err := os.Pipe()
	if err != nil {
		return "", -1, Outcome{SetUp, err.Error()}
	}
	defer read.Close()
	var complaint bytes.Buffer
	cmd := exec.Command(r.Command[0], slices.Concat(r.Command[1:], ids)...)
	cmd.Env = append(os.Environ(), r.Env...)
	cmd.ExtraFiles = []*os.File{write}
	cmd.Stderr = &complaint
	cmd.WaitDelay = graceAfterKill
	// A group of its own: what the row started ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = cmd.Start()
	write.Close()
	if err != nil {
		return "", -1, Outcome{SetUp, err.Error()}
	}
	kill := func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

	answer := make(chan string, 1)
	ended := make(chan struct{})
	go func() {
		text, _ := io.ReadAll(read)
		answer <- string(text)
	}()
	go func() {
		_ = cmd.Wait() // the state says it
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
			return <-answer, -1, Outcome{Hung, fmt.Sprintf("no answer within %v", r.Limit)}
		case <-time.After(graceAfterKill + time.Second):
			return "", -1, Outcome{Hung, fmt.Sprintf("no answer within %v, and can't be killed", r.Limit)}
		}
	case <-ctx.Done():
		kill()
		return "", -1, Outcome{Hung, "interrupted"}
	}
	kill() // whatever it left behind
	text = <-answer
	return text, cmd.ProcessState.ExitCode(), Outcome{
		Crashed, fmt.Sprintf("%v, answer %q, %s", cmd.ProcessState, text, firstLine(complaint.String())),
	}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	if line == "" {
		return "nothing on stderr"
	}
	return line
}
