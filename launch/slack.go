package launch

import (
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/psx"
)

const (
	// timerSlack is how much later than asked the kernel may wake a thread of mount's server or its agent. It is meant for the Go runtime's
	// monitor, which sleeps for 20 µs at a time while anything runs: with the kernel's 50 µs its waking was a quarter of the server's processor
	// time in an ALLOC, and interrupted the caller's processor. Nothing here needs a timer to be exact.
	timerSlack = time.Millisecond
	// mountProcs is how many Go threads of the server may run at once at the least. That many threads keep their slots while the kernel has
	// no request for them; the monitor, who would take these away, comes late now.
	mountProcs = 16
)

// slackTimers sets that for all threads of this process, and with them for those that they start, and for the agent.
func slackTimers() {
	if _, _, errno := psx.Syscall3(unix.SYS_PRCTL, unix.PR_SET_TIMERSLACK, uintptr(timerSlack.Nanoseconds()), 0); errno != 0 {
		slog.Debug("the monitor of threads wakes more often than needed", "error", os.NewSyscallError("prctl PR_SET_TIMERSLACK", errno))
	}
}
