package backing

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
)

const (
	// linkSyncFile and linkEpoll are the texts of a descriptor's /proc link.
	linkSyncFile = "anon_inode:sync_file"
	linkEpoll    = "anon_inode:[eventpoll]"
)

// SyncFiles makes stand-ins for sync files whose fence has signalled: epoll sets that hold one descriptor which is always ready.
// Such a set polls as readable and not as writable, refuses read, write and mmap, and nobody who holds it can change that: as
// a sync file. (An eventfd can be drained by read, a memfd can't be added to an epoll set.) A random number in the set's data,
// which the kernel shows in fdinfo, tells ours from others.
type SyncFiles struct {
	ready     int // the descriptor that is always ready
	cookie    uint64
	signalled uint64
}

// NewSyncFiles takes one descriptor of the process, until Close.
func NewSyncFiles() (*SyncFiles, error) {
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, fmt.Errorf("sync files: %w", err)
	}
	ready, err := unix.Eventfd(1, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("eventfd2", err)
	}
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		sys.Close(ready)
		return nil, os.NewSyscallError("clock_gettime", err)
	}
	return &SyncFiles{ready: ready, cookie: binary.LittleEndian.Uint64(random[:]), signalled: uint64(now.Nano())}, nil
}

// Close gives the descriptor back. Sync files that are out stay as they are.
func (s *SyncFiles) Close() { sys.Close(s.ready) }

// Make gives a new sync file; the descriptor is the caller's. EMFILE, ENFILE, ENOMEM as of epoll_create1(2).
func (s *SyncFiles) Make() (int, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("epoll_create1", err)
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(uint32(s.cookie)), Pad: int32(uint32(s.cookie >> 32))}
	if err := unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, s.ready, &event); err != nil {
		sys.Close(fd)
		return -1, os.NewSyscallError("epoll_ctl", err)
	}
	return fd, nil
}

// Recognise takes the kernel's sync files and ours, by the text of the descriptor's /proc link and its fdinfo.
func (s *SyncFiles) Recognise(link string, fdinfo []byte) bool {
	switch link {
	case linkSyncFile:
		return true
	case linkEpoll:
		return bytes.Contains(fdinfo, fmt.Appendf(nil, " data: %16x ", s.cookie))
	default:
		return false
	}
}

// StandIn is Recognise for ours alone: those that the kernel does not know as sync files.
func (s *SyncFiles) StandIn(link string, fdinfo []byte) bool {
	return link == linkEpoll && s.Recognise(link, fdinfo)
}

// Signalled is when the fence of all these files signalled: nanoseconds of CLOCK_MONOTONIC.
func (s *SyncFiles) Signalled() uint64 { return s.signalled }
