package launch

import (
	"log/slog"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
)

// ofTwo is how many processors there are where the server of a mount keeps to one.
const ofTwo = 2

// processors are where this process was started to run, and where its server keeps to.
type processors struct {
	home, own unix.CPUSet
}

// chooseProcessors has the server of a mount keep to one of two processors, the last. A caller then finds the other one free for itself and the
// agent, whose two dozen switches wait for each other: on two, the server's threads would take turns with these, and make the kernel move
// the caller from one to the other in the middle. Programs that are not bound to the last one go where there is room. More processors than two
// have an idle one, as a rule, and are all used. This is decided once, so that a processor that is added later is not used.
func chooseProcessors() processors {
	var p processors
	if err := unix.SchedGetaffinity(0, &p.home); err != nil {
		slog.Debug("the server may run anywhere", "error", os.NewSyscallError("sched_getaffinity", err))
		return p
	}
	p.own = lastOf(p.home)
	if p.own == p.home {
		return p
	}
	if errno := sys.Confine(&p.own); errno != 0 {
		slog.Debug("the server may run anywhere", "error", os.NewSyscallError("sched_setaffinity", errno))
		p.own = p.home
	}
	return p
}

// lastOf is the last of two processors, or all if there are not two.
func lastOf(set unix.CPUSet) unix.CPUSet {
	if set.Count() != ofTwo {
		return set
	}
	for cpu := 0; set.Count() > 1; cpu++ {
		set.Clear(cpu)
	}
	return set
}

// atHome starts something that is to run where this process was started to.
func (p *processors) atHome(start func() error) error {
	if p.own == p.home {
		return start()
	}
	runtime.LockOSThread() // no other thread is started by it meanwhile
	defer runtime.UnlockOSThread()
	if err := unix.SchedSetaffinity(0, &p.home); err != nil { // it may not run there any more
		slog.Debug("it runs where the server does", "error", os.NewSyscallError("sched_setaffinity", err))
		return start()
	}
	err := start()
	if err := unix.SchedSetaffinity(0, &p.own); err != nil { // it may run anywhere then; nothing is lost but time
		slog.Debug("a thread of the server may run anywhere", "error", os.NewSyscallError("sched_setaffinity", err))
	}
	return err
}
