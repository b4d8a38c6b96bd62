package fs

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

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
	// End ends the call with what the transaction gave. answered is whether the caller has its answer by that: if Reply was called.
	End(err error) (answered bool)
}

// Request is an ioctl on a node or a buffer that waits for its reply.
type Request struct {
	TID int // the caller's thread, 0 if it is not in the pid namespace of the mount
	UID int // its effective user
	Cmd uapi.Cmd
	Arg uint64
	Ino uint64 // the file's inode number
	// In is what the kernel has copied in, Out what it will copy out with the reply. Neither may be touched after Reply.
	In, Out []byte
	// Reply sends Out with the result -ENOMEM, which is then the Call's to correct. To be called once at the most; it does not wait.
	Reply func()
	// Interrupted is closed when a signal came to the caller.
	Interrupted <-chan struct{}
}

// newRequest makes the Request of an ioctl on the file ino.
func newRequest(ctx context.Context, ino uint64, cmd uapi.Cmd, arg uint64, input, output []byte) Request {
	r := Request{Cmd: cmd, Arg: arg, Ino: ino, In: input, Out: output, UID: -1, Interrupted: ctx.Done()}
	if who, ok := fuse.FromContext(ctx); ok {
		r.TID, r.UID = int(who.Pid), int(who.Uid)
	}
	return r
}

// throughDoor answers an ioctl whose caller may have to be given a descriptor: that is possible only after the reply. So the
// transaction has a goroutine of its own, and goes on when the reply that it asks for is on its way.
func throughDoor(
	ctx context.Context, door Door, r Request, ioctl func(context.Context, heapnodes.Caller) error,
) (int32, syscall.Errno) {
	replied, ended := make(chan struct{}), make(chan syscall.Errno, 1)
	r.Reply = func() { close(replied) }
	call := door.Call(r)
	go func() {
		// A signal does not end an ALLOC in a kernel either, and the door causes one itself.
		err := ioctl(context.WithoutCancel(ctx), call)
		if !call.End(err) {
			ended <- heapnodes.Errno(err)
		}
	}()
	select {
	case <-replied:
		return -int32(syscall.ENOMEM), fs.OK
	case errno := <-ended:
		return outcome(errno, call.Wrote())
	}
}

// outcome is a reply. The payload reaches the caller only beside a success of FUSE's own; the result is what ioctl returns.
func outcome(errno syscall.Errno, wrote bool) (int32, syscall.Errno) {
	if errno != 0 && wrote {
		return -int32(errno), fs.OK
	}
	return 0, errno
}
