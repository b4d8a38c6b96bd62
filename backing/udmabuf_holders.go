package backing

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
)

// holdersPerSet is how many dma-bufs an epoll set watches: to list one set is a matter of some 100 µs then.
const holdersPerSet = 256

// holders knows which dma-bufs somebody holds. An epoll set does not keep a file alive, and the kernel takes a file out of every set
// when its last reference goes: a descriptor anywhere or in flight, a mapping, an import by a device. So a file whose descriptor of
// ours is closed is held exactly as long as the set lists it, and the list is the set's fdinfo.
type holders struct {
	mu   sync.Mutex // of what follows
	last uint64
	sets []*holderSet
}

type holderSet struct {
	fd    int // epoll's
	files map[uint64]*Udmabuf
}

// add watches f, whose descriptor must be open. EMFILE, ENFILE, ENOMEM; ENOSPC: fs.epoll.max_user_watches.
func (h *holders) add(f *Udmabuf) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	s, err := h.room()
	if err != nil {
		return err
	}
	h.last++
	if err := addEntry(s.fd, f.fd, 0, h.last); err != nil {
		return os.NewSyscallError("epoll_ctl EPOLL_CTL_ADD", err)
	}
	s.files[h.last] = f
	return nil
}

// room is a set that takes one more.
func (h *holders) room() (*holderSet, error) {
	for _, s := range h.sets {
		if len(s.files) < holdersPerSet {
			return s, nil
		}
	}
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	s := &holderSet{fd: fd, files: map[uint64]*Udmabuf{}}
	h.sets = append(h.sets, s)
	return s, nil
}

// ended takes those that nobody holds any more out of the account and gives them, once.
func (h *holders) ended() []*Udmabuf {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []*Udmabuf
	for _, s := range h.sets {
		if len(s.files) == 0 {
			continue
		}
		held, err := s.list()
		if err != nil {
			slog.Error("can't ask which buffers are held", "error", err)
			continue
		}
		for id, f := range s.files {
			if !held[id] {
				delete(s.files, id)
				all = append(all, f)
			}
		}
	}
	h.trim()
	return all
}

// trim closes the sets that watch nothing, but one.
func (h *holders) trim() {
	spare := false
	keep := h.sets[:0]
	for _, s := range h.sets {
		if len(s.files) == 0 && spare {
			sys.Close(s.fd)
			continue
		}
		spare = spare || len(s.files) == 0
		keep = append(keep, s)
	}
	clear(h.sets[len(keep):])
	h.sets = keep
}

// list reads which files a set still has. The kernel writes the list under the lock under which it also removes files from it.
func (s *holderSet) list() (map[uint64]bool, error) {
	f, err := os.Open("/proc/self/fdinfo/" + strconv.Itoa(s.fd))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // read only
	text, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	return parseHolders(text)
}

// parseHolders gives the data of all entries in the fdinfo of an epoll set (fs/eventpoll.c, ep_show_fdinfo). An entry that it does
// not understand is an error: to miss one would be to take a buffer from its holder.
func parseHolders(fdinfo []byte) (map[uint64]bool, error) {
	held := map[uint64]bool{}
	for line := range bytes.Lines(fdinfo) {
		if !bytes.HasPrefix(line, []byte("tfd:")) {
			continue
		}
		_, after, _ := bytes.Cut(line, []byte("data:"))
		word := bytes.Fields(after)
		if len(word) == 0 {
			return nil, fmt.Errorf("fdinfo of an epoll set: %q has no data", line)
		}
		id, err := strconv.ParseUint(string(word[0]), 16, 64)
		if err != nil {
			return nil, fmt.Errorf("fdinfo of an epoll set: %q: %w", line, err)
		}
		held[id] = true
	}
	return held, nil
}

// remove takes f out of the account.
func (h *holders) remove(f *Udmabuf) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.sets {
		for id, g := range s.files {
			if f == g {
				delete(s.files, id)
				return
			}
		}
	}
}

// has is whether a buffer of just these extents is in the account.
func (h *holders) has(s *store, extents []Extent) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, set := range h.sets {
		for _, f := range set.files {
			if f.store == s && slices.Equal(f.extents, extents) {
				return true
			}
		}
	}
	return false
}

func (h *holders) count() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.sets {
		n += len(s.files)
	}
	return n
}

func (h *holders) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.sets {
		sys.Close(s.fd)
	}
	h.sets = nil
}
