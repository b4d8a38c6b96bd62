package heapnodes

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/devices"
	"github.com/heapfs/heapfs/heapnodes/events"
)

const (
	// minMembers and maxMembers are how many devices a set has.
	minMembers, maxMembers = 2, 8

	// MaxSets is how many sets get a node. A caller can name more sets than anybody can count, and each node stays for the life
	// of the instance: so there are as many as a kernel has minors for heaps.
	MaxSets = 128

	// Refused look-ups are told, as many as tellBurst at once and then one for each tellEvery: who looks up names in a loop must
	// not push everything else out of the stream.
	tellBurst = 32
	tellEvery = time.Second
)

// sets are the nodes of sets of devices, made when they are first looked up.
type sets struct {
	mu     sync.Mutex
	byName map[string]*Node // by canonical name

	told   int // refusals that were told and not yet paid off by time
	since  time.Time
	untold int // refusals that were not
}

// CanonicalSet gives the one name under which a set of devices has its node, for a name that may list them in any order. It reports
// false for a name that is no set of devices of this instance.
func (h *Heaps) CanonicalSet(name string) (string, bool) {
	names, err := h.members(name)
	return devices.CanonicalSet(names), err == nil
}

// members gives the devices of a set's name.
func (h *Heaps) members(name string) ([]string, error) {
	names := strings.Split(name, devices.SetSeparator)
	if n := len(names); n < minMembers || n > maxMembers {
		return nil, fmt.Errorf("%d devices: a set has %d to %d", n, minMembers, maxMembers)
	}
	_, err := h.cfg.Platform.Set(names)
	return names, err
}

// Set gives the node of a set of 2 to 8 devices, joined by + in any order: a view of the heap that serves them all, over its
// pool and quota. The same set has the same node. The error is an ErrNoSet with the reason, which the events tell too; door and who say
// by whom it was asked.
func (h *Heaps) Set(name, door string, who func() Identity) (*Node, error) {
	n, err := h.set(name)
	if err != nil {
		err = fmt.Errorf("%w: %v", ErrNoSet, err)
		h.lookupFailed(name, door, who, err)
		return nil, err
	}
	return n, nil
}

func (h *Heaps) set(name string) (*Node, error) {
	names, err := h.members(name)
	if err != nil {
		return nil, err
	}
	name = devices.CanonicalSet(names)
	h.sets.mu.Lock()
	defer h.sets.mu.Unlock()
	if n := h.sets.byName[name]; n != nil {
		return n, nil
	}
	members, err := h.cfg.Platform.Set(names)
	if err != nil {
		return nil, err
	}
	answer := devices.Negotiate(h.cfg.Platform.Heaps, members, devices.Ask{})
	if answer.Choice == nil {
		return nil, errors.New(answer.Why())
	}
	if len(h.sets.byName) >= MaxSets {
		return nil, fmt.Errorf("%d sets have nodes already, and there are no more", MaxSets)
	}
	n, err := h.view(*answer.Choice, name, members)
	if err != nil {
		return nil, err
	}
	if h.sets.byName == nil {
		h.sets.byName = map[string]*Node{}
	}
	h.sets.byName[name] = n
	return n, nil
}

// view makes a node over the heap of another one, for devices.
func (h *Heaps) view(of, name string, members []devices.Device) (*Node, error) {
	at := slices.IndexFunc(h.nodes, func(n *Node) bool { return n.Name == of })
	if at < 0 {
		return nil, fmt.Errorf("the choice is %q, which has no node", of)
	}
	n := &Node{Node: h.nodes[at].Node, heaps: h, heap: h.nodes[at].heap}
	n.Name, n.ExpName, n.Device, n.Alias, n.Limits = name, name, "", false, nil
	for i := range members {
		if l, ok := members[i].Limits(); ok {
			n.Limits = append(n.Limits, l)
		}
	}
	for _, f := range h.cfg.Faults {
		if f.matches(n) {
			n.faults = append(n.faults, f)
		}
	}
	return n, nil
}

// lookupFailed tells of a refused look-up, if not too many were told of late.
func (h *Heaps) lookupFailed(name, door string, who func() Identity, err error) {
	untold, ok := h.sets.tell(time.Now())
	if !ok {
		return
	}
	reason := err.Error()
	if untold > 0 {
		reason += fmt.Sprintf(" (%d more refusals were not told)", untold)
	}
	id := who()
	h.cfg.Events.Emit(events.Event{
		Event: events.LookupFailed, Door: door, Heap: name, PID: id.PID, TID: id.TID, UID: events.UID(id.UID), Comm: id.Comm,
		Errno: unix.ErrnoName(Errno(err)), Reason: reason,
	})
}

// tell reports whether a refusal may be told now, and how many before were not.
func (s *sets) tell(now time.Time) (untold int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	paid := int(now.Sub(s.since) / tellEvery)
	if s.told == 0 || paid >= s.told {
		s.told, s.since = 0, now
	} else {
		s.told -= paid
		s.since = s.since.Add(time.Duration(paid) * tellEvery)
	}
	if s.told >= tellBurst {
		s.untold++
		return 0, false
	}
	s.told++
	untold, s.untold = s.untold, 0
	return untold, true
}
