package probe

import (
	"bufio"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"

	"github.com/heapfs/heapfs/devices"
	"github.com/heapfs/heapfs/devices/board"
	"github.com/heapfs/heapfs/devices/dtb"
)

const pageSize = 4096

// fromPC makes a board of a machine without a device tree: memory and the heap system.
func (m *machine) fromPC(name string) error {
	if name == "" {
		name = nameOf(m.word("sys/class/dmi/id/product_name"))
	}
	b := &board.Board{APIVersion: board.APIVersion, Name: name}
	m.found.Board = b
	if vendor := m.word("sys/class/dmi/id/sys_vendor"); vendor != "" {
		b.Description = board.Printable(vendor + " " + m.word("sys/class/dmi/id/product_name"))
	}
	ranges, err := m.memory()
	if err != nil {
		return err
	}
	var largest *board.Memory
	for _, r := range ranges {
		b.Memory = append(b.Memory, board.Memory{
			Name: fmt.Sprintf("memory@%x", r.Base), Base: devices.Address(r.Base), Size: devices.Bytes(r.Size),
		})
	}
	for i := range b.Memory {
		if largest == nil || b.Memory[i].Size > largest.Size {
			largest = &b.Memory[i]
		}
	}
	if largest == nil {
		return fmt.Errorf("board probe: neither /proc/iomem nor /sys/devices/system/memory nor /proc/meminfo says how much memory there is")
	}
	if size := m.meminfo("CmaTotal"); size >= pageSize && devices.Bytes(size) < largest.Size {
		b.Pools = append(b.Pools, board.Pool{Name: "cma", Kind: board.KindContiguous, Region: largest.Name, Size: devices.Bytes(size)})
		b.Heaps = append(b.Heaps, board.Heap{Name: "default_cma_region", Pool: "cma", Default: true})
		m.note("where the CMA area of %v lies is not to be seen: it is put into %s", devices.Bytes(size), largest.Name)
	}
	b.Pools = append(b.Pools, board.Pool{Name: "system", Kind: board.KindScatter, Region: largest.Name})
	b.Heaps = append([]board.Heap{{Name: "system", Pool: "system"}}, b.Heaps...)
	return nil
}

// memory gives the physical memory: of /proc/iomem, which shows addresses to root only; else of the blocks that memory is switched on in;
// else just as much as there is.
func (m *machine) memory() ([]dtb.Range, error) {
	if ranges := m.iomem(); len(ranges) > 0 {
		return ranges, nil
	}
	ranges, err := m.blocks()
	if err != nil {
		return nil, err
	}
	if len(ranges) > 0 {
		m.note("/proc/iomem shows addresses to root only: the memory is that of the blocks in /sys/devices/system/memory, holes in them included")
		return ranges, nil
	}
	if total := m.meminfo("MemTotal"); total > 0 {
		m.note("where the memory lies is not to be seen: it is put at 4 GiB")
		return []dtb.Range{{Base: 4 << 30, Size: total &^ (pageSize - 1)}}, nil
	}
	return nil, nil
}

// iomem reads lines such as "100000000-63fffffff : System RAM". Without privilege all addresses are 0.
func (m *machine) iomem() []dtb.Range {
	f, err := os.Open(m.path("proc/iomem"))
	if err != nil {
		return nil
	}
	defer f.Close()
	var ranges []dtb.Range
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// What is indented is inside another entry.
		span, what, ok := strings.Cut(lines.Text(), " : ")
		if !ok || what != "System RAM" || strings.HasPrefix(span, " ") {
			continue
		}
		first, last, _ := strings.Cut(span, "-")
		base, err := strconv.ParseUint(first, 16, 52)
		end, err2 := strconv.ParseUint(last, 16, 52)
		if err != nil || err2 != nil {
			continue
		}
		base, end = (base+pageSize-1)&^(pageSize-1), (end+1)&^(pageSize-1)
		if base < end {
			ranges = append(ranges, dtb.Range{Base: base, Size: end - base})
		}
	}
	return merged(ranges)
}

// blocks reads /sys/devices/system/memory.
func (m *machine) blocks() ([]dtb.Range, error) {
	const dir = "sys/devices/system/memory"
	size, err := strconv.ParseUint(m.word(dir, "block_size_bytes"), 16, 40)
	if err != nil || size == 0 || size%pageSize != 0 {
		return nil, nil
	}
	names, err := m.names(dir)
	if err != nil {
		return nil, err
	}
	var ranges []dtb.Range
	for _, n := range names {
		if !strings.HasPrefix(n, "memory") || m.word(dir, n, "state") != "online" {
			continue
		}
		index, err := strconv.ParseUint(m.word(dir, n, "phys_index"), 16, 32)
		if err == nil && index < (1<<52)/size {
			ranges = append(ranges, dtb.Range{Base: index * size, Size: size})
		}
	}
	return merged(ranges), nil
}

// merged sorts ranges and makes one of those that touch.
func merged(ranges []dtb.Range) []dtb.Range {
	sort.Slice(ranges, func(i, j int) bool { return ranges[i].Base < ranges[j].Base })
	var out []dtb.Range
	for _, r := range ranges {
		if n := len(out); n > 0 && r.Base <= out[n-1].Base+out[n-1].Size {
			out[n-1].Size = max(out[n-1].Size, r.Base+r.Size-out[n-1].Base)
			continue
		}
		out = append(out, r)
	}
	return out
}

// meminfo gives a line of /proc/meminfo in bytes, 0 without it.
func (m *machine) meminfo(key string) uint64 {
	for line := range strings.Lines(m.word("proc/meminfo")) {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[0] == key+":" && fields[2] == "kB" {
			n, err := strconv.ParseUint(fields[1], 10, 42)
			if err == nil {
				return n << 10
			}
		}
	}
	return 0
}
