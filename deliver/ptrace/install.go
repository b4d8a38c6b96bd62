package ptrace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/heapnodes"
	"github.com/heapfs/heapfs/internal/sys"
)

// What the injected calls need in the caller's memory, as offsets in bytes.
const (
	atPair    = 0  // int[2]
	atByte    = 8  // what travels with the descriptor
	atMsghdr  = 16 // struct msghdr
	atIovec   = 72
	atControl = 88 // a struct cmsghdr and an int
	scratch   = 112

	controlSize = scratch - atControl
	stackAlign  = 16

	// extraFiles is how many descriptors the injection needs for a moment, beside the one it installs.
	extraFiles = 3
)

// message is the scratch memory as recvmsg(2) wants it.
func message(base uint64) []byte {
	b := make([]byte, scratch)
	le := binary.LittleEndian
	le.PutUint64(b[atMsghdr+16:], base+atIovec) // msg_iov
	le.PutUint64(b[atMsghdr+24:], 1)            // msg_iovlen
	le.PutUint64(b[atMsghdr+32:], base+atControl)
	le.PutUint64(b[atMsghdr+40:], controlSize)
	le.PutUint64(b[atIovec:], base+atByte)
	le.PutUint64(b[atIovec+8:], 1)
	return b
}

// receivedFD is the descriptor in a message that recvmsg has filled in, -1 if there is none.
func receivedFD(b []byte) int {
	le := binary.LittleEndian
	const want = unix.SizeofCmsghdr + 4
	if le.Uint64(b[atMsghdr+40:]) < want || le.Uint64(b[atControl:]) != want ||
		le.Uint32(b[atControl+8:]) != unix.SOL_SOCKET || le.Uint32(b[atControl+12:]) != unix.SCM_RIGHTS {
		return -1
	}
	return int(int32(le.Uint32(b[atControl+16:])))
}

// install gives the caller the file at its lowest free number, and tells placed. What it opened beside that in the caller is
// closed again, also after a failure, as far as the caller lives.
func (s *session) install() error {
	s.fileID, _ = sys.ID(s.file) // for the ledger only
	if err := s.ready(); err != nil {
		return err
	}
	s.takeBack()
	restore, err := s.borrow()
	if err != nil {
		return err
	}
	n, err := s.pass(-1)
	if errors.Is(err, unix.EMFILE) {
		n, err = s.passAtLimit()
	}
	if err == nil {
		s.received = n
		s.note()
		s.closeFile() // the caller is to be the only one who has it, from the moment it goes on
		s.placed(n)
	}
	s.closeTheirs()
	if s.traced {
		s.at(stepClosed)
	}
	restore()
	switch {
	case err == nil: // also if the caller has ended since: it had the file, and its end is seen like any holder's
		return nil
	case errors.Is(err, unix.EMFILE):
		return heapnodes.ErrCallerFiles
	case errors.Is(err, unix.ENFILE):
		return heapnodes.ErrSystemFiles
	case errors.Is(err, heapnodes.ErrGone), errors.Is(err, heapnodes.ErrNoInstaller), errors.Is(err, heapnodes.ErrCallerFiles):
		return err
	default:
		return fmt.Errorf("%w: %v", heapnodes.ErrNoInstaller, err)
	}
}

// takeBack closes what a killed agent has left open in the caller, which makes the same ioctl anew. Should another thread have closed
// and used a number since, it is a file of another kind.
func (s *session) takeBack() {
	for _, fd := range s.Left.fds {
		path := fmt.Sprintf("/proc/%d/fd/%d", s.TID, fd)
		id, err := sys.StatAt(unix.AT_FDCWD, path)
		link, lerr := os.Readlink(path)
		if err == nil && id == s.Left.file || lerr == nil && strings.HasPrefix(link, "socket:") {
			s.theirs = append(s.theirs, fd)
		}
	}
	s.note()
	s.closeTheirs()
}

// closeFile gives the file up.
func (s *session) closeFile() {
	sys.Close(s.file)
	s.file = -1
}

// closeFiles gives up what is the session's own.
func (s *session) closeFiles() {
	s.closeFile()
	sys.Close(s.device)
	s.device = -1
}

