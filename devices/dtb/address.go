package dtb

import (
	"math/bits"
	"strconv"
	"strings"
)

// Addresses as drivers/of/address.c translates them. An address of three cells has a leading one with flags (PCI, and the
// "default-flags" buses); the number is in the last two.

type address struct {
	flags uint32
	n     uint64
}

func number(c []uint32) uint64 {
	var n uint64
	for _, v := range c {
		n = n<<32 | uint64(v)
	}
	return n
}

func addressOf(c []uint32) address {
	if len(c) > 2 {
		return address{c[0], number(c[1:])}
	}
	return address{0, number(c)}
}

// childCells gives the cells of an address and of a size for what is directly below n. Where n doesn't say, what it is below does
// (of_bus_n_addr_cells).
func (n *Node) childCells() (addr, size int) {
	inherited := func(name string) int {
		for m := n; m != nil; m = m.Parent {
			if v, ok := m.u32(name); ok {
				return int(v)
			}
		}
		return 1
	}
	return inherited("#address-cells"), inherited("#size-cells")
}

const maxAddressCells = 4 // OF_MAX_ADDR_CELLS

// translatable says what the kernel's OF_CHECK_COUNTS says.
func translatable(addr, size int) bool {
	return addr > 0 && addr <= maxAddressCells && size > 0 && size <= maxAddressCells
}

// translate gives the CPU's address for one of n's own bus, by the property ranges or dma-ranges of all above it. The second
// result is false where it cannot be translated, as on a bus that is not mapped into memory.
func (n *Node) translate(a address, property string) (uint64, bool) {
	bus := n.Parent
	if bus == nil {
		return 0, false
	}
	addr, size := bus.childCells()
	if !translatable(addr, size) {
		return 0, false
	}
	for bus.Parent != nil {
		outerAddr, outerSize := bus.Parent.childCells()
		if !translatable(outerAddr, outerSize) {
			return 0, false
		}
		var ok bool
		if a, ok = bus.translateOne(a, property, addr, outerAddr, size); !ok {
			return 0, false
		}
		bus, addr, size = bus.Parent, outerAddr, outerSize
	}
	return a.n, true
}

func (n *Node) translateOne(a address, property string, addr, outer, size int) (address, bool) {
	v, ok := n.Value(property)
	if !ok && property == "ranges" {
		return a, false // what is below has addresses of its own
	}
	if len(v) == 0 {
		return address{0, a.n}, true
	}
	c := cells(v)
	for stride := addr + outer + size; len(c) >= stride; c = c[stride:] {
		from, to, length := addressOf(c[:addr]), addressOf(c[addr:addr+outer]), number(c[addr+outer:stride])
		if n.sameSpace(a.flags, from.flags, addr) && a.n >= from.n && a.n-from.n < length {
			return address{to.flags, to.n + (a.n - from.n)}, true
		}
	}
	return a, false
}

// sameSpace compares the flags of two addresses: PCI's say memory or I/O, those of other buses are compared as they are.
func (n *Node) sameSpace(a, b uint32, cells int) bool {
	if cells < 3 {
		return true
	}
	v, _ := n.Value("device_type")
	if text(v) != "pci" {
		return a == b
	}
	const space, io = 3, 1
	a, b = a>>24&space, b>>24&space
	return (a == io) == (b == io)
}

// regs gives the ranges of a node's reg, on its own bus.
func (n *Node) regs(property string) []Range {
	if n.Parent == nil {
		return nil
	}
	addr, size := n.Parent.childCells()
	v, _ := n.Value(property)
	if addr < 1 || size < 0 || addr > maxAddressCells || size > maxAddressCells {
		return nil
	}
	var list []Range
	for c := cells(v); len(c) >= addr+size; c = c[addr+size:] {
		list = append(list, Range{addressOf(c[:addr]).n, number(c[addr : addr+size])})
	}
	return list
}

