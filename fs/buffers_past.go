package fs

import (
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// maxPast is how many files that are gone the kernel may remember. By itself it forgets them only when it wants memory, and each takes
// about 1 KiB of it. To have one forgotten is a system call and a request of the kernel's, so it is done for many at a time and not while
// somebody waits for the close.
const maxPast = 1024

// past are the names of files that are gone, which the kernel still remembers.
type past struct {
	max int

	mu     sync.Mutex
	names  []string
	busy   bool
	closed bool
	work   sync.WaitGroup

	known atomic.Int64 // names that the kernel has been given and has not forgotten
}

// gone notes that a file has ended, by whatever way. Nobody has it open any more, or will.
func (b *Buffers) gone(kind string, ino uint64) {
	p := &b.past
	p.mu.Lock()
	defer p.mu.Unlock()
	p.names = append(p.names, fileName(kind, ino))
	if len(p.names) < p.max || p.busy || p.closed {
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
	if len(p.names) < p.max || p.closed {
		p.busy = false
		return nil
	}
	names, p.names = p.names, nil
	return names
}

// haveForgotten has the kernel forget files.
func (b *Buffers) haveForgotten(names []string) {
	for _, name := range names {
		if status := b.server.EntryNotify(fuse.FUSE_ROOT_ID, name); !status.Ok() && status != fuse.ENOENT { // it had forgotten that one
			slog.Debug("the kernel remembers buffers that are gone", "error", status)
			return
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