// borrow finds memory of the caller's for the injection: below what its stack may hold, or, where the stack ends there, a page of its
// own. restore makes it what it was.
func (s *session) borrow() (restore func(), err error) {
	base := (stack(s.regs) - redZone - scratch) &^ (stackAlign - 1)
	was := make([]byte, scratch)
	if s.read(was, base) == nil && s.write(message(base), base) == nil {
		s.scratch = base
		return func() {
			if s.traced {
				_ = s.write(was, base) // it was writable just now; else the caller has unmapped its own stack
			}
		}, nil
	}
	size := uint64(os.Getpagesize())
	page, err := s.call(sysMmap, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS, ^uint64(0), 0)
	if err != nil {
		return nil, fmt.Errorf("%w: no memory for it in the caller: %v", heapnodes.ErrNoInstaller, err)
	}
	s.scratch = uint64(page)
	restore = func() {
		if s.traced {
			_, _ = s.call(sysMunmap, s.scratch, size) // a whole mapping of ours
		}
	}
	if err := s.write(message(s.scratch), s.scratch); err != nil {
		restore()
		return nil, fmt.Errorf("%w: no memory for it in the caller: %v", heapnodes.ErrNoInstaller, err)
	}
	return restore, nil
}

// pass has the caller make a pair of sockets, sends the file over it, and puts it at the number at. -1 is the lowest that was free,
// which the pair's first end has.
func (s *session) pass(at int) (int, error) {
	if _, err := s.call(sysSocketpair, unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0, s.scratch+atPair); err != nil {
		return -1, fmt.Errorf("socketpair in the caller: %w", err)
	}
	memory := make([]byte, scratch)
	if err := s.read(memory[:atByte], s.scratch+atPair); err != nil {
		return -1, fmt.Errorf("the caller's memory: %w", err)
	}
	first, second := int(binary.LittleEndian.Uint32(memory)), int(binary.LittleEndian.Uint32(memory[4:]))
	s.theirs = append(s.theirs, first, second)
	s.note()
	s.at(stepPaired)
	if err := s.sendTo(second); err != nil {
		return -1, err
	}
	s.at(stepSent)
	if _, err := s.call(sysRecvmsg, uint64(first), s.scratch+atMsghdr, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC); err != nil {
		return -1, fmt.Errorf("recvmsg in the caller: %w", err)
	}
	if err := s.read(memory, s.scratch); err != nil {
		return -1, fmt.Errorf("the caller's memory: %w", err)
	}
	got := receivedFD(memory)
	if got < 0 {
		return -1, fmt.Errorf("the caller received no descriptor: %w", unix.EMFILE) // a message that is cut off says no more
	}
	s.theirs = append(s.theirs, got)
	s.note()
	s.at(stepReceived)
	if at < 0 {
		at = first
	}
	var flags uint64
	if s.Cloexec {
		flags = unix.O_CLOEXEC
	}
	if _, err := s.call(sysDup3, uint64(got), uint64(at), flags); err != nil {
		return -1, fmt.Errorf("dup3 in the caller: %w", err)
	}
	s.own(at)
	s.at(stepPlaced)
	return at, nil
}

// own takes a number out of what is to be closed.
func (s *session) own(fd int) {
	for i, n := range s.theirs {
		if n == fd {
			s.theirs = append(s.theirs[:i], s.theirs[i+1:]...)
			return
		}
	}
}

// errNotPair: the number of the pair is from memory that the caller's other threads can write, and another file is there.
var errNotPair = fmt.Errorf("%w: the caller has exchanged the injection's sockets", heapnodes.ErrNoInstaller)

// sendTo sends the file into the other end of the caller's socket fd. Nothing but a socket of a pair, whose peer has no name, is sent to, and
// nobody is waited for.
func (s *session) sendTo(fd int) error {
	// Even to close a file of another kind may wait for its maker.
	link, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", s.TID, fd))
	if err != nil || !strings.HasPrefix(link, "socket:") {
		return errNotPair
	}
	own, err := s.copyOf(fd)
	if err != nil {
		return err
	}
	defer sys.Close(own)
	peer, err := unix.Getpeername(own)
	name, local := peer.(*unix.SockaddrUnix)
	if err != nil || !local || name.Name != "" && name.Name != "@" { // as x/sys shows that there is no name
		return errNotPair
	}
	return os.NewSyscallError("sendmsg", unix.Sendmsg(own, []byte{0}, unix.UnixRights(s.file), nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT))
}

// copyOf gives the agent a descriptor of the caller's.
func (s *session) copyOf(fd int) (int, error) {
	kept := s.handle.is(s.TID)
	own, err := s.copyBy(fd)
	if kept && errors.Is(err, unix.ESRCH) { // it was of a thread that had the number before
		s.handle.close()
		own, err = s.copyBy(fd)
	}
	return own, err
}