// own gives the CPU's address of a node's registers.
func (n *Node) own() (uint64, bool) {
	if n.Parent == nil {
		return 0, false
	}
	v, _ := n.Value("reg")
	addr, _ := n.Parent.childCells()
	c := cells(v)
	if addr < 1 || addr > maxAddressCells || len(c) < addr {
		return 0, false
	}
	return n.translate(addressOf(c[:addr]), "ranges")
}

// DeviceName gives the name that the kernel gives to the node's platform device (of_device_make_bus_id in drivers/of/platform.c): the
// translated address and the name, "38300000.video-codec"; without a translatable address the names of all that the node is below, up to
// one that has one or to the root: "soc:gpu".
func (n *Node) DeviceName() string {
	name := ""
	for ; n.Parent != nil; n = n.Parent {
		if at, ok := n.own(); ok {
			unit := strconv.FormatUint(at, 16) + "."
			if mask, ok := n.u32("mask"); ok {
				bit := bits.TrailingZeros32(mask)
				if mask == 0 {
					bit = -1 // ffs(0) - 1
				}
				unit += strconv.FormatUint(uint64(uint32(bit)), 16) + "."
			}
			return joinName(unit+n.BaseName(), name)
		}
		name = joinName(n.Name, name)
	}
	return name
}

func joinName(outer, inner string) string {
	if inner == "" {
		return outer
	}
	return outer + ":" + inner
}

// SysfsPath gives the directory of the node's platform device: below those of the buses that it is on.
func (n *Node) SysfsPath() string {
	var parts []string
	for ; n.Parent != nil; n = n.Parent {
		parts = append(parts, n.DeviceName())
	}
	var path strings.Builder
	path.WriteString("/sys/devices/platform")
	for i := range parts {
		path.WriteString("/" + parts[len(parts)-1-i])
	}
	return path.String()
}

// DMARange is a range of memory that a device reaches, and where it sees it.
type DMARange struct {
	CPU, Bus uint64 // addresses of the first byte
	Size     uint64 // in bytes
}

// dmaParent is the bus through which a device masters memory: its interconnect where it has one called dma-mem, else its parent
// (__of_get_dma_parent).
func (t *Tree) dmaParent(n *Node) *Node {
	v, _ := n.Value("interconnect-names")
	for i, name := range texts(v) {
		if name != "dma-mem" {
			continue
		}
		if to := t.references(n, "interconnects", "#interconnect-cells"); i < len(to) {
			return to[i]
		}
	}
	return n.Parent
}

// DMARanges gives the ranges of memory that a device reaches, by the dma-ranges of the buses it is on (of_dma_get_range): none where
// the tree says nothing.
func (t *Tree) DMARanges(n *Node) []DMARange {
	bus := t.dmaParent(n)
	for hops := 0; bus != nil; bus = t.dmaParent(bus) {
		v, ok := bus.Value("dma-ranges")
		if len(v) > 0 {
			return bus.dmaRanges(cells(v))
		}
		if hops++; !ok && hops > 1 || hops > maxDepth {
			return nil // a bus in between that says nothing ends the search
		}
	}
	return nil
}

func (n *Node) dmaRanges(c []uint32) []DMARange {
	addr, size := n.childCells()
	outer := 1
	if n.Parent != nil {
		outer, _ = n.Parent.childCells()
	}
	stride := addr + outer + size
	if !translatable(addr, size) || !translatable(outer, 1) {
		return nil
	}
	var list []DMARange
	for ; len(c) >= stride; c = c[stride:] {
		cpu, ok := addressOf(c[addr:addr+outer]).n, true
		if n.Parent != nil {
			cpu, ok = n.translate(addressOf(c[addr:addr+outer]), "dma-ranges")
		}
		if length := number(c[addr+outer : stride]); ok && length > 0 {
			list = append(list, DMARange{CPU: cpu, Bus: addressOf(c[:addr]).n, Size: length})
		}
	}
	return list
}
