package doctor

import (
	"context"
	"fmt"
	"runtime"

	"github.com/heapfs/heapfs/internal/sys"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// trappedCommand is DMA_HEAP_IOCTL_ALLOC: the very call that heapfs traps.
const trappedCommand = 0xc0184800

var seccompProbes = []string{
	"seccomp-listener", "seccomp-wait-killable", "seccomp-addfd", "seccomp-sync-wakeup",
}

func probeSeccomp(ctx context.Context, _ host) []finding {
	return runChild(ctx, 0, seccompProbes, roleSeccomp)
}

// trapFilter notifies of ioctl with the given low 32 bits of the command and
// lets everything else through. The offsets are those of struct seccomp_data
// on a little-endian machine.
func trapFilter(cmd uint32) ([]bpf.RawInstruction, error) {
	return bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 0, Size: 4}, // nr
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.SYS_IOCTL, SkipTrue: 3},
		bpf.LoadAbsolute{Off: 24, Size: 4}, // args[1], low half
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: cmd, SkipTrue: 1},
		bpf.RetConstant{Val: unix.SECCOMP_RET_USER_NOTIF},
		bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW},
	})
}

// seccompRole puts one thread below a filter and answers it from another, as
// heapfs run does from another process.
func seccompRole([]string) []finding {
	filter, err := trapFilter(trappedCommand)
	if err != nil {
		return allUnknown(seccompProbes, err.Error())
	}
	memfd, err := sys.Memfd("heapfs-doctor")
	if err != nil {
		return allUnknown(seccompProbes, err.Error())
	}
	opened := make(chan listening)
	called := make(chan error, 1)
	go trappedThread(filter, memfd, opened, called)

	l := <-opened
	if l.err != nil {
		f := fails("seccomp-listener", "install a listener", l.err)
		return append([]finding{f}, notReached(f, seccompProbes[1:]...)...)
	}
	found := []finding{works("seccomp-listener", "a listener installed on a thread")}
	if l.killable == nil {
		found = append(found, works("seccomp-wait-killable", "the listener takes WAIT_KILLABLE_RECV"))
	} else {
		found = append(found, fails("seccomp-wait-killable",
			"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", l.killable))
	}
	const wakeUp = "seccomp-sync-wakeup"
	if err := sys.NotifSyncWakeUp(l.fd); err != nil {
		found = append(found, fails(wakeUp, "SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP", err))
	} else {
		found = append(found, works(wakeUp, "the listener takes FD_SYNC_WAKE_UP"))
	}
	return append(found, deliver(l.fd, memfd, called))
}

// listening is what the trapped thread got: a listener, and why it is not a
// killable one.
type listening struct {
	fd       int
	err      error
	killable error
}

// trappedThread installs the filter on itself alone, then makes the trapped
// call and looks for the file that the answer should have installed.
func trappedThread(filter []bpf.RawInstruction, memfd int, opened chan<- listening, called chan<- error) {
	runtime.LockOSThread() // never unlocked: the filter must not reach other goroutines
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		opened <- listening{err: err}
		return
	}
	var l listening
	if l.fd, l.killable = sys.InstallListener(filter); l.killable != nil {
		l.fd, l.err = sys.ProbeInstallListener(filter, 0)
	}
	opened <- l
	if l.err != nil {
		return
	}
	called <- sys.ProbeCall(memfd, trappedCommand)
}

// deliver answers the trapped call with a descriptor and checks that it is
// there.
func deliver(listener, memfd int, called <-chan error) finding {
	const name = "seccomp-addfd"
	var n sys.Notif
	for {
		errno := sys.NotifRecv(listener, &n)
		if errno == 0 {
			break
		}
		if errno != unix.EINTR && errno != unix.ENOENT {
			return fails(name, "receive the notification", errno)
		}
	}
	if n.TID == 0 {
		return finding{Name: name, Detail: "the notification names no thread of this pid namespace"}
	}
	if errno := sys.NotifValid(listener, n.ID); errno != 0 {
		return fails(name, "SECCOMP_IOCTL_NOTIF_ID_VALID", errno)
	}
	fd, refusal := sys.NotifAddFD(listener, n.ID, memfd, true)
	if errno := sys.NotifSend(listener, n.ID, 0); errno != 0 {
		return fails(name, "answer the notification", errno)
	}
	if refusal != 0 {
		return fails(name, "SECCOMP_IOCTL_NOTIF_ADDFD", refusal)
	}
	if err := <-called; err != nil {
		return fails(name, "the trapped call", err)
	}
	if err := sameFile(memfd, fd); err != nil {
		return finding{Name: name, Detail: err.Error()}
	}
	return works(name, "a descriptor installed in a trapped ioctl")
}

// sameFile checks that two descriptors of this process are of one file.
func sameFile(a, b int) error {
	ida, err := sys.StatFD(a)
	if err != nil {
		return err
	}
	idb, err := sys.StatFD(b)
	if err != nil {
		return err
	}
	if a == b || ida != idb {
		return fmt.Errorf("descriptor %d is not the file that was sent", b)
	}
	return nil
}
