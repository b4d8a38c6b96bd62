package heapnodes

import (
	"github.com/heapfs/heapfs/backing"
	"github.com/heapfs/heapfs/internal/sys"
)

// Identity is who made a call, as far as events and quotas care.
type Identity struct {
	PID  int // process (thread group), as the server numbers it
	TID  int
	UID  int // effective; -1 if unknown
	Comm string
}

// Caller is one ioctl call in flight. Its methods may wait as long as the caller's memory does, so no lock is held across them.
// All may fail with ErrGone when the call is no longer waiting.
type Caller interface {
	// Door names the way in, for events.
	Door() string
	// Identity of the calling thread.
	Identity() Identity
	// Read fills p from the caller's memory at addr. ErrFault if any byte of it can't be read. What it gave is sure to be the
	// caller's only after a Write, an Install or a Check of the same call has not failed with ErrGone.
	Read(p []byte, addr uint64) error
	// Check fails with ErrGone if nobody waits for the call any more.
	Check() error
	// Write copies p to the caller's memory at addr. ErrFault if any byte of it can't be written; part of it may have been.
	Write(p []byte, addr uint64) error
	// Install puts a duplicate of the server's descriptor fd into the caller at the lowest free number and returns that.
	// fd stays the server's. ErrCallerFiles when the caller's limit is reached, ErrNoInstaller when this door can't.
	Install(fd int, cloexec bool) (int, error)
	// Describe tells what the caller's descriptor fd is: the text of its /proc link and its fdinfo. ErrBadFD if it is closed.
	Describe(fd int32) (link string, fdinfo []byte, err error)
}

// Guesser is a Caller that can guess.
type Guesser interface {
	// NextFD is the number that Install will most likely give, 0 where there is nothing to go by.
	NextFD() int
}

// Filer is a Caller that can tell which file a descriptor is.
type Filer interface {
	// File identifies the caller's descriptor fd. ErrBadFD if it is closed, or an O_PATH one; ErrDenied where it can't be told.
	File(fd int32) (sys.FileID, error)
}

// Exporter makes the files by which callers hold buffers, and knows when nobody holds one any more.
type Exporter interface {
	// Export makes a zeroed file. Its errors are the server's own trouble, not the caller's.
	Export(r ExportRequest) (Export, error)
	// Sweep asks of every live file whether it is still held, and calls gone for those that are not.
	Sweep()
}

// ExportRequest is what a buffer's file must be.
type ExportRequest struct {
	// Pool and Extents are where the buffer lies. They are the buffer's alone until Gone or Discard.
	Pool    string
	Extents []backing.Extent
	// Size in bytes, a multiple of the page size: that of all extents.
	Size uint64
	// AccMode is O_RDONLY, O_WRONLY, O_RDWR or O_ACCMODE (neither).
	AccMode int
	// CPU is false when the buffer must not be mapped.
	CPU bool
	// Gone is called once, from any goroutine, after the last holder is gone; never before Export returns, and not after Discard.
	Gone func()
}

// Export is the file of one buffer.
type Export interface {
	// ID is the file's device and inode number, the same for every open of it.
	ID() sys.FileID
	// FD is the caller's own open of the file: what a Caller installs. It belongs to the Export.
	FD() int
	// Delivered closes FD: from now on only the caller's descriptors and mappings hold the buffer.
	Delivered()
	// Discard closes everything; gone will not be called.
	Discard()
}

// SyncFiles makes and recognises sync files with a fence that has signalled.
type SyncFiles interface {
	// Make gives a new sync file with a name, "" for the kernel's choice. The descriptor belongs to the caller of Make.
	Make(name string) (int, error)
	// Recognise judges a descriptor by the text of its /proc link and its fdinfo: a sync file of Make's or the kernel's.
	Recognise(link string, fdinfo []byte) bool
	// StandIn is Recognise for those of Make's that the kernel does not know as sync files.
	StandIn(link string, fdinfo []byte) bool
	// Name of one of Make's, by its fdinfo.
	Name(fdinfo []byte) string
	// Signalled is when the fence signalled, in nanoseconds of CLOCK_MONOTONIC.
	Signalled() uint64
}
