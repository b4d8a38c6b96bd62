package ptrace

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/heapfs/heapfs/internal/sys"
)

// crowdEvery is how long a processor is looked at before it is said whether others want it. To share one with somebody who computes costs more
// than to take turns with the injection.
const crowdEvery = 100 * time.Millisecond

// crowd is what others do on the processor that this process has.
type crowd struct {
	idle func(cpu int) (time.Duration, error) // how long a processor has been
	ran  func() time.Duration                 // how long this process has

	in         bool // since is that of a processor
	since      usage
	took, work time.Duration // looked at since the last verdict, and what of it others had
	unknown    bool          // the kernel did not say
	until      time.Time     // it is taken to be crowded
	next       time.Duration // for how long it will be
}

// usage is what a processor and this process have done until some time.
type usage struct {
	cpu       int
	at        time.Time
	idle, ran time.Duration
}

func newCrowd() crowd { return crowd{idle: idleTime, ran: sys.ProcessTime, next: crowdedFor} }

func (c *crowd) usage(cpu int) (usage, error) {
	idle, err := c.idle(cpu)
	return usage{cpu, time.Now(), idle, c.ran()}, err
}

// enter begins to look at a processor, which this process has from now on.
func (c *crowd) enter(cpu int) (err error) {
	c.since, err = c.usage(cpu)
	c.in = err == nil
	return err
}

// leave ends that. What was done there since the last look does not count: as a rule the caller had come there.
func (c *crowd) leave() { c.in = false }

// add notes what was done since the last look.
func (c *crowd) add() {
	if !c.in {
		return
	}
	now, err := c.usage(c.since.cpu)
	if err != nil {
		c.unknown = true
		return
	}
	took := now.at.Sub(c.since.at)
	c.took += took
	c.work += took - (now.idle - c.since.idle) - (now.ran - c.since.ran)
	c.since = now
}

// look says, once it can be told, whether others have had a good part of the processor, or the kernel does not say, and how long it is best
// left to them then.
func (c *crowd) look(now time.Time) (wait time.Duration, crowded bool) {
	c.add()
	if c.took < crowdEvery && !c.unknown {
		return 0, false
	}
	crowded = c.unknown || c.work > c.took/4
	c.took, c.work, c.unknown = 0, 0, false
	if !crowded {
		c.next = crowdedFor
		return 0, false
	}
	wait = c.next
	c.next = min(2*c.next, longest)
	c.until = now.Add(wait)
	return wait, true
}

// idleTime is how long a processor has had nothing to do since the machine's start, to 10 ms (/proc/stat).
func idleTime(cpu int) (time.Duration, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	return idleIn(stat, cpu)
}

func idleIn(stat []byte, cpu int) (time.Duration, error) {
	for line := range bytes.Lines(stat) {
		fields := bytes.Fields(line)
		if len(fields) < 6 || string(fields[0]) != "cpu"+strconv.Itoa(cpu) {
			continue
		}
		idle, err := strconv.ParseInt(string(fields[4]), 10, 64)
		wait, werr := strconv.ParseInt(string(fields[5]), 10, 64) // it waits for a disk, and could do something else
		const tick = 10 * time.Millisecond                        // USER_HZ
		return time.Duration(idle+wait) * tick, errors.Join(err, werr)
	}
	return 0, fmt.Errorf("/proc/stat shows no processor %d", cpu)
}
