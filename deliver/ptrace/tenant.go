package ptrace

import (
	"sync"
	"time"

	"github.com/heapfs/heapfs/heapnodes"
)

// tenants keep one user's callers from taking all the places. A tenant is a user and its control group.
type tenants struct {
	mu  sync.Mutex
	all map[string]*tenant
}

type tenant struct {
	key    string
	users  int // those that have a place or wait for one
	stuck  int // places of callers that were given up and whose memory has not answered yet
	places chan struct{}
}

// enter waits for a place, which leave gives back. heapnodes.ErrBusy if after that long none of the places is of use to anybody; else
// the wait goes on, for those who have one are only slow.
func (ts *tenants) enter(key string, wait time.Duration) (*tenant, error) {
	ts.mu.Lock()
	t := ts.all[key]
	if t == nil {
		t = &tenant{key: key, places: make(chan struct{}, maxPerTenant)}
		ts.all[key] = t
	}
	t.users++
	ts.mu.Unlock()
	select {
	case t.places <- struct{}{}:
		return t, nil
	default:
	}
	late := time.NewTicker(wait)
	defer late.Stop()
	for {
		select {
		case t.places <- struct{}{}:
			return t, nil
		case <-late.C:
		}
		if ts.allStuck(t) {
			ts.drop(t)
			return nil, heapnodes.ErrBusy
		}
	}
}

func (ts *tenants) allStuck(t *tenant) bool {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return t.stuck >= maxPerTenant
}

// giveUp notes that a place is of no use until leaveStuck.
func (ts *tenants) giveUp(t *tenant) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t.stuck++
}

func (ts *tenants) leaveStuck(t *tenant) {
	ts.mu.Lock()
	t.stuck--
	ts.mu.Unlock()
	ts.leave(t)
}

func (ts *tenants) leave(t *tenant) {
	<-t.places
	ts.drop(t)
}

func (ts *tenants) drop(t *tenant) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if t.users--; t.users == 0 {
		delete(ts.all, t.key)
	}
}
