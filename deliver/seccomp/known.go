package seccomp

import (
	"github.com/heapfs/heapfs/heapnodes"
	"github.com/heapfs/heapfs/internal/sys"
)

// maxLearning bounds the attempts to come to know a descriptor that go on at once, in all: each may wait for a file that a caller put
// in the place of ours.
const maxLearning = 8

// learnAt is the call in a row on one descriptor that makes it worth being known: many programs make one only.
const learnAt = 2

// habit is what a thread did last, for guesses at what it does next. They may be wrong.
type habit struct {
	fd        uint32 // the descriptor that it called with
	calls     int    // how often in a row
	installed int    // the number that its last ALLOC got, 0 for none
	step      int    // how much that was above the one before
}

// uses notes a call on descriptor fd.
func (h *habit) uses(fd uint32) {
	if h.fd != fd {
		h.fd, h.calls = fd, 0
	}
	h.calls++
}

// got notes the number that an ALLOC was given.
func (h *habit) got(fd int) {
	h.step, h.installed = fd-h.installed, fd
}

// next is the number after that, 0 for none. Most programs have either one buffer at a time or a set of them, made in a row.
func (h *habit) next() int {
	if h.installed != 0 && (h.step == 0 || h.step == 1) {
		return h.installed + h.step
	}
	return 0
}

// known is a heap node that a thread has open, with a copy of that very open. As long as the thread's descriptor is the same open, it
// need not be asked what it is.
type known struct {
	fd   uint32 // the thread's
	own  int    // ours
	node *heapnodes.Node
}

// recall gives the node behind the thread's descriptor fd, nil if that is not known.
func (t *thread) recall(fd uint32) *heapnodes.Node {
	k := t.known.Load()
	if k == nil || k == ended || k.fd != fd || !sys.SameFile(t.TID, fd, k.own) {
		return nil
	}
	return k.node
}

// keep takes what was learned, unless the view has ended or knows something by now.
func (t *thread) keep(k *known) {
	if !t.known.CompareAndSwap(nil, k) {
		sys.Close(k.own)
	}
}

// forget gives up what is known, and with then = ended, for ever. Only the call that the view belongs to may do it: recall works with
// the descriptor.
func (t *thread) forget(then *known) {
	if k := t.known.Swap(then); k != nil && k != ended {
		sys.Close(k.own)
	}
}

// ended stands in the place of what a closed view knows.
var ended = &known{own: -1}

// learner comes to know descriptors, a few at once.
type learner chan struct{}

func newLearner() learner { return make(learner, maxLearning) }

// learn gives the view t the heap node that its thread has open as descriptor fd. It is done aside from any call: meanwhile the
// descriptor may have become a file of another kind, and to close our copy of that may take as long as its maker likes.
func (l learner) learn(t *thread, fd uint32, node func(sys.FileID) *heapnodes.Node) {
	select {
	case l <- struct{}{}:
	default:
		return
	}
	pid, tid := t.TGID, t.TID
	go func() {
		defer func() { <-l }()
		own, err := sys.CopyFD(pid, fd)
		if err != nil {
			return // not allowed to, or no longer there: it is asked what it is each time
		}
		id, path, err := sys.Stat(own)
		if err == nil && !path {
			// A thread may have descriptors of its own, which the process's leader does not share.
			if n := node(id); n != nil && sys.SameFile(tid, fd, own) {
				t.keep(&known{fd: fd, own: own, node: n})
				return
			}
		}
		sys.Close(own)
	}()
}
