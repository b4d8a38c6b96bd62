package fs

import (
	"context"
	"encoding/binary"
	"log"
	"log/slog"
	"strings"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/heapnodes"
	"github.com/heapfs/heapfs/uapi"
)

// Door makes Callers that can be given a descriptor, which FUSE can't do. Without one an ALLOC by FUSE goes through all checks and then
// fails.
type Door interface {
	Call(r Request) Call
}

// Call is a Caller made for one request. One goroutine uses it.
type Call interface {
	heapnodes.Caller
	// Wrote is whether Out is to be copied out, also beside an error.
	Wrote() bool
	// End ends the call with what the transaction gave.
	End(err error)
}

// Request is an ioctl on a node or a buffer that waits for its reply.
type Request struct {
	TID int // the caller's thread, 0 if it is not in the pid namespace of the mount
	UID int // its effective user
	Cmd uapi.Cmd
	Arg uint64
	Ino uint64 // the file's inode number
	// In is what the kernel has copied in, Out what it will copy out with the reply.
	In, Out []byte
	// Reply makes a reply of what Out is now, with the result -ENOMEM, which is then the Call's to correct. Whoever writes the message, in
	// one write(2), to the device, an open /dev/fuse that belongs to the server, has answered the request: what the server says at the end
	// of the call is not heard any more.
	Reply func() (device int, message []byte)
	// Interrupted is closed when a signal came to the caller.
	Interrupted <-chan struct{}
}

// newRequest makes the Request of an ioctl on the file ino, which the kernel numbers unique and waits for at device.
func newRequest(
	ctx context.Context, device int, unique, ino uint64, cmd uapi.Cmd, arg uint64, input, output []byte,
) Request {
	r := Request{
		Cmd: cmd, Arg: arg, Ino: ino, In: input, Out: output, UID: -1, Interrupted: ctx.Done(),
		Reply: func() (int, []byte) { return device, ioctlReply(unique, -int32(syscall.ENOMEM), output) },
	}
	if who, ok := fuse.FromContext(ctx); ok {
		r.TID, r.UID = int(who.Pid), int(who.Uid)
	}
	return r
}

// ioctlReply is the message that answers a FUSE_IOCTL: struct fuse_out_header, struct fuse_ioctl_out, and what is copied out.
func ioctlReply(unique uint64, result int32, output []byte) []byte {
	const headers = 16 + 16
	le := binary.LittleEndian
	b := make([]byte, headers+len(output))
	le.PutUint32(b, uint32(len(b)))
	le.PutUint64(b[8:], unique)
	le.PutUint32(b[16:], uint32(result))
	copy(b[headers:], output)
	return b
}

// throughDoor answers an ioctl whose caller may have to be given a descriptor: that is possible only after a reply, so the door sends one by
// itself, and then the outcome here reaches nobody.
func throughDoor(
	ctx context.Context, door Door, r Request, ioctl func(context.Context, heapnodes.Caller) error,
) (int32, syscall.Errno) {
	call := door.Call(r)
	// A signal does not end an ALLOC in a kernel either, and the door causes one itself.
	err := ioctl(context.WithoutCancel(ctx), call)
	call.End(err)
	return outcome(heapnodes.Errno(err), call.Wrote())
}

// uniques are the numbers of ioctls that are being answered. The library does not tell a node which one it is at; what it tells is the channel
// by which it says that the request was interrupted, and no two requests have the same one at a time.
type uniques struct{ by sync.Map }

func (u *uniques) begin(cancel <-chan struct{}, unique uint64) { u.by.Store(cancel, unique) }
func (u *uniques) end(cancel <-chan struct{})                  { u.by.Delete(cancel) }

func (u *uniques) of(cancel <-chan struct{}) uint64 {
	n, _ := u.by.Load(cancel)
	unique, _ := n.(uint64)
	return unique
}

// quiet takes the library's messages. That a request was answered by a door is none.
type quiet struct{ slog.Handler }

func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	if strings.HasPrefix(r.Message, "writer: ") && strings.HasSuffix(r.Message, ": IOCTL") && strings.Contains(r.Message, unix.ENOENT.Error()) {
		return nil
	}
	return q.Handler.Handle(ctx, r)
}

func libraryLog() *log.Logger {
	return slog.NewLogLogger(quiet{slog.Default().Handler()}, slog.LevelDebug)
}

// outcome is a reply. The payload reaches the caller only beside a success of FUSE's own; the result is what ioctl returns.
func outcome(errno syscall.Errno, wrote bool) (int32, syscall.Errno) {
	if errno != 0 && wrote {
		return -int32(errno), 0
	}
	return 0, errno
}
