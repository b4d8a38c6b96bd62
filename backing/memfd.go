package backing

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/stock"
	"github.com/heapfs/heapfs/internal/sys"
)

const (
	// memfdName shows in /proc/PID/maps and in the link of the caller's descriptor: "/memfd:dmabuf (deleted)".
	memfdName = "dmabuf"

	// bufferMode is what fstat shows of a dma-buf.
	bufferMode = 0o600

	// bufferSeals keep a holder from changing the size under the others, and from adding seals that would lock them out.
	bufferSeals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL

	// maxStock is how many files without a size lie ready at the most: making one, with its watch, costs more than the rest of an
	// ALLOC.
	maxStock = 32
	// maxReady is how many files of the size that was asked for last lie ready with that size and sealed, at the most.
	maxReady = 128
	// stockShare of the limit of open files is what each of the two may be where that is small; both have two descriptors a file.
	stockShare = 64
	// otherFiles are the descriptors that a server with a usual limit keeps for all else, what lies ready included: a live buffer has one.
	otherFiles = 1024

	// sweepEvery is how often all live files are asked whether somebody holds them, in case that a hint was lost.
	sweepEvery = 5 * time.Second
	// sweepEveryUnwatched is the same where the kernel gave no inotify watch.
	sweepEveryUnwatched = 100 * time.Millisecond
)

// Memfds makes a sealed memfd per buffer and finds out when nobody holds one any more.
//
// Each file has one descriptor of ours: an open for reading only, on which a write lease can be taken exactly when no other open
// and no mapping exists (fcntl(2), F_SETLEASE). The kernel does not count the descriptor that memfd_create returned, so that
// one is closed at once. When to ask is hinted by inotify; hints may be coalesced or lost, so a slow timer asks too.
type Memfds struct {
	hints  *hints
	closes *closes     // nil: every file is watched
	blanks chan *Memfd // files without a size
	limit  limits
	low    chan struct{} // the blanks want to be filled
	stop   chan struct{}
	wg     sync.WaitGroup

	// ending is held for reading while a file is taken out of the account and its end is told, so that a Sweep can wait for it.
	ending sync.RWMutex

	// ready are files with their size and seals. Giving a file these is a tenth of an ALLOC.
	ready *stock.Sized[*Memfd]

	mu   sync.Mutex // of what follows
	live map[*Memfd]struct{}
}

// limits keep the server from running out of descriptors in the middle of something: an ALLOC too many is refused before.
type limits struct{ live, stock, ready int }

func limitsOf(files int) limits {
	share := max(2, files/stockShare)
	return limits{live: max(files-otherFiles, files/2), stock: min(maxStock, share), ready: min(maxReady, share)}
}

// Memfd is the file of one buffer. Its descriptors belong to it.
type Memfd struct {
	owner *Memfds
	id    sys.FileID
	watch int // inotify's, -1 if there is none
	gone  func()

	mu        sync.Mutex // of what follows
	lease     int        // our open for reading only
	caller    int        // the caller's own open, until Delivered; -1 after
	closed    bool
	needsHint bool // the caller's open has neither access and so is not counted: only a hint tells of its end
	opens     int  // other opens of a file that needs it, made through /proc, as far as hints tell
	hinted    bool
}

// NewMemfds starts the exporter. Close ends it.
func NewMemfds() (*Memfds, error) { return startMemfds(nil) }

func startMemfds(c *closes) (*Memfds, error) {
	limit := limitsOf(sys.FileLimit())
	m := &Memfds{
		limit: limit, blanks: make(chan *Memfd, limit.stock), low: make(chan struct{}, 1), stop: make(chan struct{}),
		live: map[*Memfd]struct{}{}, closes: c,
	}
	// Whether the kernel has what this way needs is found out here, not in a caller's ALLOC.
	first, err := m.blank()
	if err != nil {
		return nil, err
	}
	m.hints, err = newHints(m)
	if err != nil {
		slog.Warn("no inotify: the end of a buffer is seen later", "error", err)
	}
	first.close()
	if c != nil {
		m.wg.Add(1)
		go m.heed()
	}
	m.ready = stock.NewSized(limit.ready, m.complete, (*Memfd).close)
	m.wg.Add(2)
	go m.fill()
	go m.tick()
	m.wantStock()
	return m, nil
}

// Close ends the exporter and closes every descriptor of it. Callers keep what they hold; nobody is told of an end any more.
func (m *Memfds) Close() {
	m.ready.Close()
	close(m.stop)
	if m.hints != nil {
		m.hints.close()
	}
	m.wg.Wait()
	if m.hints != nil {
		defer m.hints.release()
	}
	close(m.blanks)
	for f := range m.blanks {
		f.close()
	}
	for _, f := range m.all() {
		f.close()
	}
}

