package ptrace

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/heapnodes"
	"github.com/heapfs/heapfs/internal/sys"
)

// syscallStop is the signal that stops at system calls are told by (PTRACE_O_TRACESYSGOOD).
const syscallStop = unix.SIGTRAP | 0x80

// call makes the stopped caller do a system call. A failure of the call itself is a bare errno.
func (s *session) call(nr uint64, args ...uint64) (int, error) {
	var a [6]uint64
	copy(a[:], args)
	if errno := sys.PtraceSetRegisters(s.TID, calling(s.regs, nr, a)); errno != 0 {
		return -1, s.lost("PTRACE_SETREGS", errno)
	}
	if err := s.toSyscall(); err != nil {
		return -1, err
	}
	if err := s.toSyscall(); err != nil {
		return -1, err
	}
	info, errno := sys.PtraceSyscallInfo(s.TID)
	if errno != 0 {
		return -1, s.lost("PTRACE_GET_SYSCALL_INFO", errno)
	}
	if info.Op != unix.PTRACE_SYSCALL_INFO_EXIT {
		return -1, fmt.Errorf("%w: call %d stopped with %d instead of at its end", heapnodes.ErrNoInstaller, nr, info.Op)
	}
	if info.Value < 0 && info.Value > -4096 {
		return -1, syscall.Errno(-info.Value)
	}
	return int(info.Value), nil
}

// toSyscall lets the caller go on to its next stop at a system call. All signals are blocked, but SIGSTOP can't be: it is passed on,
// and takes effect when the thread is let go.
func (s *session) toSyscall() error {
	sig := syscall.Signal(0)
	for {
		if errno := sys.PtraceSyscall(s.TID, sig); errno != 0 {
			return s.lost("PTRACE_SYSCALL", errno)
		}
		st, err := s.wait()
		if err != nil {
			return err
		}
		sig = st.StopSignal()
		switch {
		case isEventStop(st):
			sig = 0
		case sig == syscallStop:
			return nil
		}
	}
}

// block keeps signals from the caller.
func (s *session) block() error {
	mask, errno := sys.PtraceSigMask(s.TID)
	if errno != 0 {
		return s.lost("PTRACE_GETSIGMASK", errno)
	}
	if errno := sys.PtraceSetSigMask(s.TID, ^uint64(0)); errno != 0 {
		return s.lost("PTRACE_SETSIGMASK", errno)
	}
	s.mask, s.masked = mask, true
	s.at(stepBlocked)
	return nil
}

// closeTheirs has the caller close what is left of the injection.
func (s *session) closeTheirs() {
	fds := s.theirs
	s.theirs = nil
	// Two with neighbouring numbers need one call.
	if len(fds) == 2 && (fds[0]-fds[1] == 1 || fds[1]-fds[0] == 1) {
		if _, err := s.call(sysCloseRange, uint64(min(fds[0], fds[1])), uint64(max(fds[0], fds[1])), 0); err == nil {
			return
		}
	}
	for _, fd := range fds {
		if !s.traced {
			return
		}
		_, _ = s.call(sysClose, uint64(fd)) // it is ours and open, so nothing can be said against it
	}
}

// read and write move bytes between the agent and the stopped caller. Where process_vm_readv is refused, ptrace does it word by word.
func (s *session) read(p []byte, addr uint64) error {
	n, err := sys.ReadVM(s.TID, p, addr)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS) {
		n, err = unix.PtracePeekData(s.TID, uintptr(addr), p)
	}
	return all(n, len(p), err)
}

func (s *session) write(p []byte, addr uint64) error {
	n, err := sys.WriteVM(s.TID, p, addr)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS) {
		n, err = unix.PtracePokeData(s.TID, uintptr(addr), p)
	}
	return all(n, len(p), err)
}

func all(n, want int, err error) error {
	if err == nil && n != want {
		return unix.EFAULT
	}
	return err
}
