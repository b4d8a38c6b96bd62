package launch

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
)

// message is what the three processes tell each other, one per datagram.
type message struct {
	// Kind is one of the constants below.
	Kind string
	// PID is CMD's (started).
	PID int `json:",omitempty"`
	// Status is CMD's wait status (ended).
	Status syscall.WaitStatus `json:",omitempty"`
	// Final: the server is about to end too (ended).
	Final bool `json:",omitempty"`
	// Code and Text are an exit code and one line for the user (failed).
	Code int    `json:",omitempty"`
	Text string `json:",omitempty"`
	// Dir is the heap directory's file (trapped).
	Dir sys.FileID

	// fd comes along with mounted, devices and trapped; -1 for none. It belongs to the receiver.
	fd int
}

const (
	// stage to server
	msgMounted = "mounted" // fd: the FUSE descriptor
	msgDevices = "devices" // fd: that of the device files; only if there are any
	msgTrapped = "trapped" // fd: the listener
	// server to stage
	msgGo = "go"
	// server to front
	msgStarted = "started"
	msgEnded   = "ended"
	// either way up
	msgFailed = "failed"
)

var errTruncated = errors.New("truncated")

// maxMessage bounds a datagram in bytes.
const maxMessage = 64 << 10

// channel is one end of a socket pair. The other end's death reads as io.EOF.
type channel struct{ fd int }

// newChannel makes both ends. Neither survives execve: inherit one with keep.
func newChannel() (a, b channel, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return channel{-1}, channel{-1}, os.NewSyscallError("socketpair", err)
	}
	return channel{pair[0]}, channel{pair[1]}, nil
}

func (c channel) close() { sys.Close(c.fd) }

func (c channel) send(m message, fd int) error {
	// JSON makes up to six bytes of one.
	if len(m.Text) > maxMessage/8 {
		m.Text = m.Text[:maxMessage/8]
	}
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	var rights []byte
	if fd >= 0 {
		rights = unix.UnixRights(fd)
	}
	for {
		err := unix.Sendmsg(c.fd, data, rights, nil, unix.MSG_NOSIGNAL)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return os.NewSyscallError("sendmsg", err)
	}
}

func (c channel) receive() (message, error) {
	buf, oob := make([]byte, maxMessage), make([]byte, unix.CmsgSpace(4*4))
	for {
		n, oobn, flags, _, err := unix.Recvmsg(c.fd, buf, oob, unix.MSG_CMSG_CLOEXEC)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ECONNRESET):
			return message{}, io.EOF
		case err != nil:
			return message{}, os.NewSyscallError("recvmsg", err)
		}
		fd, err := oneDescriptor(oob[:oobn])
		if err != nil {
			return message{}, err
		}
		if n == 0 {
			sys.Close(fd)
			return message{}, io.EOF
		}
		var m message
		err = json.Unmarshal(buf[:n], &m)
		if flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
			err = errTruncated
		}
		if err != nil {
			sys.Close(fd)
			return message{}, fmt.Errorf("a message between heapfs's processes is damaged: %w", err)
		}
		m.fd = fd
		return m, nil
	}
}

// oneDescriptor takes the descriptor out of control data, -1 if there is none, and closes what else is in it.
func oneDescriptor(oob []byte) (int, error) {
	if len(oob) == 0 {
		return -1, nil
	}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return -1, os.NewSyscallError("control message", err)
	}
	found := -1
	for i := range msgs {
		fds, err := unix.ParseUnixRights(&msgs[i])
		if err != nil {
			continue // not descriptors
		}
		for _, fd := range fds {
			sys.Close(found)
			found = fd
		}
	}
	return found, nil
}

// expect receives a message of the given kind.
func (c channel) expect(kind string) (message, error) {
	m, err := c.receive()
	if err != nil {
		return m, err
	}
	if m.Kind != kind {
		sys.Close(m.fd)
		return m, fmt.Errorf("got message %q instead of %q", m.Kind, kind)
	}
	return m, nil
}
