package ptrace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/heapnodes"
	"github.com/heapfs/heapfs/internal/sys"
)

// A session is a conversation over one sequenced packet socket, which serves one session after the other:
//
//	Door  order (with the file, and the device that the reply goes to) →
//	                            ← installed, or failed
//	      finish                →
//	                            ← done
//
// The agent sends the FUSE reply itself, in the moment when the caller can't get away any more: the Door would have to be asked, and woken for
// that. The Door may finish at any time.
//
// Both ends are the same binary, so the layout is nobody else's affair.
const (
	msgLedger    = 'L' // on the control socket, first of all
	msgWorker    = 'W' // on the control socket, with the socket for one more worker
	msgOrder     = 'O'
	msgInstalled = 'I'
	msgFailed    = 'F'
	msgFinish    = 'E'
	msgDone      = 'D'
)

const (
	// maxMessage is the longest message in bytes, but for an order: a failure with its reason, or an end with what is to be written.
	maxMessage = 512
	// maxReply is the longest FUSE reply in bytes: 32 of headers and the largest argument that a command can have.
	maxReply = 32 + 1<<14
	maxOrder = orderSize + 4*maxTheirs + maxReply
	// maxWrites bounds the latter, without the addresses.
	maxWrites = 256
	orderSize = 1 + 4 + 4 + 4 + 8 + 8 + 8 + 1 + 8 + 8 + 8 + 1 // without the numbers of what was left, and the reply
)

// order is what the agent is asked to do.
type order struct {
	TID     int
	Serial  uint64 // of the order
	Filters int    // seccomp filters of the caller that are known to let the injected calls through
	Cmd     uint32 // of the ioctl that the thread is in
	Arg     uint64
	Node    sys.FileID
	Cloexec bool
	Left    left   // what a killed agent has left in the thread
	Reply   []byte // to the caller's request, as FUSE takes it
}

