package backing

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
)

// udmabufDevice makes dma-bufs of memfds.
const udmabufDevice = "/dev/udmabuf"

// sweepAfter is how many bytes may be handed out until it is asked what has come back: memory that nobody holds should not pile up
// until the machine has none.
const sweepAfter = 64 << 20

// Udmabufs makes a real dma-buf per buffer, of the very ranges of its pool's memory that its extents name, and finds out when nobody
// holds one any more: no descriptor, no mapping, no device that imported it.
//
// The end is told by epoll sets (see holders). A live buffer costs the server no descriptor.
type Udmabufs struct {
	dev     int
	pagemap int // this process's, opened while it was privileged; -1 if it can't be
	stores  map[string]*store
	limits  udmabufLimits
	holders holders
	hints   *udmabufHints
	fresh   atomic.Uint64 // bytes handed out since the last Sweep

	// sweeping is held while files are taken out of the account and their end is told, so that a Sweep waits for another one.
	sweeping sync.Mutex
}

// Udmabuf is the dma-buf of one buffer.
type Udmabuf struct {
	owner   *Udmabufs
	store   *store
	extents []Extent
	id      sys.FileID
	gone    func()
	watch   int // inotify's, -1 if there is none

	mu sync.Mutex // of what follows
	fd int        // the first descriptor, until Delivered; -1 after
}

// CheckUdmabuf is whether this process may make udmabufs. The error says what to do.
func CheckUdmabuf() error {
	fd, err := openUdmabuf()
	sys.Close(fd)
	return err
}

func openUdmabuf() (int, error) {
	fd, err := unix.Open(udmabufDevice, unix.O_RDWR|unix.O_CLOEXEC, 0)
	switch {
	case err == nil:
		return fd, nil
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return -1, fmt.Errorf("open %s: %w; load the module (modprobe udmabuf) or use a kernel with CONFIG_UDMABUF", udmabufDevice, err)
	default:
		return -1, fmt.Errorf("open %s: %w; open it to the user: chmod 0666 %s, or a udev rule", udmabufDevice, err, udmabufDevice)
	}
}

// NewUdmabufs starts the exporter for these pools. Close ends it. It opens what later needs privileges, so call it before giving
// them up.
func NewUdmabufs(pools []PoolConfig) (*Udmabufs, error) {
	m := &Udmabufs{dev: -1, pagemap: -1, stores: map[string]*store{}}
	if err := m.open(pools); err != nil {
		m.release()
		return nil, fmt.Errorf("export udmabuf: %w", err)
	}
	return m, nil
}

func (m *Udmabufs) open(pools []PoolConfig) (err error) {
	if m.dev, err = openUdmabuf(); err != nil {
		return err
	}
	// Only reports need it.
	if m.pagemap, err = unix.Open("/proc/self/pagemap", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		m.pagemap = -1
	}
	for _, p := range pools {
		if p.Kind == Protected {
			continue
		}
		s, err := newStore(p)
		if err != nil {
			return err
		}
		m.stores[p.Name] = s
		slog.Info("memory of a pool", "pool", p.Name, "bytes", p.Size, "pages", s.pages)
	}
	// Whether the kernel has what this way needs is found out here, not in a caller's ALLOC.
	if err := m.tryOut(); err != nil {
		return err
	}
	m.hints = newUdmabufHints(m)
	size, ranges := m.limits.read()
	slog.Info("udmabuf", "size_limit_mb", size, "list_limit", ranges, "end of buffers", m.hints.how())
	return nil
}

// Close ends the exporter. Callers keep what they hold; nobody is told of an end any more.
func (m *Udmabufs) Close() {
	m.hints.close()
	m.release()
}

func (m *Udmabufs) release() {
	m.holders.close()
	for _, s := range m.stores {
		s.close()
	}
	sys.Close(m.dev)
	sys.Close(m.pagemap)
}

var (
	// ErrNoCPU is an ALLOC from a protected pool.
	ErrNoCPU = errors.New("a udmabuf can always be mapped, a buffer of a protected pool must not be: use --export memfd for it")
	// ErrNoStore is a pool that NewUdmabufs was not given.
	ErrNoStore = errors.New("the pool has no memory")
)