func (s *session) copyBy(fd int) (int, error) {
	h := s.handle
	if !h.is(s.TID) {
		if err := h.open(s); err != nil {
			return -1, err
		}
	}
	own, err := unix.PidfdGetfd(h.fd, fd, 0)
	if err != nil {
		return -1, os.NewSyscallError("pidfd_getfd", err)
	}
	if !h.shared {
		return own, nil
	}
	h.close() // by the time of the next order the thread may be another process's
	theirs, err := sys.StatAt(unix.AT_FDCWD, fmt.Sprintf("/proc/%d/fd/%d", s.TID, fd))
	ours, ownErr := sys.ID(own)
	if err != nil || ownErr != nil || theirs != ours {
		sys.Close(own)
		return -1, errors.New("the thread has descriptors of its own, which needs Linux 6.9")
	}
	return own, nil
}

// handle is a pidfd of a thread. A worker keeps that of its last caller, who is the next one's, too, as a rule.
type handle struct {
	tid    int // 0: there is none
	fd     int
	shared bool // it is the whole process's (before Linux 6.9), whose table of descriptors may be another than the thread's
}

func (h *handle) is(tid int) bool { return h.tid == tid }

// open takes a handle of a session's caller.
func (h *handle) open(s *session) error {
	const pidfdThread = unix.O_EXCL
	h.close()
	fd, err := unix.PidfdOpen(s.TID, pidfdThread)
	shared := errors.Is(err, unix.EINVAL)
	if shared {
		fd, err = unix.PidfdOpen(s.process(), 0)
	}
	if err != nil {
		return os.NewSyscallError("pidfd_open", err)
	}
	*h = handle{s.TID, fd, shared}
	return nil
}

func (h *handle) close() {
	if h.tid != 0 {
		sys.Close(h.fd)
	}
	*h = handle{}
}

// process is the number of the caller's process.
func (s *session) process() int {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(s.TID) + "/status")
	if err != nil {
		return s.TID
	}
	return statusNumber(status, "Tgid")
}

// passAtLimit is for a caller that has room for one more descriptor and not for those of the injection. The one is taken first, and
// then the limit is raised for a moment.
func (s *session) passAtLimit() (int, error) {
	s.closeTheirs()
	heap := argument(s.regs, 0)
	at, err := s.call(sysFcntl, heap, unix.F_DUPFD_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.EINVAL): // the least number is beyond the limit already: it is 0
		return -1, heapnodes.ErrCallerFiles
	case err != nil:
		return -1, fmt.Errorf("fcntl in the caller: %w", err)
	}
	s.theirs = append(s.theirs, at)
	s.note()
	lower, err := s.raiseLimit()
	if err != nil {
		return -1, err
	}
	defer lower()
	if err := s.write(message(s.scratch), s.scratch); err != nil {
		return -1, fmt.Errorf("the caller's memory: %w", err)
	}
	return s.pass(at)
}

// raiseLimit gives the caller room for the injection's descriptors, as far as its own hard limit. Beyond that nobody raises it: what the limit
// is comes from memory that the caller's other threads can write, and a child that it forks meanwhile would keep what was raised.
func (s *session) raiseLimit() (lower func(), err error) {
	if _, err := s.call(sysPrlimit, 0, unix.RLIMIT_NOFILE, 0, s.scratch); err != nil {
		return nil, fmt.Errorf("prlimit64 in the caller: %w", err)
	}
	b := make([]byte, 2*8) // struct rlimit64
	if err := s.read(b, s.scratch); err != nil {
		return nil, fmt.Errorf("the caller's memory: %w", err)
	}
	le := binary.LittleEndian
	was := unix.Rlimit{Cur: le.Uint64(b), Max: le.Uint64(b[8:])}
	if was.Cur+extraFiles <= was.Max {
		le.PutUint64(b, was.Cur+extraFiles)
		if err := s.limit(b); err != nil {
			return nil, err
		}
		return func() {
			le.PutUint64(b, was.Cur)
			_ = s.limit(b) // lower than now, which is always allowed
		}, nil
	}
	return nil, fmt.Errorf("%w: it has room for its descriptor, and its hard limit has none for the %d that an injection needs beside it",
		heapnodes.ErrCallerFiles, extraFiles)
}

// limit sets the caller's limit of open files.
func (s *session) limit(rlimit []byte) error {
	if err := s.write(rlimit, s.scratch); err != nil {
		return fmt.Errorf("the caller's memory: %w", err)
	}
	if _, err := s.call(sysPrlimit, 0, unix.RLIMIT_NOFILE, s.scratch, 0); err != nil {
		return fmt.Errorf("prlimit64 in the caller: %w", err)
	}
	return nil
}
