package launch

import (
	"fmt"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"
)

// serverCaps are what the server needs after its start: to look into callers of any user (of its user namespace), those that
// are not dumpable too.
var serverCaps = []cap.Value{cap.SYS_PTRACE, cap.DAC_READ_SEARCH}

// keepCaps gives up every capability but those in keep, in all threads.
func keepCaps(keep []cap.Value) error {
	have := cap.GetProc()
	want := cap.NewSet()
	for _, v := range keep {
		if ok, err := have.GetFlag(cap.Permitted, v); err != nil || !ok {
			continue
		}
		for _, flag := range []cap.Flag{cap.Permitted, cap.Effective} {
			if err := want.SetFlag(flag, true, v); err != nil {
				return fmt.Errorf("capability %v: %w", v, err)
			}
		}
	}
	if err := want.SetProc(); err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	return nil
}

// mayMount is whether this process may make mounts without a user namespace of its own.
func mayMount() bool {
	ok, err := cap.GetProc().GetFlag(cap.Effective, cap.SYS_ADMIN)
	return err == nil && ok
}

// ambientCaps are what server and stage of an ordinary user have in their user namespace; execve would take them from a user who
// is not root. The stage mounts and gives up both, the server keeps what serverCaps says.
var ambientCaps = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SYS_PTRACE}
