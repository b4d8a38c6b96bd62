package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
)

// event is one line of the stream, as `go doc test2json` describes it. Build output has ImportPath in place of Package.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

// testID names a test; Test is empty for the package itself.
type testID struct{ Package, Test string }

func (id testID) String() string { return strings.TrimSpace(id.Package + " " + id.Test) }

// report gathers a run. Output is kept per test until the test's end says whether anybody needs to see it.
type report struct {
	out io.Writer
	ci  bool

	output  map[testID]*strings.Builder
	running map[testID]bool

	passed, failed, skipped int
	failures                []testID
	refused                 []string // skips that CI does not accept, each with its reason
	failedTests             map[string]int
}

func newReport(out io.Writer, ci bool) *report {
	return &report{
		out:         out,
		ci:          ci,
		output:      map[testID]*strings.Builder{},
		running:     map[testID]bool{},
		failedTests: map[string]int{},
	}
}

// read takes the whole stream. A line that is not JSON (go itself complaining, say) is printed as it came.
func (r *report) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			r.line(line)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (r *report) line(line []byte) {
	var e event
	if !bytes.HasPrefix(line, []byte("{")) || json.Unmarshal(line, &e) != nil || e.Action == "" {
		r.print(string(line))
		return
	}
	r.event(e)
}

func (r *report) event(e event) {
	id := testID{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		r.print(e.Output)
	case "start", "run":
		r.running[id] = true
	case "output":
		r.keep(id, e.Output)
	case "pass", "fail", "skip":
		delete(r.running, id)
		if e.Test == "" {
			r.endPackage(id, e.Action)
		} else {
			r.endTest(id, e.Action)
		}
		delete(r.output, id)
	}
}

func (r *report) keep(id testID, text string) {
	b := r.output[id]
	if b == nil {
		b = &strings.Builder{}
		r.output[id] = b
	}
	b.WriteString(text)
}

// said returns what a test printed so far.
func (r *report) said(id testID) string {
	if b := r.output[id]; b != nil {
		return b.String()
	}
	return ""
}

func (r *report) endTest(id testID, action string) {
	switch action {
	case "pass":
		r.passed++
	case "fail":
		r.fail(id)
	case "skip":
		r.skipped++
		reason := skipReason(r.said(id))
		fmt.Fprintf(r.out, "--- SKIP: %s: %s\n", id, reason)
		if !strings.HasPrefix(reason, kernelLacks) {
			r.refused = append(r.refused, fmt.Sprintf("%s: %s", id, reason))
		}
	}
}

func (r *report) fail(id testID) {
	r.failed++
	r.failedTests[id.Package]++
	r.failures = append(r.failures, id)
	r.print(r.said(id))
}

// endPackage prints a package's line. A package that fails without a failed test (a panic, a time-out, a leak that its TestMain
// found, a build that failed) is itself the failure, and so is each test that the end found running.
func (r *report) endPackage(id testID, action string) {
	text := r.said(id)
	switch action {
	case "pass":
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "ok ") {
				r.print(line)
			}
		}
	case "fail":
		r.failRunning(id.Package)
		if r.failedTests[id.Package] == 0 {
			r.fail(id)
			return
		}
		r.print(text)
	}
}

// failRunning fails the tests of a package (of every package when the name is empty) that began and never ended.
func (r *report) failRunning(name string) {
	var left []testID
	for id := range r.running {
		if name == "" || (id.Package == name && id.Test != "") {
			left = append(left, id)
		}
	}
	slices.SortFunc(left, func(a, b testID) int { return strings.Compare(a.String(), b.String()) })
	for _, id := range left {
		fmt.Fprintf(r.out, "--- FAIL: %s: did not end\n", id)
		r.fail(id)
		delete(r.running, id)
	}
}

// finish prints the summary and says whether the run is a success.
func (r *report) finish() bool {
	r.failRunning("")
	for _, id := range r.failures {
		fmt.Fprintf(r.out, "FAILED %s\n", id)
	}
	if r.ci {
		for _, skip := range r.refused {
			fmt.Fprintf(r.out, "SKIPPED %s (a failure under CI=true: only %q is accepted)\n", skip, kernelLacks+" …")
		}
	}
	none := r.passed+r.failed+r.skipped == 0
	if none {
		fmt.Fprintln(r.out, "no test ran")
	}
	fmt.Fprintf(r.out, "%d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped)
	return r.failed == 0 && !none && (!r.ci || len(r.refused) == 0)
}

// appendTotals adds the run's counts to a file that gathers several runs: passed, failed, skipped.
func (r *report) appendTotals(path string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("test totals: %w", err)
	}
	if _, err := fmt.Fprintf(f, "%d %d %d\n", r.passed, r.failed, r.skipped); err != nil {
		return errors.Join(fmt.Errorf("test totals %s: %w", path, err), f.Close())
	}
	return f.Close()
}

func (r *report) print(text string) {
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	_, _ = io.WriteString(r.out, text)
}

// kernelLacks begins the message of a skip that no machine set-up can cure.
const kernelLacks = "kernel lacks:"

// logLine is how testing prints a message of t.Skip, t.Log and so on: indented, with file and line.
var logLine = regexp.MustCompile(`^\s+[^\s:]+\.go:\d+: (.*)$`)

// skipReason returns the first line of the message that a skipped test gave: t.Skip's is the last that it logged.
func skipReason(output string) string {
	reason := "no reason given"
	for line := range strings.Lines(output) {
		if m := logLine.FindStringSubmatch(strings.TrimRight(line, "\n")); m != nil {
			reason = m[1]
		}
	}
	return reason
}
