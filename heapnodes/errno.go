package heapnodes

import (
	"errors"
	"log/slog"
	"syscall"

	"github.com/heapfs/heapfs/attach"
	"github.com/heapfs/heapfs/backing"
	"github.com/heapfs/heapfs/devices"
)

// The outcomes of a call that are not success. Errno maps each to what the caller gets.
var (
	ErrInvalid     = errors.New("invalid argument")
	ErrFault       = errors.New("bad address")
	ErrNotTTY      = errors.New("no such ioctl")
	ErrBadFD       = errors.New("no such descriptor")
	ErrNoEntry     = errors.New("no sync file")
	ErrNoSet       = errors.New("no node for this set of devices")
	ErrAttachments = errors.New("too many attachments")
	ErrInterrupted = errors.New("interrupted")
	ErrCallerFiles = errors.New("the caller's limit of open files is reached")
	ErrSystemFiles = errors.New("the system's limit of open files is reached")

	// What only heapfs knows is ENOMEM to the caller, with the reason in the event.
	ErrNoMemory    = errors.New("out of memory")
	ErrQuota       = errors.New("the heap's quota is used up")
	ErrExport      = errors.New("no file for the buffer")
	ErrNoInstaller = errors.New("this way in can't give a descriptor to the caller")
	ErrBusy        = errors.New("too many calls of this user and cgroup wait for memory that does not answer")
	ErrDenied      = errors.New("not permitted to look into the caller")
	ErrSlow        = errors.New("the caller's memory did not answer in time")

	// ErrKernel is no outcome: the door lets the kernel answer the call.
	ErrKernel = errors.New("the kernel answers")
	// ErrGone: nobody waits for the answer.
	ErrGone = errors.New("the caller is gone")
)

// errnos is the one place where an outcome becomes an errno. The first match counts.
var errnos = []struct {
	err   error
	errno syscall.Errno
}{
	{syscall.EINVAL, syscall.EINVAL}, // uapi's verdicts
	{ErrInvalid, syscall.EINVAL},
	{ErrFault, syscall.EFAULT},
	{ErrNotTTY, syscall.ENOTTY},
	{ErrBadFD, syscall.EBADF},
	{ErrNoEntry, syscall.ENOENT},
	{ErrNoSet, syscall.ENOENT},
	{ErrAttachments, syscall.ENOMEM},
	{ErrInterrupted, syscall.EINTR},
	{ErrCallerFiles, syscall.EMFILE},
	{ErrSystemFiles, syscall.ENFILE},
	{ErrNoMemory, syscall.ENOMEM},
	{backing.ErrNoSpace, syscall.ENOMEM},
	{ErrQuota, syscall.ENOMEM},
	{devices.ErrLimit, syscall.ENOMEM},
	{ErrExport, syscall.ENOMEM},
	{ErrNoInstaller, syscall.ENOMEM},
	{ErrBusy, syscall.ENOMEM},
	{ErrDenied, syscall.ENOMEM},
	{ErrSlow, syscall.ENOMEM},
	{ErrGone, syscall.EINTR}, // never seen by anybody
}

// Errno is what a caller gets for an outcome: 0 for nil. An error that is not in the table is a defect of heapfs: EIO, with a
// line in the log, and never ENOSYS, which a caller would take for an old kernel.
func Errno(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	// A device's refusal brings the errno of its driver class.
	if r := (*attach.Refusal)(nil); errors.As(err, &r) {
		return r.Errno
	}
	if own := (*ExtensionError)(nil); errors.As(err, &own) {
		return own.Errno
	}
	for _, row := range errnos {
		if errors.Is(err, row.err) {
			return row.errno
		}
	}
	slog.Error("an error without an errno", "error", err)
	return syscall.EIO
}
