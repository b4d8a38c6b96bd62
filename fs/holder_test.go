package fs

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
)

// The tests' process serves the file systems, so it maps none of their files: munmap of a page that was written to waits, with the
// address space locked, until this process has written the page back, which it can't while it needs the address space for anything. What
// maps a buffer is another process, as it is outside of tests.

// holder is this test binary once more: a process that holds buffers and touches them.
type holder struct {
	t    *testing.T
	conn int
}

// holderSocket is set in that process: the number of the descriptor that it is asked by.
const holderSocket = "HEAPFS_TEST_HOLDER"

// holderCall is what it is asked for.
type holderCall struct {
	Op   string // keep, close, map, unmap, peek, poke
	ID   int    // a descriptor or a mapping
	Size int    // of a mapping in bytes; how much to peek
	Prot int
	Flag int // MAP_SHARED or MAP_PRIVATE
	Off  int
	Text string
}

type holderAnswer struct {
	ID    int
	Text  string
	Errno unix.Errno
}

// startHolder starts one; it ends with the test.
func startHolder(t *testing.T) *holder {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	far := os.NewFile(uintptr(pair[1]), "holder")
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), holderSocket+"=3")
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{far}
	err = cmd.Start()
	require.NoError(t, far.Close())
	if err != nil {
		sys.Close(pair[0])
		require.NoError(t, err)
	}
	t.Cleanup(func() {
		sys.Close(pair[0])
		require.NoError(t, cmd.Wait())
	})
	return &holder{t, pair[0]}
}

// ask gives the errno of a call, and what else it gave. A descriptor travels along unless it is negative.
func (h *holder) ask(c holderCall, fd int) holderAnswer {
	h.t.Helper()
	text, err := json.Marshal(c)
	require.NoError(h.t, err)
	var rights []byte
	if fd >= 0 {
		rights = unix.UnixRights(fd)
	}
	require.NoError(h.t, unix.Sendmsg(h.conn, text, rights, nil, 0))
	buf := make([]byte, 64<<10)
	n, err := unix.Read(h.conn, buf)
	require.NoError(h.t, err)
	require.NotZero(h.t, n, "the process that holds buffers has ended")
	var a holderAnswer
	require.NoError(h.t, json.Unmarshal(buf[:n], &a))
	return a
}

// keep hands it a descriptor, which this process closes.
func (h *holder) keep(fd int) int {
	h.t.Helper()
	a := h.ask(holderCall{Op: "keep"}, fd)
	require.Zero(h.t, a.Errno)
	sys.Close(fd)
	return a.ID
}

func (h *holder) close(fd int) {
	h.t.Helper()
	require.Zero(h.t, h.ask(holderCall{Op: "close", ID: fd}, -1).Errno)
}

// tryMap is mmap.
func (h *holder) tryMap(fd, size, prot, flag int) (mapping int, errno unix.Errno) {
	h.t.Helper()
	a := h.ask(holderCall{Op: "map", ID: fd, Size: size, Prot: prot, Flag: flag}, -1)
	return a.ID, a.Errno
}

// mmap makes a shared mapping.
func (h *holder) mmap(fd, size, prot int) int {
	h.t.Helper()
	m, errno := h.tryMap(fd, size, prot, unix.MAP_SHARED)
	require.Zero(h.t, errno)
	return m
}

func (h *holder) unmap(mapping int) {
	h.t.Helper()
	require.Zero(h.t, h.ask(holderCall{Op: "unmap", ID: mapping}, -1).Errno)
}

func (h *holder) peek(mapping, off, n int) string {
	h.t.Helper()
	a := h.ask(holderCall{Op: "peek", ID: mapping, Off: off, Size: n}, -1)
	require.Zero(h.t, a.Errno)
	return a.Text
}

func (h *holder) poke(mapping, off int, text string) {
	h.t.Helper()
	require.Zero(h.t, h.ask(holderCall{Op: "poke", ID: mapping, Off: off, Text: text}, -1).Errno)
}

// holderMain is the life of that process. It gives the exit status.
func holderMain() int {
	const conn = 3
	unix.CloseOnExec(conn)
	mappings := map[int][]byte{}
	for buf, oob := make([]byte, 64<<10), make([]byte, 64); ; {
		n, rights, _, _, err := unix.Recvmsg(conn, buf, oob, unix.MSG_CMSG_CLOEXEC)
		if err == nil && n == 0 {
			return 0
		}
		var c holderCall
		if err == nil {
			err = json.Unmarshal(buf[:n], &c)
		}
		var text []byte
		if err == nil {
			text, err = json.Marshal(holderDo(c, oob[:rights], mappings))
		}
		if err == nil {
			_, err = unix.Write(conn, text)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "holder:", err)
			return 1
		}
	}
}

func holderDo(c holderCall, rights []byte, mappings map[int][]byte) (a holderAnswer) {
	errnoOf := func(err error) unix.Errno {
		var errno unix.Errno
		if err != nil && !errors.As(err, &errno) {
			return unix.EFAULT
		}
		return errno
	}
	switch c.Op {
	case "keep":
		messages, err := unix.ParseSocketControlMessage(rights)
		if err != nil || len(messages) != 1 {
			return holderAnswer{Errno: unix.EBADF}
		}
		fds, err := unix.ParseUnixRights(&messages[0])
		if err != nil {
			return holderAnswer{Errno: unix.EBADF}
		}
		a.ID = fds[0]
	case "close":
		a.Errno = errnoOf(unix.Close(c.ID))
	case "map":
		mem, err := unix.Mmap(c.ID, 0, c.Size, c.Prot, c.Flag)
		a.ID, a.Errno = len(mappings)+1, errnoOf(err)
		mappings[a.ID] = mem
	case "unmap":
		a.Errno = errnoOf(unix.Munmap(mappings[c.ID]))
	case "peek":
		p := make([]byte, c.Size)
		_, err := sys.ReadVM(os.Getpid(), p, sys.AddressOf(mappings[c.ID])+uint64(c.Off))
		a.Text, a.Errno = string(p), errnoOf(err)
	case "poke":
		_, err := sys.WriteVM(os.Getpid(), []byte(c.Text), sys.AddressOf(mappings[c.ID])+uint64(c.Off))
		a.Errno = errnoOf(err)
	}
	return a
}
