package callers

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	places = 16
	queue  = 100
)

func newTenants() *Tenants[int] { return NewTenants[int](places, queue) }

func nothing() {}

// none is that nobody waited for the place.
func none(t *testing.T, ts *Tenants[int], tn *Tenant[int], wasStuck bool) {
	t.Helper()
	next, ok := ts.Leave(tn, wasStuck)
	assert.False(t, ok, next)
}

// occupy takes all places of a tenant.
func occupy(t *testing.T, ts *Tenants[int], key string) *Tenant[int] {
	t.Helper()
	var tn *Tenant[int]
	for i := range places {
		var verdict Admission
		tn, verdict = ts.Enter(key, i, nothing)
		require.Equal(t, Admitted, verdict)
	}
	return tn
}

func TestATenantIsAUserAndItsCgroup(t *testing.T) {
	ts := newTenants()
	first := TenantKey(1000, "0::/a\n")
	occupy(t, ts, first)
	told := 0
	_, verdict := ts.Enter(first, 0, func() { told++ })
	assert.Equal(t, Queued, verdict)
	assert.Equal(t, 1, told)
	for _, other := range []string{TenantKey(1001, "0::/a\n"), TenantKey(1000, "0::/b\n"), TenantKey(-1, "")} {
		tn, verdict := ts.Enter(other, 0, nothing)
		assert.Equal(t, Admitted, verdict, "another tenant does not wait: %q", other)
		none(t, ts, tn, false)
	}
	assert.Len(t, ts.all, 1, "a tenant without calls is forgotten")
}

func TestWaitingCallsGetTheirTurnInOrder(t *testing.T) {
	ts := newTenants()
	tn := occupy(t, ts, "a")
	for c := range 3 {
		_, verdict := ts.Enter("a", c, nothing)
		require.Equal(t, Queued, verdict)
	}
	for c := range 3 {
		next, ok := ts.Leave(tn, false)
		assert.True(t, ok)
		assert.Equal(t, c, next)
		assert.Equal(t, places, tn.busy, "the place is handed on")
	}
	for range places {
		none(t, ts, tn, false)
	}
	assert.Empty(t, ts.all)
}

func TestAFullQueueRefuses(t *testing.T) {
	ts := newTenants()
	tn := occupy(t, ts, "a")
	for c := range queue {
		_, verdict := ts.Enter("a", c, nothing)
		require.Equal(t, Queued, verdict)
	}
	_, verdict := ts.Enter("a", 0, nothing)
	assert.Equal(t, Refused, verdict)
	_, ok := ts.Leave(tn, false)
	assert.True(t, ok)
	_, verdict = ts.Enter("a", 0, nothing)
	assert.Equal(t, Queued, verdict, "one has left")
}

func TestWhenAllAreStuckNobodyWaits(t *testing.T) {
	ts := newTenants()
	tn := occupy(t, ts, "a")
	for range places - 1 {
		assert.Empty(t, ts.GiveUp(tn), "one still works")
	}
	ts.Enter("a", 101, nothing)
	ts.Enter("a", 102, nothing)
	assert.Equal(t, []int{101, 102}, ts.GiveUp(tn), "to be refused")
	_, verdict := ts.Enter("a", 0, nothing)
	assert.Equal(t, Refused, verdict)
	other, verdict := ts.Enter("b", 0, nothing)
	assert.Equal(t, Admitted, verdict, "another tenant")
	none(t, ts, other, false)

	none(t, ts, tn, true) // a page came after all
	_, verdict = ts.Enter("a", 0, nothing)
	assert.Equal(t, Admitted, verdict)
	_, verdict = ts.Enter("a", 0, nothing)
	assert.Equal(t, Queued, verdict, "one place works, so that there is hope")
}

func TestAllStuckCallsMayComeBack(t *testing.T) {
	ts := newTenants()
	tn := occupy(t, ts, "a")
	for range places {
		ts.GiveUp(tn)
	}
	for range places {
		none(t, ts, tn, true)
	}
	assert.Zero(t, tn.stuck)
	assert.Empty(t, ts.all)
}
