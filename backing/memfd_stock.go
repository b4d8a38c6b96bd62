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
	if m.hints != nil && m.closes == nil {
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

// complete makes a file that needs nothing more but an owner.
func (m *Memfds) complete(size uint64) (*Memfd, error) {
	f, err := m.blank()
	if err != nil {
		return nil, err
	}
	if err := f.prepare(size, unix.O_RDWR, true); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// take gives a blank file, or makes one where none lies ready.
func (m *Memfds) take() (*Memfd, error) {
	select {
	case f := <-m.blanks:
		if len(m.blanks) < cap(m.blanks)/2 {
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
	if err != nil && m.ready.Drop() > 0 {
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
		for len(m.blanks) < cap(m.blanks) {
			f, err := m.blank()
			if err != nil {
				slog.Debug("the stock of files is not filled", "error", err)
				break
			}
			select {
			case m.blanks <- f:
				continue
			case <-m.stop:
				f.close()
				return
			}
		}
	}
}
