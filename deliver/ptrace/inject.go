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
//
// Between calls the caller is such that, should this process be killed, it makes its ioctl anew: back at the instruction, with that
// call's registers and its own signals. It is made to enter the ioctl, too, and only inside, at the stop before anything is done, the
// ioctl is exchanged for the call. So the time in which nobody may die is that of the call itself.
func (s *session) call(nr uint64, args ...uint64) (int, error) {
	var a [6]uint64
	copy(a[:], args)
	if errno := sys.PtraceSetSigMask(s.TID, ^uint64(0)); errno != 0 {
		return -1, s.lost("PTRACE_SETSIGMASK", errno)
	}
	s.masked = true
	if err := s.toSyscall(); err != nil {
		return -1, err
	}
	// Another thread may have changed the instruction: through the gate of 32-bit calls the number would be another call's.
	entry, errno := sys.PtraceSyscallInfo(s.TID)
	if errno != 0 {
		return -1, s.lost("PTRACE_GET_SYSCALL_INFO", errno)
	}
	changed := entry.Op != unix.PTRACE_SYSCALL_INFO_ENTRY || entry.Arch != nativeArch
	if changed {
		nr, a = ^uint64(0), [6]uint64{} // no call at all
	}
	if errno := sys.PtraceSetRegisters(s.TID, entering(s.regs, nr, a)); errno != 0 {
		return -1, s.lost("PTRACE_SETREGS", errno)
	}
	if err := s.toSyscall(); err != nil {
		return -1, err
	}
	info, errno := sys.PtraceSyscallInfo(s.TID)
	if errno != 0 {
		return -1, s.lost("PTRACE_GET_SYSCALL_INFO", errno)
	}
	if err := s.anew(); err != nil {
		return -1, err
	}
	if changed {
		return -1, fmt.Errorf("%w: its code was changed meanwhile", heapnodes.ErrNoInstaller)
	}
	if info.Op != unix.PTRACE_SYSCALL_INFO_EXIT {
		return -1, fmt.Errorf("%w: call %d stopped with %d instead of at its end", heapnodes.ErrNoInstaller, nr, info.Op)
	}
	if info.Value < 0 && info.Value > -4096 {
		return -1, syscall.Errno(-info.Value)
	}
	return int(info.Value), nil
}

// anew has the caller make its ioctl once more, if it is let go as it is now.
func (s *session) anew() error {
	if errno := sys.PtraceSetRegisters(s.TID, again(s.regs)); errno != 0 {
		return s.lost("PTRACE_SETREGS", errno)
	}
	return s.unmask()
}

// unmask gives the caller its signals back.
func (s *session) unmask() error {
	if !s.masked {
		return nil
	}
	if errno := sys.PtraceSetSigMask(s.TID, s.mask); errno != 0 {
		return s.lost("PTRACE_SETSIGMASK", errno)
	}
	s.masked = false
	return nil
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

// ready prepares for calls: from here on the caller's registers are not those that it left the ioctl with.
func (s *session) ready() error {
	mask, errno := sys.PtraceSigMask(s.TID)
	if errno != 0 {
		return s.lost("PTRACE_GETSIGMASK", errno)
	}
	s.mask = mask
	if err := s.anew(); err != nil {
		return err
	}
	s.at(stepReady)
	return nil
}

// closeTheirs has the caller close what is left of the injection.
func (s *session) closeTheirs() {
	if len(s.theirs) == 0 {
		return
	}
	defer s.note()
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
