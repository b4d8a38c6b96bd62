package vm

import (
	"fmt"
	"strings"
	"time"
)

// Result is what a machine said. It is there beside an error too, as far as the machine came.
type Result struct {
	Kernel  string // as in the table
	Release string // uname -r; empty when the machine did not come up
	Accel   string // tcg or kvm
	Steps   []StepResult
	Files   map[string][]byte // collected files by guest path
	Console string            // the kernel's, and what steps wrote to /dev/console
	Elapsed time.Duration     // the whole boot, on the host
	Up      time.Duration     // of which until the first step
}

// StepResult is what a step said. Steps that did not begin have no result.
type StepResult struct {
	Name     string
	Ended    bool // false: the machine ended first
	Status   int  // as a shell has it: 128+N after signal N
	TimedOut bool
	Stdout   string
	Stderr   string
	Elapsed  time.Duration // by the guest's clock
}

// OK reports whether the step ended with status 0 in its time.
func (s StepResult) OK() bool { return s.Ended && s.Status == 0 && !s.TimedOut }

// String says how the step ended, in a few words.
func (s StepResult) String() string {
	switch {
	case !s.Ended:
		return "did not end"
	case s.TimedOut:
		return "timed out"
	default:
		return fmt.Sprintf("status %d", s.Status)
	}
}

// Step returns a step's result; for one that did not begin, a result that is not OK.
func (r *Result) Step(name string) StepResult {
	for _, s := range r.Steps {
		if s.Name == name {
			return s
		}
	}
	return StepResult{Name: name}
}

// Failed returns the steps that are not OK.
func (r *Result) Failed() []StepResult {
	var failed []StepResult
	for _, s := range r.Steps {
		if !s.OK() {
			failed = append(failed, s)
		}
	}
	return failed
}

// Tail returns the console's last lines, each with a mark before it, for the report of a failure.
func (r *Result) Tail() string {
	return "console: " + strings.ReplaceAll(lastLines(r.Console, 25), "\n", "\nconsole: ")
}
