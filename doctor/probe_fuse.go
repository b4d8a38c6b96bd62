package doctor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/heapfs/heapfs/internal/sys"
	"golang.org/x/sys/unix"
)

// The INIT exchange as in include/uapi/linux/fuse.h. All integers are in the
// machine's byte order, sizes in bytes.
const (
	fuseInHeader  = 40 // struct fuse_in_header
	fuseOutHeader = 16 // struct fuse_out_header
	fuseInitOut   = 64 // struct fuse_init_out
	fuseOpInit    = 26 // FUSE_INIT
	fuseMinBuffer = 8192

	fuseInitExt        = 1 << 30 // FUSE_INIT_EXT: flags2 is there
	fusePassthroughBit = 1 << 5  // FUSE_PASSTHROUGH, bit 37, in flags2

	// protocolMinor came with Linux 6.1 (FUSE_TMPFILE): the mark by which
	// the oldest supported kernel is known.
	protocolMinor = 37
)

var errInit = errors.New("not a FUSE INIT request")

// initRequest is what the kernel offers in FUSE_INIT.
type initRequest struct {
	unique       uint64
	major, minor uint32
	readahead    uint32 // bytes
	flags        uint32
	flags2       uint32 // 0 before FUSE_INIT_EXT (5.17)
}

// parseInit decodes one request of /dev/fuse, header included. Anything but a
// whole INIT is errInit.
func parseInit(b []byte) (initRequest, error) {
	var r initRequest
	order := binary.NativeEndian
	if len(b) < fuseInHeader+16 {
		return r, fmt.Errorf("%w: %d bytes", errInit, len(b))
	}
	if op := order.Uint32(b[4:]); op != fuseOpInit {
		return r, fmt.Errorf("%w: opcode %d", errInit, op)
	}
	if n := order.Uint32(b[0:]); int(n) != len(b) {
		return r, fmt.Errorf("%w: %d bytes of %d", errInit, len(b), n)
	}
	r.unique = order.Uint64(b[8:])
	in := b[fuseInHeader:]
	r.major = order.Uint32(in[0:])
	r.minor = order.Uint32(in[4:])
	r.readahead = order.Uint32(in[8:])
	r.flags = order.Uint32(in[12:])
	if r.flags&fuseInitExt != 0 && len(in) >= 20 {
		r.flags2 = order.Uint32(in[16:])
	}
	return r, nil
}

// passthrough reports whether the kernel offers FUSE_PASSTHROUGH.
func (r initRequest) passthrough() bool { return r.flags2&fusePassthroughBit != 0 }

// reply encodes the answer: nothing is asked for but passthrough, where it is
// offered.
func (r initRequest) reply() []byte {
	order := binary.NativeEndian
	b := make([]byte, fuseOutHeader+fuseInitOut)
	order.PutUint32(b[0:], uint32(len(b)))
	order.PutUint64(b[8:], r.unique)
	out := b[fuseOutHeader:]
	order.PutUint32(out[0:], r.major)
	order.PutUint32(out[4:], r.minor)
	order.PutUint32(out[8:], r.readahead)
	order.PutUint32(out[20:], 4096) // max_write
	order.PutUint32(out[24:], 1)    // time_gran, ns
	if r.passthrough() {
		order.PutUint32(out[12:], fuseInitExt)
		order.PutUint32(out[32:], fusePassthroughBit)
		order.PutUint32(out[36:], 1) // max_stack_depth; 0 turns it off
	}
	return b
}

// receiveInit waits for the request that mount(2) has queued.
func receiveInit(dev int) (initRequest, error) {
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
		fds := []unix.PollFd{{Fd: int32(dev), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, 500); err != nil && err != unix.EINTR {
			return initRequest{}, err
		}
		buf := make([]byte, fuseMinBuffer)
		n, err := unix.Read(dev, buf)
		if err == unix.EAGAIN || err == unix.EINTR {
			continue
		}
		if err != nil {
			return initRequest{}, err
		}
		return parseInit(buf[:n])
	}
	return initRequest{}, unix.ETIMEDOUT
}

func answerInit(dev int, r initRequest) error {
	_, err := unix.Write(dev, r.reply())
	return err
}

func fuseProtocol(r initRequest) finding {
	const name = "fuse-protocol"
	if r.major != 7 || r.minor < protocolMinor {
		return finding{Name: name, Detail: fmt.Sprintf(
			"the kernel speaks FUSE %d.%d, heapfs needs 7.%d", r.major, r.minor, protocolMinor)}
	}
	return works(name, "the kernel speaks FUSE %d.%d", r.major, r.minor)
}

// fusePassthrough registers a memfd as a backing file, the step at which the
// kernel looks at privileges.
func fusePassthrough(dev int, r initRequest) finding {
	const name = "fuse-passthrough"
	if !r.passthrough() {
		return finding{Name: name, Errno: unix.ENOSYS,
			Detail: "the kernel does not offer it in FUSE INIT"}
	}
	fd, err := sys.Memfd("heapfs-doctor")
	if err != nil {
		return fails(name, "memfd_create", err)
	}
	defer sys.Close(fd)
	id, err := sys.ProbeFuseBackingOpen(dev, fd)
	if err != nil {
		return fails(name, "register a memfd as backing file", err)
	}
	if err := sys.ProbeFuseBackingClose(dev, id); err != nil {
		return fails(name, "drop the backing file", err)
	}
	return works(name, "a memfd registered as backing file")
}
