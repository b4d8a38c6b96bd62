package heapnodes

import (
	"log/slog"

	"github.com/heapfs/heapfs/backing"
	"github.com/heapfs/heapfs/devices"
)

// take accounts for size bytes of the node's heap, unless the buffer would be beyond what the node's devices can take.
func (n *Node) take(size uint64) ([]backing.Extent, error) {
	for i := range n.Limits {
		if err := n.Limits[i].CheckSize(devices.Bytes(size)); err != nil {
			return nil, err
		}
	}
	extents, err := n.heaps.takeOrSweep(n.heap, size)
	if err != nil {
		return nil, err
	}
	for i := range n.Limits {
		// How many segments there are is known only now.
		if err := n.Limits[i].CheckSegments(ranges(extents)); err != nil {
			if gerr := n.heap.giveBack(extents, size); gerr != nil {
				slog.Error("extents could not be freed", "heap", n.Name, "error", gerr)
			}
			return nil, err
		}
	}
	return extents, nil
}

// ranges yields address and length in bytes.
func ranges(extents []backing.Extent) func(yield func(addr, length uint64) bool) {
	return func(yield func(addr, length uint64) bool) {
		for _, e := range extents {
			if !yield(e.Addr, e.Len) {
				return
			}
		}
	}
}
