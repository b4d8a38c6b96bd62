package ptrace

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// crowdEvery is how often it is asked whether others want the processor that this process has. To share one with somebody who computes costs more
// than to take turns with the injection.
const crowdEvery = 100 * time.Millisecond

// usage is what a processor and this process have done until some time.
type usage struct {
	cpu       int
	at        time.Time
	idle, ran time.Duration
}

func (a *apart) usage(cpu int, at time.Time) (usage, error) {
	idle, err := a.idle(cpu)
	return usage{cpu, at, idle, a.ran()}, err
}

// crowded is whether others have had a good part of the processor that this process has; it takes some time to tell. Where the kernel does not
// say, it is.
func (a *apart) crowded(now time.Time) (crowded, told bool) {
	took := now.Sub(a.since.at)
	if took < crowdEvery {
		return false, false
	}
	until, err := a.usage(a.since.cpu, now)
	if err != nil {
		return true, true
	}
	others := took - (until.idle - a.since.idle) - (until.ran - a.since.ran)
	a.since = until
	return others > took/5, true
}

// isCrowded is whether there are others who want a processor, as far as is known.
func (a *apart) isCrowded() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return time.Now().Before(a.crowd)
}

func firstOf(set *unix.CPUSet) int {
	cpu := 0
	for !set.IsSet(cpu) {
		cpu++
	}
	return cpu
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
