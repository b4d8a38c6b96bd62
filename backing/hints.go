package backing

import (
	"encoding/binary"
	"log/slog"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
)

// hints tells files that one of their opens was closed, by inotify.
type hints struct {
	memfds *Memfds
	file   *os.File

	mu     sync.Mutex
	byWD   map[int]*Memfd
	warned bool
}

func newHints(m *Memfds) (*hints, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	h := &hints{memfds: m, file: os.NewFile(uintptr(fd), "inotify"), byWD: map[int]*Memfd{}}
	m.wg.Add(1)
	go h.loop()
	return h, nil
}

func (h *hints) close() { _ = h.file.Close() } // ends loop; nothing is written to it

// add puts a watch on a file. Without one (fs.inotify.max_user_watches) the timer and Sweep still find its end.
func (h *hints) add(f *Memfd) {
	conn, err := h.file.SyscallConn()
	if err == nil {
		err2 := conn.Control(func(fd uintptr) {
			// The lock is held across the call so that an event can't be read before the map knows its file.
			h.mu.Lock()
			defer h.mu.Unlock()
			var wd int
			if wd, err = unix.InotifyAddWatch(int(fd), sys.FDPath(f.lease), unix.IN_CLOSE); err == nil {
				f.watch = wd
				h.byWD[wd] = f
			}
		})
		if err == nil {
			err = err2
		}
	}
	if err != nil && !h.warned {
		h.warned = true
		slog.Warn("no inotify watch: the end of buffers is seen later", "error", err, "see", "fs.inotify.max_user_watches")
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
		n, err := h.file.Read(buf)
		if err != nil {
			return // closed
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
		case mask&unix.IN_CLOSE != 0:
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
