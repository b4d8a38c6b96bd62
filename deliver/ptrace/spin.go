package ptrace

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
)

// spinFor is how long the agent's answer is waited for without sleep. It comes sooner, as a rule.
const spinFor = 400 * time.Microsecond

// spin waits for a message about a thread at a socket, for a short time, if nobody else has a call under way. That saves a waking, and more:
// beside an idle processor the kernel moves the caller there between one stop and the next, away from the agent, and then each of two dozen
// switches wakes a processor (measured with two). A thread that spins keeps one from being idle; others that want it get their share.
func (d *Door) spin(sock, tid int) {
	if runtime.NumCPU() == 1 { // of those that there were at the start, wherever this process keeps to
		return
	}
	most := d.alone(tid)
	if most == 0 {
		return
	}
	if cpu, err := processorOf(tid); err != nil || cpu == sys.Processor() {
		return // that one is for the caller and the agent
	}
	fds := []unix.PollFd{{Fd: int32(sock), Events: unix.POLLIN}}
	for until := time.Now().Add(spinFor); len(d.sessions) <= most && time.Now().Before(until); {
		if n, err := unix.Poll(fds, 0); n != 0 || err != nil {
			return
		}
	}
}

// alone is how many sessions there may be while thread tid is the only caller, or 0 if it is not: its last ones may not be over yet. Those that
// hang do not count.
func (d *Door) alone(tid int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	most := 1
	for _, v := range d.leaving {
		switch {
		case v.stuck:
		case v.tid != tid:
			return 0
		default:
			most++
		}
	}
	if len(d.sessions) > most {
		return 0
	}
	return most
}
