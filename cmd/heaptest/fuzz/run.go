package fuzz

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// runner is one run: sequences until there are enough operations.
type runner struct {
	pair     pair
	seed     uint64
	wanted   int
	only     int64
	keep     []int
	quotas   bool
	shrinks  bool
	verbose  bool
	maxFound int
	rules    []excuse
	watch    watch
	flags    string
	stats    *Stats
	out      io.Writer
}

// shrinkRuns bounds how often a failing sequence is tried.
const shrinkRuns = 200

func (r *runner) run() (int, error) {
	found, err := r.sequences()
	if stopErr := r.pair.stop(); err == nil && stopErr != nil {
		fmt.Fprintln(r.out, "at the end:", stopErr)
		found++
	}
	if err != nil {
		return exitBroken, err
	}
	if r.only < 0 {
		r.stats.Print(r.out)
	}
	if found > 0 {
		return exitDiffer, nil
	}
	if r.only < 0 && r.quotas {
		if unmet := r.stats.Unmet(r.rules); len(unmet) > 0 {
			fmt.Fprintf(r.out, "the run proves too little:\n  %s\n", strings.Join(unmet, "\n  "))
			return exitDiffer, nil
		}
	}
	fmt.Fprintf(r.out, "both sides agree (seed %d)\n", r.seed)
	return exitAgree, nil
}

// sequences returns how many differences were found.
func (r *runner) sequences() (found int, err error) {
	first, last := uint64(0), ^uint64(0)
	if r.only >= 0 {
		first, last = uint64(r.only), uint64(r.only)
	}
	for n := first; ; n++ {
		ops := r.kept(Sequence(r.seed, n))
		began := time.Now()
		left, right, d, err := r.try(ops, r.stats.Excused)
		if r.verbose {
			fmt.Fprintf(r.out, "sequence %d: %s\n", n, time.Since(began).Round(time.Millisecond))
		}
		switch {
		case err != nil && r.pair.starts > 1 || err != nil && n > first:
			// A side that dies in the middle of the work is a difference like any other.
			fmt.Fprintf(r.out, "sequence %d of seed %d: %v\n%s", n, r.seed, err, r.replay(n, ops))
			found++
		case err != nil:
			return found, err
		case d != nil:
			found++
			r.report(n, ops, d)
		default:
			r.stats.add(ops, left)
			if err := r.watch.look(&r.pair); err != nil {
				fmt.Fprintf(r.out, "after sequence %d of seed %d: %v\n", n, r.seed, err)
				found++
				r.pair.drop()
			}
		}
		if r.only >= 0 && err == nil {
			fmt.Fprint(r.out, Listing(ops, left, right, &Difference{At: len(ops)}))
		}
		if n == last || found >= r.maxFound || r.stats.Ops >= r.wanted {
			return found, nil
		}
	}
}

func (r *runner) try(ops []Op, excused map[string]int) (left, right []Result, d *Difference, err error) {
	left, right, err = r.pair.run(ops)
	if err != nil {
		return nil, nil, nil, err
	}
	d = judge(ops, left, right, r.rules, excused)
	if d != nil {
		r.pair.drop() // lest what one side is left with spoils what follows
	}
	return left, right, d, nil
}

// kept is what --keep leaves of a sequence.
func (r *runner) kept(ops []Op) []Op {
	if len(r.keep) == 0 {
		return ops
	}
	var some []Op
	for _, op := range ops {
		if op.Kind == KindEnd || slices.Contains(r.keep, int(op.ID)) {
			some = append(some, op)
		}
	}
	return some
}

// report shrinks a failing sequence and prints what is left.
func (r *runner) report(n uint64, ops []Op, d *Difference) {
	small := ops
	if r.shrinks {
		same := func(o *Difference) bool { return o != nil && o.Op.Kind == d.Op.Kind && o.Op.Sub == d.Op.Sub }
		small = shrink(ops, shrinkRuns, func(candidate []Op) bool {
			_, _, o, err := r.try(candidate, nil)
			return err == nil && same(o)
		})
	}
	left, right, o, err := r.try(small, nil)
	fmt.Fprintf(r.out, "the sides differ in sequence %d of seed %d (%d operations, shrunk to %d):\n", n, r.seed, len(ops), len(small))
	switch {
	case err != nil:
		fmt.Fprintf(r.out, "  %v\n", err)
	case o == nil:
		fmt.Fprintf(r.out, "  not once more; it was: %s: left %s; right %s\n", d.Op.String(), d.Left.String(), d.Right.String())
		small = ops
	default:
		fmt.Fprint(r.out, Listing(small, left, right, o))
	}
	fmt.Fprint(r.out, r.replay(n, small))
}

// replay is the command that shows it again.
func (r *runner) replay(n uint64, ops []Op) string {
	var keep []string
	for _, op := range ops {
		if op.Kind != KindEnd {
			keep = append(keep, fmt.Sprint(op.ID))
		}
	}
	return fmt.Sprintf("  replay: heaptest fuzz %s --seed %d --sequence %d --keep %s -- %s\n", r.flags, r.seed, n, strings.Join(keep, ","),
		strings.Join(r.pair.prefix, " "))
}
