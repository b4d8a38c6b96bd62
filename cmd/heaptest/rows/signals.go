package rows

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
)

// underSignals allocates while a timer interrupts the process every 50 µs and the handler does not restart calls: at the end "0",
// or "EINTR" if ever a call was interrupted.
func underSignals(c *Case) string {
	heap := c.RW()
	must("sigaction", sys.WithoutRestart(unix.SIGALRM))
	interval := unix.Itimerval{Interval: unix.Timeval{Usec: 50}, Value: unix.Timeval{Usec: 50}}
	_, err := unix.Setitimer(unix.ITIMER_REAL, interval)
	must("setitimer", err)
	defer func() {
		_, err := unix.Setitimer(unix.ITIMER_REAL, unix.Itimerval{})
		must("setitimer", err)
	}()
	// Where an ALLOC takes a process of its own to answer, fewer have to do.
	for n, began := 0, time.Now(); n < 20000 && time.Since(began) < 2*time.Second; n++ {
		fd, err := sys.HeapAlloc(heap, 1, unix.O_CLOEXEC)
		if err != nil {
			return errName(err)
		}
		sys.Close(fd)
	}
	return "0"
}
