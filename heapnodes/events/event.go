package events

import (
	"time"

	"github.com/heapfs/heapfs/backing"
)

// Version is the value of the field v. It changes when a reader of an older
// version would misread a line; new kinds and new fields do not change it.
const Version = 1

// Kinds of events, the values of Event.Event.
const (
	// Start is the first event of an instance.
	Start = "start"
	// Alloc is a successful ALLOC. It is emitted before the caller sees the
	// descriptor.
	Alloc = "alloc"
	// AllocFailed is an ALLOC that ended with an errno. Reason says what the
	// errno cannot.
	AllocFailed = "alloc_failed"
	// LookupFailed is a look-up of a set of devices ("a+b") for which there is
	// no node. Heap is the name that was looked up, and Reason says why.
	LookupFailed = "lookup_failed"
	// Free is the end of a buffer: nothing has it open, mapped or attached any
	// more and its extents are back in the pool.
	Free = "free"
	// Attach is a buffer that was attached to a device. It is emitted before
	// the caller sees the attachment.
	Attach = "attach"
	// Detach is the end of an attachment.
	Detach = "detach"
	// AttachFailed is a buffer that a device did not take: through its device
	// file, or through a real node that is bound to it. Reason says why.
	AttachFailed = "attach_failed"
	// SetName is a DMA_BUF_SET_NAME that was accepted.
	SetName = "set_name"
	// Warning is something that the user should know and that no caller is
	// told by an errno.
	Warning = "warning"
	// Lost stands in a subscriber's stream, and only there, for events that
	// the subscriber was too slow to get.
	Lost = "lost"
	// Exit is the last event of an instance. Every Free stands before it.
	Exit = "exit"
)

// Event is one line of the stream. A field with the zero value is left out of
// the JSON, save V, Seq, Time, Event and Instance.
//
// Strings that come from callers (Comm, Name) may hold any bytes; the JSON is
// valid UTF-8 in any case, with U+FFFD for each byte that is not. An emitted
// event is shared with subscribers: the emitter must not write to what Extents
// and UID point at afterwards.
type Event struct {
	// V is Version, filled by Emit.
	V int `json:"v"`
	// Seq numbers the events of an instance from 1 without gaps, filled by Emit.
	Seq uint64 `json:"seq"`
	// Time is when the event was emitted, in UTC, filled by Emit. It never
	// decreases with Seq unless the system clock is set back.
	Time time.Time `json:"time"`
	// Event is the kind.
	Event string `json:"event"`
	// Instance names the heapfs process that emits, filled by Emit.
	Instance string `json:"instance"`

	// Door is the way by which the ioctl came in, for example "seccomp" or "fuse".
	Door string `json:"door,omitempty"`
	// Heap is the name of the node that was asked.
	Heap string `json:"heap,omitempty"`
	// Device is the name of the device that was given the buffer, or that the
	// node's buffers are mapped for.
	Device string `json:"device,omitempty"`
	// Attachment is the id of the attachment. Ids start at 1 and are not
	// reused.
	Attachment uint64 `json:"attachment,omitempty"`
	// DMAAddr is the first address of the buffer as Device sees it, in bytes,
	// and Segments how many segments it sees; 0 when nothing is mapped.
	DMAAddr  uint64 `json:"dma_addr,omitempty"`
	Segments int    `json:"segments,omitempty"`
	// Buffer is the id of the buffer. Ids start at 1 and are not reused.
	Buffer uint64 `json:"buffer,omitempty"`
	// PID is the caller's process (thread group) id as the server sees it, 0
	// when the caller is in a pid namespace that the server cannot see.
	PID int `json:"pid,omitempty"`
	// TID is the caller's thread id as the server sees it.
	TID int `json:"tid,omitempty"`
	// UID is the caller's effective user id, nil when no caller is involved.
	// It is a pointer because 0 is root: a forgotten uid must not name root.
	UID *int `json:"uid,omitempty"`
	// Comm is the caller's command name (/proc/PID/comm).
	Comm string `json:"comm,omitempty"`
	// Len is the length in bytes: of the buffer for Alloc and Free, as asked
	// for AllocFailed.
	Len uint64 `json:"len,omitempty"`
	// HeapFlags are the bits of heap_flags that the caller asked with, for Alloc
	// and AllocFailed. A kernel of today takes none.
	HeapFlags uint64 `json:"heap_flags,omitempty"`
	// Errno is the name of the errno that the caller got, for example "ENOMEM".
	Errno string `json:"errno,omitempty"`
	// Reason is a short text for people.
	Reason string `json:"reason,omitempty"`
	// Name is the name of the buffer (DMA_BUF_SET_NAME).
	Name string `json:"name,omitempty"`
	// Extents are the physical ranges of the buffer, in bytes, in the order
	// of the buffer's offsets.
	Extents []backing.Extent `json:"extents,omitempty"`
}

// UID returns a pointer to uid for Event.UID, or nil when uid is negative.
func UID(uid int) *int {
	if uid < 0 {
		return nil
	}
	return &uid
}
