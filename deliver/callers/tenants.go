package callers

import (
	"strconv"
	"sync"
)

// Tenants keep one user's bad memory from stopping the calls of others. A tenant is a user and its cgroup. C is what a door calls a
// call.
type Tenants[C any] struct {
	places, queue int

	mu  sync.Mutex
	all map[string]*Tenant[C]
}

// Tenant is one of them.
type Tenant[C any] struct {
	key   string
	busy  int // calls that are worked on, the stuck ones included
	stuck int // those that were answered without waiting any longer
	queue []C
}

// NewTenants gives each tenant that many places for calls that are worked on at once, and for calls that wait for one. Each call may
// wait for a page of the caller's that never comes, which nothing but the end of the server can interrupt.
func NewTenants[C any](places, queue int) *Tenants[C] {
	return &Tenants[C]{places: places, queue: queue, all: map[string]*Tenant[C]{}}
}

// TenantKey names the tenant of a user and the text of a cgroup file.
func TenantKey(uid int, cgroup string) string { return strconv.Itoa(uid) + " " + cgroup }

// Admission is the answer to a call that wants to be worked on.
type Admission int

// The answers. What is Queued comes out of a Leave, to be worked on, or of a GiveUp, to be refused.
const (
	Admitted Admission = iota
	Queued
	Refused
)

// Enter asks to work on a call. queued is called before anybody else can see it in the queue.
func (ts *Tenants[C]) Enter(key string, c C, queued func()) (*Tenant[C], Admission) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t := ts.all[key]
	if t == nil {
		t = &Tenant[C]{key: key}
		ts.all[key] = t
	}
	switch {
	case t.busy < ts.places:
		t.busy++
		return t, Admitted
	case t.stuck >= ts.places || len(t.queue) >= ts.queue:
		return t, Refused
	default:
		queued()
		t.queue = append(t.queue, c)
		return t, Queued
	}
}

// Leave ends the work on a call. If another one waits, it is given, with the place.
func (ts *Tenants[C]) Leave(t *Tenant[C], wasStuck bool) (next C, ok bool) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if wasStuck {
		t.stuck--
	}
	if len(t.queue) > 0 {
		var none C
		next = t.queue[0]
		t.queue[0] = none
		t.queue = t.queue[1:]
		return next, true
	}
	if t.busy--; t.busy == 0 {
		delete(ts.all, t.key)
	}
	return next, false
}

// GiveUp notes that a call is stuck. When all of a tenant's are, those that wait for their turn are returned, to be refused.
func (ts *Tenants[C]) GiveUp(t *Tenant[C]) []C {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t.stuck++
	if t.stuck < ts.places {
		return nil
	}
	waiting := t.queue
	t.queue = nil
	return waiting
}
