package heapnodes

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Fault is a failure on demand: what `--fault HEAP:ACTION` says. It acts on the path of a real failure.
type Fault struct {
	// Heap is the name of a heap (all its nodes), of one node, or "*".
	Heap string
	// Err is what an ALLOC ends with: one of the ABI's errors. Nil for the other actions.
	Err error
	// At fails the At-th ALLOC only, counted from 1; Every fails each Every-th. Both 0: every one.
	At, Every uint64
	// Delay is added to each ALLOC.
	Delay time.Duration
	// Fragment, if not nil, is the seed with which the heap's pool is fragmented at the start.
	Fragment *uint64

	spec  string
	count *atomic.Uint64
}

// faultErrors are the errors that an ALLOC can end with on a kernel.
var faultErrors = map[string]error{
	"EINVAL": ErrInvalid,
	"EFAULT": ErrFault,
	"ENOMEM": ErrNoMemory,
	"EINTR":  ErrInterrupted,
	"EMFILE": ErrCallerFiles,
	"ENFILE": ErrSystemFiles,
}

// faultForms is what an error message shows.
const faultForms = "HEAP:alloc=ERRNO[@N|@every=N], HEAP:delay=DURATION or HEAP:fragment=SEED"

// ParseFault reads one specification:
//
//	system:alloc=ENOMEM@3        the third ALLOC fails
//	system:alloc=EINTR@every=10  each tenth fails
//	linux,cma:alloc=ENOMEM       each fails
//	*:delay=5ms                  each takes 5 ms longer
//	linux,cma:fragment=7         the pool is in pieces from the start
func ParseFault(spec string) (Fault, error) {
	bad := func(format string, args ...any) (Fault, error) {
		return Fault{}, fmt.Errorf("fault %q: %s; expected %s", spec, fmt.Sprintf(format, args...), faultForms)
	}
	// A heap's name may hold a colon, an action can't.
	colon := strings.LastIndexByte(spec, ':')
	if colon <= 0 {
		return bad("no HEAP:")
	}
	f := Fault{Heap: spec[:colon], spec: spec, count: new(atomic.Uint64)}
	key, value, ok := strings.Cut(spec[colon+1:], "=")
	if !ok {
		return bad("no = in the action")
	}
	var err error
	switch key {
	case "alloc":
		name, when, timed := strings.Cut(value, "@")
		if f.Err, ok = faultErrors[name]; !ok {
			return bad("%q is none of %s", name, strings.Join(slices.Sorted(maps.Keys(faultErrors)), ", "))
		}
		if !timed {
			return f, nil
		}
		n, every := strings.CutPrefix(when, "every=")
		count, err := strconv.ParseUint(n, 10, 32)
		if err != nil || count == 0 {
			return bad("%q is no count from 1", n)
		}
		if every {
			f.Every = count
		} else {
			f.At = count
		}
	case "delay":
		if f.Delay, err = time.ParseDuration(value); err != nil || f.Delay < 0 || f.Delay > time.Hour {
			return bad("%q is no duration from 0 to 1h", value)
		}
	case "fragment":
		seed, err := strconv.ParseUint(value, 0, 64)
		if err != nil {
			return bad("%q is no seed (a number of 64 bits)", value)
		}
		f.Fragment = &seed
	default:
		return bad("no action %q", key)
	}
	return f, nil
}

// matches reports whether the fault is meant for a node.
func (f Fault) matches(n *Node) bool {
	return f.Heap == "*" || f.Heap == n.Name || f.Heap == n.heap.name
}

// strike counts an ALLOC and returns the error that it shall end with, or nil.
func (f Fault) strike() error {
	if f.Err == nil {
		return nil
	}
	n := f.count.Add(1)
	if f.At != 0 && n != f.At || f.Every != 0 && n%f.Every != 0 {
		return nil
	}
	return fmt.Errorf("%w (fault %s, ALLOC %d)", f.Err, f.spec, n)
}
