package backing

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
	"github.com/heapfs/heapfs/uapi"
)

const (
	// linkSyncFile and linkEpoll are the texts of a descriptor's /proc link.
	linkSyncFile = "anon_inode:sync_file"
	linkEpoll    = "anon_inode:[eventpoll]"
)

// SyncFiles makes sync files whose fence has signalled: the kernel's own where a device leads to one (see KernelSyncFile), else
// stand-ins. Which it is is found out once, by the first Make, because it may wake hardware that most programs have no use for.
//
// A stand-in is an epoll set that holds a descriptor which is always ready. Such a set polls as readable and not as writable, refuses
// read, write and mmap, and nobody who holds it can change that: as a sync file. (An eventfd can be drained by read, a memfd can't be
// added to an epoll set.)
//
// What the server has to know of a stand-in is in the set's data, which the kernel shows in fdinfo, so that there is no account
// to keep: a random number tells ours from other sets, and the name stands behind it, 8 bytes an entry.
type SyncFiles struct {
	ready     int              // the descriptor that is always ready
	letters   [nameEntries]int // duplicates of it, to be further entries of a set
	cookie    uint64
	signalled uint64

	sources []syncSource
	find    sync.Once
	seed    int // the kernel's sync file that all others are made of; -1 where there are stand-ins, and before find
}

// nameEntries is how many entries of 8 bytes hold a name.
const nameEntries = uapi.SyncNameLen / 8

// NewSyncFiles takes a few descriptors of the process, until Close.
func NewSyncFiles() (*SyncFiles, error) { return newSyncFiles(syncSources) }

// NewStandIns is NewSyncFiles without a look for the kernel's own: its files are stand-ins on every machine.
func NewStandIns() (*SyncFiles, error) { return newSyncFiles(nil) }

func newSyncFiles(sources []syncSource) (*SyncFiles, error) {
	s := &SyncFiles{ready: -1, letters: [nameEntries]int{-1, -1, -1, -1}, sources: sources, seed: -1}
	if err := s.open(); err != nil {
		s.Close()
		return nil, fmt.Errorf("sync files: %w", err)
	}
	return s, nil
}

func (s *SyncFiles) open() (err error) {
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		return err
	}
	s.cookie = binary.LittleEndian.Uint64(random[:])
	if s.ready, err = unix.Eventfd(1, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return os.NewSyscallError("eventfd2", err)
	}
	for i := range s.letters {
		if s.letters[i], err = unix.FcntlInt(uintptr(s.ready), unix.F_DUPFD_CLOEXEC, 0); err != nil {
			return os.NewSyscallError("fcntl F_DUPFD_CLOEXEC", err)
		}
	}
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return os.NewSyscallError("clock_gettime", err)
	}
	s.signalled = uint64(now.Nano())
	return nil
}

// Close gives the descriptors back, when no Make is under way. Sync files that are out stay as they are.
func (s *SyncFiles) Close() {
	sys.Close(s.seed)
	sys.Close(s.ready)
	for _, fd := range s.letters {
		sys.Close(fd)
	}
}

// Make gives a new sync file; the descriptor is the caller's. A name is at most uapi.SyncNameLen-1 bytes, "" stands for the
// kernel's own choice. EMFILE, ENFILE, ENOMEM as of epoll_create1(2). The first call may take seconds.
//
// Where one is the kernel's all are, whatever fails: the kernel merges no stand-in with its own.
func (s *SyncFiles) Make(name string) (int, error) {
	s.find.Do(func() { s.seed = seedSyncFile(s.sources, syncSourceTime) })
	if s.seed >= 0 {
		return sys.MergeSyncFile(s.seed, name)
	}
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("epoll_create1", err)
	}
	if err := s.fill(fd, name); err != nil {
		sys.Close(fd)
		return -1, os.NewSyscallError("epoll_ctl", err)
	}
	return fd, nil
}

func (s *SyncFiles) fill(set int, name string) error {
	if err := addEntry(set, s.ready, unix.EPOLLIN, s.cookie); err != nil {
		return err
	}
	var text [uapi.SyncNameLen]byte
	copy(text[:len(text)-1], name)
	for i, fd := range s.letters {
		word := binary.LittleEndian.Uint64(text[8*i:])
		if word == 0 {
			break // a name has no NUL inside
		}
		if err := addEntry(set, fd, 0, word); err != nil {
			return err
		}
	}
	return nil
}

func addEntry(set, fd int, events uint32, data uint64) error {
	return unix.EpollCtl(set, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(uint32(data)), Pad: int32(uint32(data >> 32))})
}

// Name is what Make was given, or the kernel's name, by the fdinfo of one of Make's.
func (s *SyncFiles) Name(fdinfo []byte) string {
	var text [uapi.SyncNameLen]byte
	for line := range bytes.Lines(fdinfo) {
		var fd int
		var events uint32
		var data uint64
		if _, err := fmt.Sscanf(string(line), "tfd: %d events: %x data: %x", &fd, &events, &data); err != nil {
			continue // another line of fdinfo
		}
		if i := slices.Index(s.letters[:], fd); i >= 0 {
			binary.LittleEndian.PutUint64(text[8*i:], data)
		}
	}
	if name, _, _ := bytes.Cut(text[:], []byte{0}); len(name) > 0 {
		return string(name)
	}
	return sys.SignalledFence().File
}

// Recognise takes the kernel's sync files and ours, by the text of the descriptor's /proc link and its fdinfo.
func (s *SyncFiles) Recognise(link string, fdinfo []byte) bool {
	switch link {
	case linkSyncFile:
		return !isPath(fdinfo)
	case linkEpoll:
		return bytes.Contains(fdinfo, fmt.Appendf(nil, " data: %16x ", s.cookie))
	default:
		return false
	}
}

// isPath is whether fdinfo is that of an O_PATH descriptor, which is none for the kernel.
func isPath(fdinfo []byte) bool {
	_, after, _ := bytes.Cut(fdinfo, []byte("flags:\t"))
	line, _, _ := bytes.Cut(after, []byte("\n"))
	flags, err := strconv.ParseUint(string(line), 8, 64)
	return err == nil && flags&unix.O_PATH != 0
}

// StandIn is Recognise for ours alone: those that the kernel does not know as sync files.
func (s *SyncFiles) StandIn(link string, fdinfo []byte) bool {
	return link == linkEpoll && s.Recognise(link, fdinfo)
}

// Signalled is when the fence of all these files signalled: nanoseconds of CLOCK_MONOTONIC.
func (s *SyncFiles) Signalled() uint64 { return s.signalled }
