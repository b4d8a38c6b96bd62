package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/cmd/heaptest/answers"
	"github.com/heapfs/heapfs/cmd/heaptest/judge"
	"github.com/heapfs/heapfs/cmd/heaptest/rows"
	"github.com/heapfs/heapfs/cmd/heaptest/runner"
)

// options are the flags of a run.
type options struct {
	dir, heap, as, pattern, madeBy string
	json, list, record, verbose    bool
	alone                          bool
	limit                          time.Duration
	workers                        int
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("heaptest", flag.ContinueOnError)
	flags.StringVar(&o.dir, "dir", "/dev/dma_heap", "directory of heap nodes")
	flags.StringVar(&o.heap, "heap", "system", "name of the heap")
	flags.StringVar(&o.as, "as", "kernel", "whose deviations are allowed: kernel (none), memfd, udmabuf, fuse or fuse-cached")
	flags.StringVar(&o.pattern, "run", "", "try only rows whose ID matches this regular expression")
	flags.BoolVar(&o.json, "json", false, "write JSON lines: a header, then a line a row")
	flags.BoolVar(&o.record, "record", false, "write JSON lines to be kept as a record, without verdicts")
	flags.BoolVar(&o.list, "list", false, "list the rows and try none")
	flags.BoolVar(&o.verbose, "v", false, "print rows that are ok, too")
	flags.DurationVar(&o.limit, "limit", 2*time.Minute, "how long a row may take before it counts as hung")
	flags.IntVar(&o.workers, "j", runtime.NumCPU(), "how many rows are tried at once")
	flags.BoolVar(&o.alone, "alone", false, "try each row in a process of its own; else those that leave no traces share one")
	flags.StringVar(&o.madeBy, "made-by", "", "with --record: the command that makes the record")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("argument %q: takes none but \"report\"", flags.Arg(0))
	}
	return o, nil
}

// suite tries the rows and prints the verdicts.
func suite(ctx context.Context, args []string) int {
	o, err := parse(args)
	if err != nil {
		return complain(err)
	}
	picked, err := pick(o.pattern)
	if err != nil {
		return complain(err)
	}
	if o.list {
		for _, r := range picked {
			fmt.Printf("%-36s %s\n", r.ID, r.What)
		}
		return statusOK
	}
	j, header, err := newJudge(o)
	if err != nil {
		return complain(err)
	}
	out := printer{o: o, count: map[judge.Word]int{}, encode: json.NewEncoder(os.Stdout)}
	out.header(header)
	var ids []string
	needs := map[string]rows.Need{}
	for _, r := range picked {
		ids = append(ids, r.ID)
		if !met(r.Needs, header, o) {
			needs[r.ID] = r.Needs
		}
	}
	plain := map[string]bool{}
	for _, r := range picked {
		plain[r.ID] = r.Plain
	}
	tried := ids[:0:0]
	for _, id := range ids {
		if needs[id] == rows.NeedNothing {
			tried = append(tried, id)
			continue
		}
		out.line(judge.Skipped(id, string(needs[id])))
	}
	run := runner.Runner{Command: []string{self, rowCommand}, Env: rowEnv(o.dir, o.heap), Limit: o.limit, Workers: o.workers}
	run.Plain = func(id string) bool { return plain[id] && !o.alone }
	run.Run(ctx, tried, func(id string, got runner.Outcome) {
		if got.Kind == runner.Answered {
			out.line(j.Answer(id, got.Answer))
		} else {
			out.line(j.Failure(id, got.Answer))
		}
	})
	out.summary(j, header)
	if out.count[judge.Fail] > 0 && !o.record || ctx.Err() != nil {
		return statusFail
	}
	return statusOK
}

func pick(pattern string) ([]rows.Row, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("--run %q: %w", pattern, err)
	}
	var picked []rows.Row
	for _, r := range rows.All() {
		if re.MatchString(r.ID) {
			picked = append(picked, r)
		}
	}
	if len(picked) == 0 {
		return nil, fmt.Errorf("--run %q: no row has such an ID", pattern)
	}
	return picked, nil
}

func newJudge(o options) (*judge.Judge, judge.Header, error) {
	as, err := judge.ParseExport(o.as)
	if err != nil {
		return nil, judge.Header{}, fmt.Errorf("--as: %w", err)
	}
	var un unix.Utsname
	if err := unix.Uname(&un); err != nil {
		return nil, judge.Header{}, fmt.Errorf("uname: %w", err)
	}
	if err := unix.Access(filepath.Join(o.dir, o.heap), unix.F_OK); err != nil {
		return nil, judge.Header{}, fmt.Errorf("heap %s: %w; name another with --dir and --heap", filepath.Join(o.dir, o.heap), err)
	}
	h := judge.Header{As: as, Kernel: unix.ByteSliceToString(un.Release[:]), Arch: runtime.GOARCH, Root: os.Getuid() == 0, Heap: o.heap,
		Udmabuf: unix.Access("/dev/udmabuf", unix.W_OK) == nil, MadeBy: o.madeBy}
	records, err := judge.ReadRuns(answers.Files)
	if err != nil {
		return nil, h, err
	}
	j, err := judge.New(h, records, judge.List(), judge.Sourced)
	if err == nil && j.Record() == "" && !o.record {
		err = errors.New("there is no record of a kernel's answers: make one with --record")
	}
	return j, h, err
}

// met reports whether the machine has what a row needs.
func met(need rows.Need, h judge.Header, o options) bool {
	switch need {
	case rows.NeedRoot:
		return h.Root
	case rows.NeedBounded:
		return h.As != judge.Kernel
	case rows.NeedProtected:
		return unix.Access(filepath.Join(o.dir, "protected,secure-video"), unix.F_OK) == nil
	}
	return true
}
