package seccomp

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/heapnodes"
)

func newTenants() *tenants { return &tenants{all: map[string]*tenant{}} }

func callOf(uid int, cgroup string) *call {
	return &call{door: &Door{threads: &threads{}}, id: heapnodes.Identity{UID: uid}, thread: &thread{dir: -1, comm: -1, cgroup: cgroup}}
}

// occupy takes all places of a tenant.
func occupy(t *testing.T, ts *tenants, c *call) *tenant {
	t.Helper()
	var tn *tenant
	for range maxPerTenant {
		var verdict admission
		tn, verdict = ts.enter(c)
		require.Equal(t, admitted, verdict)
	}
	return tn
}

func TestATenantIsAUserAndItsCgroup(t *testing.T) {
	ts := newTenants()
	occupy(t, ts, callOf(1000, "0::/a\n"))
	_, verdict := ts.enter(callOf(1000, "0::/a\n"))
	assert.Equal(t, queued, verdict)
	for _, other := range []*call{callOf(1001, "0::/a\n"), callOf(1000, "0::/b\n"), callOf(-1, "")} {
		tn, verdict := ts.enter(other)
		assert.Equal(t, admitted, verdict, "another tenant does not wait: %v %q", other.id.UID, other.thread.cgroup)
		assert.Nil(t, ts.leave(tn, false))
	}
	assert.Len(t, ts.all, 1, "a tenant without calls is forgotten")
}

func TestWaitingCallsGetTheirTurnInOrder(t *testing.T) {
	ts := newTenants()
	tn := occupy(t, ts, callOf(1, ""))
	var waiting []*call
	for range 3 {
		c := callOf(1, "")
		_, verdict := ts.enter(c)
		require.Equal(t, queued, verdict)
		waiting = append(waiting, c)
	}
	for _, c := range waiting {
		assert.Same(t, c, ts.leave(tn, false))
		assert.Equal(t, maxPerTenant, tn.busy, "the place is handed on")
	}
	for range maxPerTenant {
		assert.Nil(t, ts.leave(tn, false))
	}
	assert.Empty(t, ts.all)
}

func TestAFullQueueRefuses(t *testing.T) {
	ts := newTenants()
	tn := occupy(t, ts, callOf(1, ""))
	for range maxQueue {
		_, verdict := ts.enter(callOf(1, ""))
		require.Equal(t, queued, verdict)
	}
	_, verdict := ts.enter(callOf(1, ""))
	assert.Equal(t, refused, verdict)
	assert.NotNil(t, ts.leave(tn, false))
	_, verdict = ts.enter(callOf(1, ""))
	assert.Equal(t, queued, verdict, "one has left")
}

func TestWhenAllAreStuckNobodyWaits(t *testing.T) {
	ts := newTenants()
	tn := occupy(t, ts, callOf(1, ""))
	first, second := callOf(1, ""), callOf(1, "")
	for range maxPerTenant - 1 {
		assert.Empty(t, ts.giveUp(tn), "one still works")
	}
	ts.enter(first)
	ts.enter(second)
	assert.Equal(t, []*call{first, second}, ts.giveUp(tn), "to be refused")
	_, verdict := ts.enter(callOf(1, ""))
	assert.Equal(t, refused, verdict)
	other, verdict := ts.enter(callOf(2, ""))
	assert.Equal(t, admitted, verdict, "another tenant")
	ts.leave(other, false)

	assert.Nil(t, ts.leave(tn, true), "a page came after all")
	_, verdict = ts.enter(callOf(1, ""))
	assert.Equal(t, admitted, verdict)
	_, verdict = ts.enter(callOf(1, ""))
	assert.Equal(t, queued, verdict, "one place works, so that there is hope")
}

func TestAllStuckCallsMayComeBack(t *testing.T) {
	ts := newTenants()
	tn := occupy(t, ts, callOf(1, ""))
	for range maxPerTenant {
		ts.giveUp(tn)
	}
	for range maxPerTenant {
		assert.Nil(t, ts.leave(tn, true))
	}
	assert.Zero(t, tn.stuck)
	assert.Empty(t, ts.all)
}
