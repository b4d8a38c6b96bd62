package attach

import (
	"iter"

	"github.com/heapfs/heapfs/backing"
	"github.com/heapfs/heapfs/devices"
)

// window gives how many bytes at the start of an extent the device sees through one range of its bus, and the offset of that. Of what
// it does not reach, which placement has refused, it is all.
func (d *Device) window(e backing.Extent) (n, offset uint64) {
	for _, r := range d.Constraints.AddressRanges {
		if first := uint64(r.Base); e.Addr >= first && e.Addr-first < uint64(r.Size) {
			return min(e.Len, uint64(r.Size)-(e.Addr-first)), uint64(r.BusOffset)
		}
	}
	return e.Len, 0
}

// misses gives the first address of an extent that is in none of the ranges; no ranges are all addresses.
func misses(ranges []devices.AddressRange, e backing.Extent) (at uint64, missed bool) {
	if len(ranges) == 0 {
		return 0, false
	}
	for at = e.Addr; at < e.End(); {
		next := at
		for _, r := range ranges {
			if first := uint64(r.Base); at >= first && at-first < uint64(r.Size) {
				next = max(next, first+min(uint64(r.Size), e.End()-first))
			}
		}
		if next == at {
			return at, true
		}
		at = next
	}
	return 0, false
}

// join yields pieces, those that follow each other as one.
func join(pieces iter.Seq[Segment]) iter.Seq[Segment] {
	return func(yield func(Segment) bool) {
		var run Segment
		for p := range pieces {
			if run.Len != 0 && run.Addr+run.Len == p.Addr {
				run.Len += p.Len
				continue
			}
			if run.Len != 0 && !yield(run) {
				return
			}
			run = p
		}
		if run.Len != 0 {
			yield(run)
		}
	}
}