func (o order) encode() []byte {
	b := append(make([]byte, 0, orderSize+4*len(o.Left.fds)+len(o.Reply)), msgOrder)
	b = binary.LittleEndian.AppendUint32(b, uint32(o.TID))
	b = binary.LittleEndian.AppendUint32(b, uint32(o.Filters))
	b = binary.LittleEndian.AppendUint32(b, o.Cmd)
	b = binary.LittleEndian.AppendUint64(b, o.Arg)
	b = binary.LittleEndian.AppendUint64(b, o.Node.Dev)
	b = binary.LittleEndian.AppendUint64(b, o.Node.Ino)
	if o.Cloexec {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	b = binary.LittleEndian.AppendUint64(b, o.Left.file.Dev)
	b = binary.LittleEndian.AppendUint64(b, o.Left.file.Ino)
	b = binary.LittleEndian.AppendUint64(b, o.Serial)
	b = append(b, byte(len(o.Left.fds)))
	for _, fd := range o.Left.fds {
		b = binary.LittleEndian.AppendUint32(b, uint32(fd))
	}
	return append(b, o.Reply...)
}

func decodeOrder(b []byte) (order, error) {
	if len(b) < orderSize || b[0] != msgOrder {
		return order{}, fmt.Errorf("no order: %q", b)
	}
	le := binary.LittleEndian
	o := order{
		TID: int(le.Uint32(b[1:])), Filters: int(le.Uint32(b[5:])), Cmd: le.Uint32(b[9:]), Arg: le.Uint64(b[13:]),
		Node: sys.FileID{Dev: le.Uint64(b[21:]), Ino: le.Uint64(b[29:])}, Cloexec: b[37] != 0,
		Left: left{file: sys.FileID{Dev: le.Uint64(b[38:]), Ino: le.Uint64(b[46:])}},
	}
	o.Serial = le.Uint64(b[54:])
	n := int(b[62])
	if b = b[orderSize:]; n > maxTheirs || len(b) < 4*n || len(b)-4*n > maxReply {
		return order{}, fmt.Errorf("no order: %d descriptors in %d bytes", n, len(b))
	}
	for ; n > 0; n, b = n-1, b[4:] {
		o.Left.fds = append(o.Left.fds, int(int32(le.Uint32(b))))
	}
	o.Reply = b
	return o, nil
}

// numbered is a message with a number: installed, with that of the descriptor.
func numbered(kind byte, n int) []byte {
	return binary.LittleEndian.AppendUint32([]byte{kind}, uint32(n))
}

func decodeNumber(b []byte) (int, error) {
	if len(b) != 5 {
		return 0, fmt.Errorf("no number: %q", b)
	}
	return int(int32(binary.LittleEndian.Uint32(b[1:]))), nil
}

// finish is how a call ends: what the ioctl returns, and after a success what is written into the caller before it goes on.
type finish struct {
	errno  syscall.Errno
	writes []write
}

type write struct {
	addr uint64
	data []byte
}

func (f finish) encode() []byte {
	b := numbered(msgFinish, int(f.errno))
	for _, w := range f.writes {
		b = binary.LittleEndian.AppendUint64(b, w.addr)
		b = binary.LittleEndian.AppendUint16(b, uint16(len(w.data)))
		b = append(b, w.data...)
	}
	return b
}

func decodeFinish(b []byte) (f finish, err error) {
	if len(b) < 5 || b[0] != msgFinish {
		return f, fmt.Errorf("no end: %q", b)
	}
	le := binary.LittleEndian
	f.errno = syscall.Errno(le.Uint32(b[1:]))
	for b = b[5:]; len(b) > 0; {
		if len(b) < 10 || len(b) < 10+int(le.Uint16(b[8:])) {
			return f, fmt.Errorf("no end: %q is cut off", b)
		}
		n := 10 + int(le.Uint16(b[8:]))
		f.writes = append(f.writes, write{le.Uint64(b), b[10:n:n]})
		b = b[n:]
	}
	return f, nil
}

// outcomes are the errors that cross the socket as what they are.
var outcomes = []error{
	heapnodes.ErrNoInstaller, heapnodes.ErrGone, heapnodes.ErrFault, heapnodes.ErrCallerFiles, heapnodes.ErrSystemFiles, heapnodes.ErrDenied,
}

// failure is the message for an error, which wraps one of outcomes.
func failure(err error) []byte {
	kind := 0
	for i, o := range outcomes {
		if errors.Is(err, o) {
			kind = i
			break
		}
	}
	b := append([]byte{msgFailed, byte(kind)}, err.Error()...)
	return b[:min(len(b), maxMessage)]
}

// failed is the error on the other side.
type failed struct {
	outcome error
	text    string
}

func (f *failed) Error() string { return f.text }
func (f *failed) Unwrap() error { return f.outcome }

func decodeFailure(b []byte) error {
	if len(b) < 2 || int(b[1]) >= len(outcomes) {
		return fmt.Errorf("%w: no answer: %q", heapnodes.ErrNoInstaller, b)
	}
	return &failed{outcomes[b[1]], string(b[2:])}
}

// send sends a message, with descriptors. An error says that the other side is gone. There are never so many messages on
// their way that it would wait.
func send(sock int, b []byte, fds ...int) error { return sendFlags(sock, b, 0, fds) }

// sendNow is send for the control socket, whose messages nobody answers: EAGAIN when there are too many.
func sendNow(sock int, b []byte, fds ...int) error { return sendFlags(sock, b, unix.MSG_DONTWAIT, fds) }

func sendFlags(sock int, b []byte, flags int, fds []int) error {
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	for {
		err := unix.Sendmsg(sock, b, rights, nil, unix.MSG_NOSIGNAL|flags)
		if !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("sendmsg", err)
		}
	}
}

// errLate: nothing has come in the time that was given.
var errLate = errors.New("no answer in time")

// receive waits for a message, and gives the descriptors that came with it. io.EOF when the other side is gone.
func receive(sock int, buf []byte) (b []byte, fds []int, err error) {
	var oob [64]byte
	for {
		n, oobn, _, _, err := unix.Recvmsg(sock, buf, oob[:], unix.MSG_CMSG_CLOEXEC)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return nil, nil, errLate
		case errors.Is(err, unix.ECONNRESET), err == nil && n <= 0 && oobn == 0:
			return nil, nil, io.EOF
		case err != nil:
			return nil, nil, os.NewSyscallError("recvmsg", err)
		}
		return buf[:n], rightsOf(oob[:oobn]), nil
	}
}

// rightsOf are the descriptors of a control message.
func rightsOf(oob []byte) []int {
	if len(oob) == 0 {
		return nil
	}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(msgs) == 0 {
		return nil
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil {
		return nil
	}
	return fds
}

func closeAll(fds []int) {
	for _, fd := range fds {
		sys.Close(fd)
	}
}

// Control makes the socket between a Door (near) and the agent it Starts (far). Both are the caller's.
func Control() (near, far int, err error) { return pair(0) }

// pair makes the two ends of a conversation. On the near end nothing is waited for longer than patience; 0 for ever.
func pair(patience time.Duration) (near, far int, err error) {
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, -1, os.NewSyscallError("socketpair", err)
	}
	tv := unix.NsecToTimeval(int64(patience))
	if err := unix.SetsockoptTimeval(p[0], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		sys.Close(p[0])
		sys.Close(p[1])
		return -1, -1, os.NewSyscallError("setsockopt SO_RCVTIMEO", err)
	}
	return p[0], p[1], nil
}
