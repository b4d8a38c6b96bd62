package backing

import (
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
)

const (
	// afterHint is how soon after a hint it is asked who has ended: the hint comes a little before the end. It doubles until the
	// slow timer's time is reached.
	afterHint = time.Millisecond
	// askSlowly is how often it is asked while anything lives and hints come.
	askSlowly = 5 * time.Second
	// askOften and askSeldom are the same where no hints come: often while buffers end, ever more seldom while none does.
	askOften  = 100 * time.Millisecond
	askSeldom = 1600 * time.Millisecond
	// firstHint is how long the trial at the start waits for one.
	firstHint = 20 * time.Millisecond
)

// udmabufHints says when to ask whether dma-bufs have ended. Where the kernel reports the close of a dma-buf by inotify (up to some
// version between 6.12 and 6.18), that is the hint; elsewhere only time is.
type udmabufHints struct {
	udmabufs *Udmabufs
	inotify  int // -1 if it does not tell
	wake     int // an eventfd: something has changed
	stop     atomic.Bool
	lazy     atomic.Bool // a new buffer should wake the loop
	refused  atomic.Bool // some buffer could not be watched: then time must do
	wg       sync.WaitGroup
}

func newUdmabufHints(m *Udmabufs) *udmabufHints {
	h := &udmabufHints{udmabufs: m, inotify: -1, wake: -1}
	var err error
	if h.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		slog.Warn("no timer for the end of buffers: it is seen when room is needed", "error", os.NewSyscallError("eventfd", err))
		return h
	}
	if h.inotify, err = unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK); err != nil {
		h.inotify = -1
	}
	if h.inotify >= 0 && !h.tells() {
		sys.Close(h.inotify)
		h.inotify = -1
	}
	h.lazy.Store(true)
	h.wg.Add(1)
	go h.loop()
	return h
}

// how is for the log.
func (h *udmabufHints) how() string {
	if h.inotify >= 0 {
		return "inotify"
	}
	return "timer"
}

// tells tries whether the close of a dma-buf is reported.
func (h *udmabufHints) tells() bool {
	fd, err := sys.UdmabufOfAPage(h.udmabufs.dev)
	if err != nil {
		return false
	}
	wd, err := unix.InotifyAddWatch(h.inotify, sys.FDPath(fd), unix.IN_CLOSE)
	sys.Close(fd)
	if err != nil {
		return false
	}
	n, _ := unix.Poll([]unix.PollFd{{Fd: int32(h.inotify), Events: unix.POLLIN}}, int(firstHint.Milliseconds()))
	h.unwatch(wd)
	h.drain()
	return n > 0
}

// add watches f.
func (h *udmabufHints) add(f *Udmabuf) {
	if h.inotify >= 0 {
		wd, err := unix.InotifyAddWatch(h.inotify, sys.FDPath(f.fd), unix.IN_CLOSE)
		if err == nil {
			f.watch = wd
		} else if h.refused.CompareAndSwap(false, true) {
			slog.Warn("no inotify watch: the end of buffers is seen later", "error", err, "see", "fs.inotify.max_user_watches")
		}
	}
	if h.lazy.Load() && h.lazy.CompareAndSwap(true, false) {
		h.rouse()
	}
}

// drop forgets f. The watch holds the inode, so it must be removed.
func (h *udmabufHints) drop(f *Udmabuf) {
	if f.watch >= 0 {
		h.unwatch(f.watch)
	}
}

func (h *udmabufHints) unwatch(wd int) {
	if _, err := unix.InotifyRmWatch(h.inotify, uint32(wd)); err != nil && err != unix.EINVAL {
		slog.Error("inotify_rm_watch", "error", err)
	}
}

func (h *udmabufHints) rouse() {
	if _, err := unix.Write(h.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil && err != unix.EAGAIN {
		slog.Error("write to an eventfd", "error", err)
	}
}

func (h *udmabufHints) close() {
	h.stop.Store(true)
	if h.wake >= 0 {
		h.rouse()
	}
	h.wg.Wait()
	sys.Close(h.wake)
	sys.Close(h.inotify)
}

// drain reads all events. Which buffer they are of does not matter: to ask of one is to ask of its whole set.
func (h *udmabufHints) drain() {
	var buf [4096]byte
	for {
		if n, err := unix.Read(h.inotify, buf[:]); err != nil || n <= 0 {
			return
		}
	}
}

// bounds are the shortest and the longest time between two questions when no hint comes.
func (h *udmabufHints) bounds() (often, seldom time.Duration) {
	if h.inotify >= 0 && !h.refused.Load() {
		return askSlowly, askSlowly
	}
	return askOften, askSeldom
}

// loop asks. Where nothing lives it sleeps until something does.
func (h *udmabufHints) loop() {
	defer h.wg.Done()
	pause := time.Duration(-1)
	for {
		hinted := h.sleep(pause)
		if h.stop.Load() {
			return
		}
		found := h.udmabufs.sweep()
		often, seldom := h.bounds()
		switch {
		case hinted:
			pause = afterHint
		case found > 0 || pause < 0:
			pause = often
		default:
			pause = min(2*pause, seldom)
		}
		h.lazy.Store(pause > often)
		if h.udmabufs.holders.count() == 0 {
			h.lazy.Store(true)
			// One that came between the count and the line above has seen nobody lazy.
			if h.udmabufs.holders.count() == 0 {
				pause = -1
			}
		}
	}
}

// sleep waits for d, for ever if it is negative, or until woken. It reports whether a hint came, after leaving further ones a moment
// to gather.
func (h *udmabufHints) sleep(d time.Duration) bool {
	fds := []unix.PollFd{{Fd: int32(h.wake), Events: unix.POLLIN}, {Fd: int32(h.inotify), Events: unix.POLLIN}}
	timeout := -1
	if d >= 0 {
		timeout = max(1, int(d.Milliseconds()))
	}
	if _, err := unix.Poll(fds, timeout); err != nil && err != unix.EINTR {
		slog.Error("poll for inotify", "error", err)
		time.Sleep(askSeldom)
		return false
	}
	if fds[0].Revents != 0 {
		var b [8]byte
		_, _ = unix.Read(h.wake, b[:]) // it only makes the descriptor quiet
	}
	if fds[1].Revents == 0 {
		return false
	}
	time.Sleep(hintPause)
	h.drain()
	return true
}
