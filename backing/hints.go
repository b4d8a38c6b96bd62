package backing

import (
	"encoding/binary"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
)

// hintPause is how long after a hint the next ones are left to gather. While nobody waits for them they cost whoever closes a
// file nothing; who needs to know at once sweeps.
const hintPause = time.Millisecond

// hints tells files that one of their opens was closed, by inotify. The descriptor is waited for by one thread and not by the
// Go runtime's poller, which every single event would wake.
type hints struct {
	memfds *Memfds
	fd     int // inotify's
	stop   int // an eventfd

	reading sync.Mutex // held while events are read and dealt with, so that a Sweep overtakes none

	mu     sync.Mutex
	byWD   map[int]*Memfd
	warned bool
}

func newHints(m *Memfds) (*hints, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	stop, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		sys.Close(fd)
		return nil, os.NewSyscallError("eventfd", err)
	}
	h := &hints{memfds: m, fd: fd, stop: stop, byWD: map[int]*Memfd{}}
	m.wg.Add(1)
	go h.loop()
	return h, nil
}

// close ends loop. The descriptors are closed by release, when nobody uses them any more.
func (h *hints) close() {
	if _, err := unix.Write(h.stop, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil {
		slog.Error("write to an eventfd", "error", err)
	}
}

func (h *hints) release() {
	sys.Close(h.fd)
	sys.Close(h.stop)
}

// add puts a watch on a file. Without one (fs.inotify.max_user_watches) the timer and Sweep still find its end.
func (h *hints) add(f *Memfd) {
	// The lock is held across the call so that an event can't be read before the map knows its file.
	h.mu.Lock()
	defer h.mu.Unlock()
	wd, err := unix.InotifyAddWatch(h.fd, sys.FDPath(f.lease), unix.IN_CLOSE)
	if err == nil {
		f.watch = wd
		h.byWD[wd] = f
		return
	}
	if !h.warned {
		h.warned = true
		slog.Warn("no inotify watch: the end of buffers is seen later", "error", err, "see", "fs.inotify.max_user_watches")
	}
}

// addOpens has the opens of a file told too.
func (h *hints) addOpens(f *Memfd) {
	_, err := unix.InotifyAddWatch(h.fd, sys.FDPath(f.lease), unix.IN_OPEN|unix.IN_MASK_ADD)
	if err != nil {
		slog.Debug("opens of a buffer are not seen", "error", err)
	}
}

// drop forgets a file. The kernel removes the watch with the inode.
func (h *hints) drop(f *Memfd) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.byWD, f.watch)
}

func (h *hints) loop() {
	defer h.memfds.wg.Done()
	buf := make([]byte, 16<<10)
	for {
		fds := []unix.PollFd{{Fd: int32(h.fd), Events: unix.POLLIN}, {Fd: int32(h.stop), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
			slog.Error("poll for inotify", "error", err)
			return
		}
		if fds[1].Revents != 0 {
			return
		}
		h.drain(buf)
		time.Sleep(hintPause)
	}
}

// drain deals with all events there are.
func (h *hints) drain(buf []byte) {
	h.reading.Lock()
	defer h.reading.Unlock()
	for {
		n, err := unix.Read(h.fd, buf)
		if err != nil {
			return
		}
		h.deal(buf[:n])
	}
}

// deal reads struct inotify_event: wd, mask, cookie, length of the name.
func (h *hints) deal(b []byte) {
	for len(b) >= unix.SizeofInotifyEvent {
		wd := int(int32(binary.LittleEndian.Uint32(b)))
		mask := binary.LittleEndian.Uint32(b[4:])
		b = b[min(len(b), unix.SizeofInotifyEvent+int(binary.LittleEndian.Uint32(b[12:]))):]
		switch {
		case mask&unix.IN_Q_OVERFLOW != 0:
			h.memfds.hintAll()
		case mask&(unix.IN_CLOSE|unix.IN_OPEN) != 0:
			h.mu.Lock()
			f := h.byWD[wd]
			h.mu.Unlock()
			if f != nil {
				f.hint(mask)
			}
		}
	}
}

// hintAll is what lost events mean.
func (m *Memfds) hintAll() {
	for _, f := range m.all() {
		f.hint(unix.IN_CLOSE_NOWRITE)
	}
}
