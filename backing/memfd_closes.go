package backing

import (
	"sync"
	"time"
)

// closes are files whose last descriptor was closed, as whoever passes them on says. It is the cheaper hint: a watch has the kernel work for
// each file, and again some time after its end.
type closes struct {
	some chan struct{}

	mu    sync.Mutex
	files []*Memfd
}

// NewPassedMemfds is NewMemfds for one who hands out files of its own, which the kernel maps the memfds in the place of, and who says Closed when
// nobody has such a file any more. A memfd is then watched only where a mapping outlives that.
func NewPassedMemfds() (*Memfds, error) { return startMemfds(&closes{some: make(chan struct{}, 1)}) }

// Closed says that the file is held by mappings only, or not at all.
func (f *Memfd) Closed() {
	c := f.owner.closes
	if c == nil {
		return
	}
	c.mu.Lock()
	c.files = append(c.files, f)
	c.mu.Unlock()
	select {
	case c.some <- struct{}{}:
	default: // asked already
	}
}

// closePause is how long after a close the next ones are left to gather: more than hintPause, as nothing of the kernel's is in danger of being
// lost. Each round takes a processor from those who allocate.
const closePause = 5 * time.Millisecond

// heed asks of files that were closed whether they are held. The close is told of before it is quite done.
func (m *Memfds) heed() {
	defer m.wg.Done()
	for {
		select {
		case <-m.stop:
			return
		case <-m.closes.some:
		}
		time.Sleep(closePause)
		m.closes.mu.Lock()
		files := m.closes.files
		m.closes.files = nil
		m.closes.mu.Unlock()
		for _, f := range files {
			f.check()
			if f.watchOn() {
				f.check()
			}
		}
	}
}

// watchOn has the end of a file hinted at that is still there.
func (f *Memfd) watchOn() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || f.watch >= 0 || f.owner.hints == nil {
		return false
	}
	f.owner.hints.add(f)
	return true
}
