package seccomp

import (
	"sync/atomic"

	"github.com/heapfs/heapfs/deliver/callers"
)

const (
	// maxPerTenant bounds the calls of one tenant that are worked on at once.
	maxPerTenant = 16
	// maxQueue bounds the calls of one tenant that wait for their turn.
	maxQueue = 4096
)

// thread is the view of a caller, with what its earlier calls have taught.
type thread struct {
	*callers.Thread
	habit habit
	known atomic.Pointer[known]
}

func openThread(tid int) (*thread, error) {
	view, err := callers.OpenThread(tid)
	if err != nil {
		return nil, err
	}
	return &thread{Thread: view}, nil
}

// Close gives the view up, and the copy of a descriptor with it.
func (t *thread) Close() {
	t.forget(ended)
	t.Thread.Close()
}

func tenantKey(c *call) string { return callers.TenantKey(c.id.UID, c.thread.Cgroup) }