// New makes a zeroed file of size bytes. accMode is the access mode of the caller's open; with cpu false the file can't be
// mapped. gone is called once, from another goroutine, when nobody holds the file any more: not before Delivered, and not
// after Discard.
//
// An error is the server's trouble: ErrTooManyFiles, EMFILE, ENFILE or ENOMEM from the calls below, or a size that no file can have.
func (m *Memfds) New(size uint64, accMode int, cpu bool, gone func()) (*Memfd, error) {
	if m.count() >= m.limit.live {
		return nil, fmt.Errorf("%w: %d live buffers", ErrTooManyFiles, m.limit.live)
	}
	if accMode == unix.O_RDWR && cpu {
		if f, ok := m.ready.Take(size); ok {
			f.gone = gone
			m.add(f)
			return f, nil
		}
	}
	f, err := m.take()
	if err != nil {
		return nil, err
	}
	f.gone = gone
	if err := f.prepare(size, accMode, cpu); err != nil {
		f.close()
		return nil, err
	}
	m.add(f)
	return f, nil
}

// prepare turns a blank file into a buffer's.
func (f *Memfd) prepare(size uint64, accMode int, cpu bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if int64(size) < 0 {
		return fmt.Errorf("%d bytes: %w", size, unix.EFBIG)
	}
	if err := sys.Truncate(f.caller, int64(size)); err != nil {
		return err
	}
	seals := bufferSeals
	if !cpu {
		// A file that is open for writing only can't be mapped at all; the seal keeps write(2) out too.
		accMode = unix.O_WRONLY
		seals |= unix.F_SEAL_WRITE
	}
	if err := sys.AddSeals(f.caller, seals); err != nil {
		return err
	}
	if accMode == unix.O_RDWR {
		return nil
	}
	own, err := sys.Reopen(f.lease, accMode)
	if err != nil {
		return err
	}
	sys.Close(f.caller)
	f.caller = own
	if f.needsHint = accMode == unix.O_ACCMODE; f.needsHint && f.owner.hints != nil {
		f.owner.hints.addOpens(f)
	}
	return nil
}

// ID names the file, however it is opened.
func (f *Memfd) ID() sys.FileID { return f.id }

// FD is the caller's own open of the file, -1 after Delivered.
func (f *Memfd) FD() int { return f.caller }

// Delivered closes FD, so that only the caller's side holds the file.
func (f *Memfd) Delivered() {
	f.mu.Lock()
	fd := f.caller
	f.caller = -1
	f.mu.Unlock()
	// If the caller is done with it already, this is the last close and hints at itself.
	sys.Close(fd)
}

// Discard closes everything without a call of gone.
func (f *Memfd) Discard() {
	f.owner.forget(f)
	f.close()
}

// Sweep asks of every live file whether it is still held. When it returns, the gone of each that nobody held before has been
// called, by whomever.
func (m *Memfds) Sweep() {
	if m.hints != nil {
		m.hints.drain(make([]byte, 16<<10))
	}
	for _, f := range m.all() {
		f.check()
	}
	m.ending.Lock()
	//nolint:staticcheck // Empty on purpose: it waits for those who are at it.
	m.ending.Unlock()
}

// check ends the file if nobody holds it.
func (f *Memfd) check() {
	f.mu.Lock()
	if f.closed || f.caller >= 0 || f.needsHint && !f.hinted {
		f.mu.Unlock()
		return
	}
	unheld, err := sys.Unheld(f.lease)
	f.mu.Unlock()
	if err != nil {
		slog.Error("can't ask whether a buffer is held", "error", err)
		return
	}
	if !unheld {
		return
	}
	f.owner.ending.RLock()
	defer f.owner.ending.RUnlock()
	if f.owner.forget(f) {
		f.close()
		f.gone()
	}
}

// hint notes that some open of the file was made or closed, and asks. Of a file whose opens are not all counted, the first close beyond
// those of other opens is the caller's own. (The kernel merges equal events that nobody has read: two opens at once may pass for one.)
func (f *Memfd) hint(mask uint32) {
	f.mu.Lock()
	switch {
	case !f.needsHint:
	case mask&unix.IN_OPEN != 0:
		f.opens++
	case f.opens > 0:
		f.opens--
	case mask&unix.IN_CLOSE_NOWRITE != 0: // the other kind is our own, from before
		f.hinted = f.hinted || f.caller < 0
	}
	f.mu.Unlock()
	f.check()
}

func (f *Memfd) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	f.closed = true
	if f.owner.hints != nil {
		f.owner.hints.drop(f)
	}
	sys.Close(f.caller)
	sys.Close(f.lease)
	f.caller = -1
}

func (m *Memfds) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.live)
}

func (m *Memfds) add(f *Memfd) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.live[f] = struct{}{}
}

func (m *Memfds) all() []*Memfd {
	m.mu.Lock()
	defer m.mu.Unlock()
	files := make([]*Memfd, 0, len(m.live))
	for f := range m.live {
		files = append(files, f)
	}
	return files
}

// forget takes a file out of the account; false if it was not in it.
func (m *Memfds) forget(f *Memfd) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.live[f]
	delete(m.live, f)
	return ok
}

// tick sweeps now and then.
func (m *Memfds) tick() {
	defer m.wg.Done()
	every := sweepEvery
	if m.hints == nil {
		every = sweepEveryUnwatched
	}
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-m.stop:
			return
		case <-t.C:
			m.Sweep()
		}
	}
}

// ErrTooManyFiles says that the server's limit of open files leaves no room for another buffer.
var ErrTooManyFiles = errors.New("the server's limit of open files (ulimit -Hn) is reached")

var errStopped = errors.New("the exporter is closed")
