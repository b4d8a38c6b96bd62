package probe

import (
	"slices"
	"strings"

	"github.com/heapfs/heapfs/devices"
	"github.com/heapfs/heapfs/devices/board"
)

// heaps compares the board's heaps with those that the machine has (/sys/class/dma_heap), and adds what is missing.
func (m *machine) heaps() error {
	names, err := m.names("sys/class/dma_heap")
	if err != nil {
		return err
	}
	b := m.found.Board
	if len(names) == 0 {
		m.note("this machine has no heaps of its own (/sys/class/dma_heap): the board's are those that a kernel would give it")
		return nil
	}
	has := func(name string) bool {
		return slices.ContainsFunc(b.Heaps, func(h board.Heap) bool { return h.Name == name || slices.Contains(h.Aliases, name) })
	}
	for _, name := range names {
		if has(name) || board.CheckName(name) != nil {
			continue
		}
		pool, ok := m.poolFor(name)
		if !ok {
			m.note("heap %s of this machine is of no kind that its name tells: left out", name)
			continue
		}
		b.Heaps = append(b.Heaps, board.Heap{Name: name, Pool: pool})
	}
	for _, h := range b.Heaps {
		if !slices.Contains(names, h.Name) {
			m.note("this machine has no heap %s: its kernel gives another name to it, or none", h.Name)
		}
	}
	return nil
}

// protectedSize is the size of a protected pool, of which nothing says how large it is, in bytes.
const protectedSize = 64 << 20

// poolFor tells by the name over which pool a heap lies: names are all that a kernel shows.
func (m *machine) poolFor(name string) (pool string, ok bool) {
	b := m.found.Board
	byKind := func(kind board.Kind) (string, bool) {
		if h := b.DefaultCMA(); kind == board.KindContiguous && h != nil {
			return h.Pool, true
		}
		for _, p := range b.Pools {
			if p.Kind == kind {
				return p.Name, true
			}
		}
		return "", false
	}
	switch {
	case strings.HasPrefix(name, "protected,"), strings.HasSuffix(name, "-secure"):
		if pool, ok := byKind(board.KindProtected); ok {
			return pool, true
		}
		region := ""
		for _, p := range b.Pools {
			if p.Kind == board.KindScatter {
				region = p.Region
			}
		}
		m.note("how large the protected memory is is not to be seen: %v assumed", devices.Bytes(protectedSize))
		b.Pools = append(b.Pools, board.Pool{Name: "protected", Kind: board.KindProtected, Region: region, Size: protectedSize})
		return "protected", true
	case strings.HasPrefix(name, "system"):
		return byKind(board.KindScatter)
	case name == "reserved", name == "default-pool", strings.Contains(name, "cma"):
		return byKind(board.KindContiguous)
	}
	return "", false
}
