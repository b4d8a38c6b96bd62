package judge

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"slices"
)

// Header is the first line of a run.
type Header struct {
	As     Export `json:"as"`
	Kernel string `json:"kernel"` // the release
	Arch   string `json:"arch"`
	Root   bool   `json:"root"`
	Heap   string `json:"heap"`
	// Udmabuf: /dev/udmabuf can be opened for writing.
	Udmabuf bool `json:"udmabuf"`
	// MadeBy is the command that made the run.
	MadeBy string `json:"made_by,omitempty"`
}

// Line is a row of a run.
type Line struct {
	Row       string `json:"row"`
	Answer    string `json:"answer"`
	Verdict   Word   `json:"verdict,omitempty"`
	Expected  string `json:"expected,omitempty"`
	Deviation string `json:"deviation,omitempty"`
	Reason    string `json:"reason,omitempty"`
}

// Run is one run of the suite: what each row answered.
type Run struct {
	Header
	Version Version
	Answers map[string]string
	Lines   []Line
}

// ReadRun reads JSON lines: a header, then rows. Rows that were not tried are left out of Answers.
func ReadRun(r io.Reader, name string) (*Run, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	if !lines.Scan() {
		return nil, fmt.Errorf("run %s: is empty, must have a header line", name)
	}
	run := &Run{Answers: map[string]string{}}
	if err := json.Unmarshal(lines.Bytes(), &run.Header); err != nil {
		return nil, fmt.Errorf("run %s: header: %w", name, err)
	}
	var err error
	if _, err = ParseExport(string(run.As)); err != nil {
		return nil, fmt.Errorf("run %s: %w", name, err)
	}
	if run.Version, err = ParseVersion(run.Kernel); err != nil {
		return nil, fmt.Errorf("run %s: %w", name, err)
	}
	for n := 2; lines.Scan(); n++ {
		var l Line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("run %s: line %d: %w", name, n, err)
		}
		run.Lines = append(run.Lines, l)
		if l.Verdict != NotTried && l.Row != "" {
			run.Answers[l.Row] = l.Answer
		}
	}
	return run, lines.Err()
}

// ReadRuns reads every run in files, oldest kernel first.
func ReadRuns(files fs.FS) ([]*Run, error) {
	paths, err := fs.Glob(files, "*.jsonl")
	if err != nil {
		return nil, err
	}
	var runs []*Run
	for _, p := range paths {
		f, err := files.Open(p)
		if err != nil {
			return nil, err
		}
		run, err := ReadRun(f, p)
		f.Close()
		if err != nil {
			return nil, err
		}
		runs = append(runs, run)
	}
	slices.SortStableFunc(runs, func(a, b *Run) int { return a.Version.Compare(b.Version) })
	return runs, nil
}

// Kernels are the runs on kernels' own heaps, oldest first.
func Kernels(runs []*Run) []*Run {
	return slices.DeleteFunc(slices.Clone(runs), func(r *Run) bool { return r.As != Kernel })
}