// New makes a dma-buf of the extents of a pool, zeroed and in their order. Its access mode is O_RDWR: udmabuf knows no other. gone is
// called once, from another goroutine, when nobody holds it any more: not before Delivered, and not after Discard. By then the
// extents are zeroed again.
//
// With cpu false it is ErrNoCPU. Other errors say which limit of the module is in the way, or are EMFILE, ENFILE, ENOMEM, ENOSPC of
// the calls below.
func (m *Udmabufs) New(pool string, extents []Extent, cpu bool, gone func()) (*Udmabuf, error) {
	if !cpu {
		return nil, ErrNoCPU
	}
	s := m.stores[pool]
	if s == nil {
		return nil, fmt.Errorf("pool %q: %w", pool, ErrNoStore)
	}
	size := sizeOf(extents)
	if err := m.limits.check(size, len(extents)); err != nil {
		return nil, err
	}
	if m.fresh.Add(size) > sweepAfter {
		m.Sweep()
	}
	if err := s.take(extents); err != nil {
		return nil, err
	}
	f := &Udmabuf{owner: m, store: s, extents: extents, gone: gone, watch: -1, fd: -1}
	if err := f.make(); err != nil {
		sys.Close(f.fd)
		s.release(extents)
		return nil, m.limits.explain(err, size, len(extents))
	}
	s.unseen(extents)
	m.hints.add(f)
	return f, nil
}

func (f *Udmabuf) make() (err error) {
	if f.fd, err = sys.UdmabufOf(f.owner.dev, f.store.fd, f.store.ranges(f.extents)); err != nil {
		return err
	}
	// Until somebody has begun an access, its end is EINVAL (udmabuf.c, end_cpu_udmabuf). A heap's buffer knows no such thing.
	for _, end := range []bool{false, true} {
		if err := sys.BufSync(f.fd, end); err != nil {
			return err
		}
	}
	if f.id, err = sys.StatFD(f.fd); err != nil {
		return err
	}
	return f.owner.holders.add(f)
}

// tryOut makes a dma-buf and sees its end.
func (m *Udmabufs) tryOut() error {
	fd, err := sys.UdmabufOfAPage(m.dev)
	if err != nil {
		return err
	}
	f := &Udmabuf{owner: m, fd: fd, watch: -1}
	err = m.holders.add(f)
	if err == nil && len(m.holders.ended()) > 0 {
		err = errNotExact
	}
	sys.Close(fd)
	if err != nil {
		return err
	}
	if len(m.holders.ended()) != 1 {
		return errNotExact
	}
	return nil
}

var errNotExact = errors.New("this kernel's epoll sets do not tell when a dma-buf is gone")

func sizeOf(extents []Extent) (size uint64) {
	for _, e := range extents {
		size += e.Len
	}
	return size
}

// ID names the file.
func (f *Udmabuf) ID() sys.FileID { return f.id }

// FD is the first descriptor of the dma-buf, -1 after Delivered.
func (f *Udmabuf) FD() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fd
}

// Delivered closes FD, so that only the caller's side holds the dma-buf.
func (f *Udmabuf) Delivered() { f.closeOwn() }

func (f *Udmabuf) closeOwn() {
	f.mu.Lock()
	fd := f.fd
	f.fd = -1
	f.mu.Unlock()
	sys.Close(fd)
}

// Discard closes everything without a call of gone. The extents may be given to another buffer only if nobody was given FD.
func (f *Udmabuf) Discard() {
	f.owner.holders.remove(f)
	f.owner.hints.drop(f)
	f.closeOwn()
	f.store.release(f.extents)
}

// Sweep asks of every dma-buf whether it is still held. When it returns, the gone of each that nobody held before has been called, by
// whomever.
func (m *Udmabufs) Sweep() { m.sweep() }

// sweep says how many have ended.
func (m *Udmabufs) sweep() int {
	m.sweeping.Lock()
	defer m.sweeping.Unlock()
	m.fresh.Store(0)
	all := m.holders.ended()
	for _, f := range all {
		m.hints.drop(f)
		f.store.release(f.extents)
		f.gone()
	}
	return len(all)
}

// ErrEnded says that nobody holds the buffer any more.
var ErrEnded = errors.New("the buffer has ended")

// Phys is how the memory of a live buffer, of these extents of a pool, really lies. ErrEnded, ErrNoPFN.
func (m *Udmabufs) Phys(pool string, extents []Extent) (Phys, error) {
	s := m.stores[pool]
	switch {
	case s == nil:
		return Phys{}, fmt.Errorf("pool %q: %w", pool, ErrNoStore)
	case m.pagemap < 0:
		return Phys{}, fmt.Errorf("open /proc/self/pagemap: %w", os.ErrPermission)
	}
	// No buffer ends meanwhile: to look at what nobody holds would take memory for it.
	m.sweeping.Lock()
	defer m.sweeping.Unlock()
	if !m.holders.has(s, extents) {
		return Phys{}, ErrEnded
	}
	return s.phys(m.pagemap, extents)
}
