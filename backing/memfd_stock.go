package backing

import (
	"log/slog"
	"os"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
)

// blank makes a file without a size: both descriptors open, the watch in place.
func (m *Memfds) blank() (*Memfd, error) {
	first, err := sys.Memfd(memfdName)
	if err != nil {
		return nil, err
	}
	f := &Memfd{owner: m, watch: -1, caller: -1, lease: -1}
	err = f.open(first)
	sys.Close(first) // before there is a watch: it would hint
	if err != nil {
		f.close()
		return nil, err
	}
	if m.hints != nil {
		m.hints.add(f)
	}
	return f, nil
}

func (f *Memfd) open(first int) (err error) {
	if f.lease, err = sys.Reopen(first, unix.O_RDONLY); err != nil {
		return err
	}
	if f.caller, err = sys.Reopen(first, unix.O_RDWR); err != nil {
		return err
	}
	if err = unix.Fchmod(f.caller, bufferMode); err != nil {
		return os.NewSyscallError("fchmod", err)
	}
	f.id, err = sys.StatFD(f.lease)
	return err
}

// takeReady gives a file that needs nothing more, or nil. Programs ask for the same size again and again, as a rule, and giving a file
// its size and seals is a tenth of an ALLOC.
func (m *Memfds) takeReady(size uint64, accMode int, cpu bool, gone func()) *Memfd {
	if accMode != unix.O_RDWR || !cpu {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lastOf == size && m.wanted != size {
		m.wanted = size
		m.wantStock()
	}
	m.lastOf = size
	if m.readyOf != size || len(m.ready) == 0 {
		return nil
	}
	f := m.ready[len(m.ready)-1]
	m.ready = m.ready[:len(m.ready)-1]
	if len(m.ready) < m.limit.ready/2 {
		m.wantStock()
	}
	f.gone = gone
	m.live[f] = struct{}{}
	return f
}

// makeReady completes files of the size that is wanted. False if it could not, or there is nothing more to do.
func (m *Memfds) makeReady() bool {
	m.mu.Lock()
	size := m.wanted
	change, full := size != m.readyOf, len(m.ready) >= m.limit.ready
	m.mu.Unlock()
	switch {
	case change:
		m.dropReady(size)
	case full:
		return false
	}
	if size == 0 {
		return false
	}
	f, err := m.blank()
	if err == nil {
		if err = f.prepare(size, unix.O_RDWR, true); err != nil {
			f.close()
		}
	}
	if err != nil {
		slog.Debug("no files are made ready", "error", err)
		return false
	}
	m.mu.Lock()
	stale := m.readyOf != size
	if !stale {
		m.ready = append(m.ready, f)
	}
	m.mu.Unlock()
	if stale { // dropped meanwhile
		f.close()
	}
	return true
}

// dropReady closes the ready files, says how many, and has those of another size made from now on: none for 0.
func (m *Memfds) dropReady(size uint64) int {
	m.mu.Lock()
	drop := m.ready
	m.ready, m.readyOf, m.wanted = nil, size, size
	m.mu.Unlock()
	for _, f := range drop {
		f.close()
	}
	return len(drop)
}

// take gives a blank file from the stock, or makes one where that is empty.
func (m *Memfds) take() (*Memfd, error) {
	select {
	case f := <-m.stock:
		if len(m.stock) < cap(m.stock)/2 {
			m.wantStock()
		}
		return f, nil
	default:
	}
	m.wantStock()
	select {
	case <-m.stop:
		return nil, errStopped
	default:
	}
	f, err := m.blank()
	if err != nil && m.dropReady(0) > 0 {
		// What lies ready for another size holds descriptors that are needed more here.
		f, err = m.blank()
	}
	return f, err
}

func (m *Memfds) wantStock() {
	select {
	case m.low <- struct{}{}:
	default: // asked already
	}
}

// fill keeps the stock. It gives up where descriptors run out, until it is asked again: the ALLOCs need them more.
func (m *Memfds) fill() {
	defer m.wg.Done()
	for {
		select {
		case <-m.stop:
			return
		case <-m.low:
		}
		for len(m.stock) < cap(m.stock) {
			f, err := m.blank()
			if err != nil {
				slog.Debug("the stock of files is not filled", "error", err)
				break
			}
			select {
			case m.stock <- f:
				continue
			case <-m.stop:
				f.close()
				return
			}
		}
		for m.makeReady() {
			select {
			case <-m.stop:
				return
			default:
			}
		}
	}
}
