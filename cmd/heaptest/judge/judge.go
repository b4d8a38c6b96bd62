package judge

import "fmt"

// Word is a verdict.
type Word string

// The verdicts.
const (
	OK       Word = "ok"
	Deviates Word = "deviates"
	Fail     Word = "FAIL"
	NotTried Word = "not tried"
)

// Judge compares the answers of one run with what is expected.
type Judge struct {
	header  Header
	version Version
	kernel  *Run // the record that counts
	list    []Deviation
	sourced map[string]string
}

// New makes the judge of a run. records are runs on kernels' own heaps; the newest that is not newer than the run's kernel counts,
// or the oldest. sourced has the kernel's answers to rows that no record can have.
func New(h Header, records []*Run, list []Deviation, sourced map[string]string) (*Judge, error) {
	v, err := ParseVersion(h.Kernel)
	if err != nil {
		return nil, err
	}
	j := &Judge{header: h, version: v, list: list, sourced: sourced}
	for _, r := range Kernels(records) {
		if j.kernel == nil || !v.Before(r.Version) {
			j.kernel = r
		}
	}
	return j, nil
}

// Record names the kernel whose record counts, "" without one.
func (j *Judge) Record() string {
	if j.kernel == nil {
		return ""
	}
	return j.kernel.Kernel
}

// expected is the kernel's answer.
func (j *Judge) expected(row string) (string, bool) {
	if answer, ok := j.sourced[row]; ok {
		return answer, true
	}
	if j.kernel == nil {
		return "", false
	}
	answer, ok := j.kernel.Answers[row]
	return answer, ok
}

// deviation is the entry that covers a row.
func (j *Judge) deviation(row string) (*Deviation, Difference) {
	for i := range j.list {
		if x, ok := j.list[i].in(row, j.header, j.version); ok {
			return &j.list[i], x
		}
	}
	return nil, Difference{}
}

// Answer judges what a row answered.
func (j *Judge) Answer(row, answer string) Line {
	line := Line{Row: row, Answer: answer, Verdict: OK}
	kernel, ok := j.expected(row)
	if !ok {
		line.Verdict, line.Reason = Fail, "no record has a kernel's answer"
		return line
	}
	line.Expected = kernel
	entry, listed := j.deviation(row)
	switch {
	case entry == nil && answer == kernel:
	case entry == nil:
		line.Verdict, line.Reason = Fail, "differs from the kernel and is not listed"
	case answer == listed.Answer:
		line.Verdict, line.Deviation = Deviates, entry.ID
	case answer == kernel && entry.Sometimes:
	case answer == kernel:
		line.Verdict, line.Deviation, line.Reason = Fail, entry.ID, "listed and needless: the answer is the kernel's"
	default:
		line.Verdict, line.Deviation, line.Reason = Fail, entry.ID, fmt.Sprintf("neither the kernel's answer nor the listed %q", listed.Answer)
	}
	return line
}

// Failure is the verdict on a row that gave no answer.
func (j *Judge) Failure(row, what string) Line {
	expected, _ := j.expected(row)
	return Line{Row: row, Answer: what, Verdict: Fail, Expected: expected, Reason: "no answer"}
}

// Skipped is the verdict on a row that this machine can't try.
func Skipped(row, need string) Line {
	return Line{Row: row, Verdict: NotTried, Reason: "needs " + need}
}
