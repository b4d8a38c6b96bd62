package seccomp

import (
	"strconv"
	"sync"
)

const (
	// maxPerTenant bounds the calls of one tenant that are worked on at once. Each may wait for a page of the caller's that
	// never comes, which nothing but the end of the server can interrupt.
	maxPerTenant = 16
	// maxQueue bounds the calls of one tenant that wait for their turn.
	maxQueue = 4096
)

// tenants keep one user's bad memory from stopping the calls of others. A tenant is a user and its cgroup.
type tenants struct {
	mu  sync.Mutex
	all map[string]*tenant
}

type tenant struct {
	key   string
	busy  int // calls that are worked on, the stuck ones included
	stuck int // those that were answered without waiting any longer
	queue []*call
}

func tenantKey(c *call) string { return strconv.Itoa(c.id.UID) + " " + c.thread.cgroup }

type admission int

const (
	admitted admission = iota
	queued
	refused
)

// enter asks to work on a call.
func (ts *tenants) enter(c *call) (*tenant, admission) {
	key := tenantKey(c)
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t := ts.all[key]
	if t == nil {
		t = &tenant{key: key}
		ts.all[key] = t
	}
	switch {
	case t.busy < maxPerTenant:
		t.busy++
		return t, admitted
	case t.stuck >= maxPerTenant || len(t.queue) >= maxQueue:
		return t, refused
	default:
		// It is resolved anew when its turn comes, and holds no descriptor until then.
		c.release()
		t.queue = append(t.queue, c)
		return t, queued
	}
}

// leave ends the work on a call and gives the tenant's next one, or nil.
func (ts *tenants) leave(t *tenant, wasStuck bool) *call {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if wasStuck {
		t.stuck--
	}
	if len(t.queue) > 0 {
		next := t.queue[0]
		t.queue[0] = nil
		t.queue = t.queue[1:]
		return next
	}
	if t.busy--; t.busy == 0 {
		delete(ts.all, t.key)
	}
	return nil
}

// giveUp notes that a call is stuck. When all of a tenant's are, those that wait for their turn are returned, to be refused.
func (ts *tenants) giveUp(t *tenant) []*call {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t.stuck++
	if t.stuck < maxPerTenant {
		return nil
	}
	waiting := t.queue
	t.queue = nil
	return waiting
}
