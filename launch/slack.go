package launch

import (
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/psx"
)

// timerSlack is how much later than asked the kernel may wake a thread of a server or an agent, so that it does so along with others. It is meant for
// the Go runtime's monitor, which sleeps for 20 µs at a time while anything runs: with the 50 µs that are usual its waking took a
// quarter of the server's processor time in an ALLOC, and the caller's processor now and then. Nothing here needs a timer to be that
// exact. With twice as much, ALLOCs take longer again: then the other processor is idle so often that the kernel moves the caller there between
// one stop and the next, and wakes it up each time.
const timerSlack = 200 * time.Microsecond

// slackTimers sets that for all threads of this process, and with them for those that they start, and for the agent.
func slackTimers() {
	if _, _, errno := psx.Syscall3(unix.SYS_PRCTL, unix.PR_SET_TIMERSLACK, uintptr(timerSlack.Nanoseconds()), 0); errno != 0 {
		slog.Debug("the monitor of threads wakes more often than needed", "error", os.NewSyscallError("prctl PR_SET_TIMERSLACK", errno))
	}
}
