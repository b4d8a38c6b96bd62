package backing

import (
	"log/slog"

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
	f.id, err = sys.StatFD(f.lease)
	return err
}

// take gives a blank file from the stock, or makes one where that is empty.
func (m *Memfds) take() (*Memfd, error) {
	select {
	case f := <-m.stock:
		if len(m.stock) < stockSize/2 {
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
		return m.blank()
	}
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
	}
}
