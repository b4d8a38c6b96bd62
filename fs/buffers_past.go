package fs

import (
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

const (
	// maxPast is how many files that are gone the kernel may remember. By itself it forgets them only when it wants memory, and each takes
	// about 1 KiB of it. To have one forgotten is a system call and a request of the kernel's, so it is done for many at a time and not while
	// somebody waits for the close.
	maxPast = 1024
	// maxPastBytes bounds the pages of those without passthrough, which stay in the page cache as long.
	maxPastBytes = 64 << 20
)

// past are the names of files that are gone, which the kernel still remembers.
type past struct {
	max      int
	maxBytes uint64

	mu     sync.Mutex
	names  []string
	bytes  uint64 // of their pages
	busy   bool
	closed bool
	work   sync.WaitGroup

	known atomic.Int64 // look-ups that the kernel has not forgotten; for tests
}

// gone notes that a file has ended, by whatever way, with that much in the page cache. No caller has it open any more, and what this process has
// open of it is about to be closed.
func (b *Buffers) gone(kind string, ino, cached uint64) {
	p := &b.past
	p.mu.Lock()
	defer p.mu.Unlock()
	p.names = append(p.names, fileName(kind, ino))
	p.bytes += cached
	if !p.areMany() || p.busy || p.closed {
		return
	}
	p.busy = true
	p.work.Add(1)
	go func() {
		defer p.work.Done()
		for names := p.many(); names != nil; names = p.many() {
			b.haveForgotten(names)
		}
	}()
}

// many takes the names if there are many; if not, who asks is done.
func (p *past) many() (names []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.areMany() || p.closed {
		p.busy = false
		return nil
	}
	names, p.names, p.bytes = p.names, nil, 0
	return names
}

func (p *past) areMany() bool { return len(p.names) >= p.max || p.bytes >= p.maxBytes }

// haveForgotten has the kernel forget files.
func (b *Buffers) haveForgotten(names []string) {
	for _, name := range names {
		switch status := b.server.EntryNotify(fuse.FUSE_ROOT_ID, name); status {
		case fuse.OK, fuse.ENOENT: // it had forgotten that one
		case fuse.EBADF, fuse.ENODEV, fuse.Status(unix.ENOTCONN): // the mount is gone
			return
		default:
			slog.Debug("the kernel remembers a buffer that is gone", "error", status)
		}
	}
}

// end waits for what is under way; no more is begun.
func (p *past) end() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.work.Wait()
}
