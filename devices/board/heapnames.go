package board

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/heapfs/heapfs/devices"
)

// NameSet says under which names a kernel, or a vendor's, shows a board's heaps.
type NameSet string

// The name sets. docs/discovery.md has the source of each.
const (
	// Names61 and Names612: the default CMA heap goes by the name of its region only.
	Names61  NameSet = "6.1"
	Names612 NameSet = "6.12"
	// Names617: it is default_cma_region, and by CONFIG_DMABUF_HEAPS_CMA_LEGACY, which is on unless turned off, the old name too.
	Names617 NameSet = "6.17"
	// Names617NoLegacy: default_cma_region only.
	Names617NoLegacy NameSet = "6.17-no-legacy"
	// NamesAndroid: system and system-uncached, and protected heaps called vframe-secure and vstream-secure.
	NamesAndroid NameSet = "android"
	// NamesRockchip: cma and system, each with -uncached and system with -dma32 variants.
	NamesRockchip NameSet = "rockchip"
	// NamesRPi: linux,cma and system, and a symbolic link vidbuf_cached to the one that video needs.
	NamesRPi NameSet = "rpi"
	// NamesNXP: linux,cma and linux,cma-uncached.
	NamesNXP NameSet = "nxp"
)

// NameSets lists the name sets in the order of their declaration.
func NameSets() []NameSet {
	return []NameSet{Names61, Names612, Names617, Names617NoLegacy, NamesAndroid, NamesRockchip, NamesRPi, NamesNXP}
}

const (
	fixedCMAName = "default_cma_region" // DEFAULT_CMA_NAME in drivers/dma-buf/heaps/cma_heap.c, since 6.17
	dtCMAName    = "linux,cma"          // the customary name of the region's device tree node
	bareCMAName  = "reserved"           // what kernel/dma/contiguous.c calls a region that no device tree declares

	uncachedSuffix = "-uncached"
	dma32Suffix    = "-dma32"
	// dma32End is the end of the memory that a device with 32 address bits reaches.
	dma32End = 1 << 32
)

// legacyCMANames are those that the documentation of kernels lists (Documentation/userspace-api/dma-buf-heaps.rst).
var legacyCMANames = []string{dtCMAName, bareCMAName, "default-pool"}

// secureNames are the protected heaps that Android's media service asks for.
var secureNames = []string{"vframe-secure", "vstream-secure"}

// WithNames gives a copy of a valid board whose heaps go by the names of a set: those of the default CMA heap, of the heap named system and,
// for Android, of the protected ones. The names and aliases that these had before are gone; what refers to them (policy, devices) follows.
// Other heaps and the devices' nodes keep their names, and no heap is taken away. An empty set changes nothing.
//
// The error is one line for an unknown set, else an ErrorList: the board has another use for one of the names.
func (b *Board) WithNames(set NameSet) (*Board, error) {
	specs, err := b.PoolSpecs()
	if err != nil {
		return nil, err
	}
	if set == "" {
		return b, nil
	}
	if !slices.Contains(NameSets(), set) {
		return nil, fmt.Errorf("heap names %s: unknown; use one of %s", quote(string(set)), oneOf(NameSets()))
	}
	r := renamer{b: b.clone(), specs: specs, now: map[string]string{}}
	r.rename(set)
	r.follow()
	if err := r.b.Validate(); err != nil {
		return nil, fmt.Errorf("heap names %s: %w", set, err)
	}
	return r.b, nil
}

// clone copies what WithNames changes.
func (b *Board) clone() *Board {
	c := *b
	c.Pools, c.Heaps, c.Devices = slices.Clone(b.Pools), slices.Clone(b.Heaps), slices.Clone(b.Devices)
	c.Policy = maps.Clone(b.Policy)
	return &c
}

// renamer gives heaps other names.
type renamer struct {
	b     *Board
	specs []PoolSpec        // of the board as it was
	now   map[string]string // old name → new
}

func (r *renamer) rename(set NameSet) {
	cma, system := r.index(r.b.DefaultCMA()), r.index(r.b.heapNamed(systemHeap))
	legacy := ""
	if cma >= 0 {
		legacy = r.legacyName(&r.b.Heaps[cma])
	}
	switch set {
	case Names61, Names612:
		r.name(cma, legacy)
	case Names617:
		r.name(cma, fixedCMAName, legacy)
	case Names617NoLegacy:
		r.name(cma, fixedCMAName)
	case NamesAndroid:
		r.name(cma, legacy)
		r.name(system, systemHeap)
		r.uncached(system)
		r.secure()
	case NamesRockchip:
		r.name(cma, "cma")
		r.uncached(cma)
		r.name(system, systemHeap)
		r.uncached(system)
		r.uncached(r.dma32(system))
	case NamesRPi:
		r.name(cma, dtCMAName)
		r.name(system, systemHeap)
		r.link(cma, system, "vidbuf_cached")
	case NamesNXP:
		r.name(cma, dtCMAName)
		r.uncached(cma)
	}
}

func (r *renamer) index(h *Heap) int {
	if h == nil {
		return -1
	}
	return slices.IndexFunc(r.b.Heaps, func(x Heap) bool { return x.Name == h.Name })
}

// legacyName is what kernels to 6.16 call the default CMA heap: as the board says, else by the name of the reserved region that it has.
func (r *renamer) legacyName(h *Heap) string {
	for _, name := range append([]string{h.Name}, h.Aliases...) {
		if slices.Contains(legacyCMANames, name) {
			return name
		}
	}
	for _, p := range r.b.Pools {
		if p.Name != h.Pool {
			continue
		}
		if in := regionsOf(r.b).of(r.b, &p); in != nil && in.reserved {
			return in.name
		}
	}
	return bareCMAName
}

// name gives the heap at an index its names, the first one and aliases, in place of all that it had. An index below 0 is no heap.
func (r *renamer) name(at int, name string, aliases ...string) {
	if at < 0 {
		return
	}
	h := &r.b.Heaps[at]
	for _, old := range append([]string{h.Name}, h.Aliases...) {
		r.now[old] = name
	}
	r.now[name] = name
	// By its new name it might not be known for what it is.
	h.Default = h.Default || r.b.DefaultCMA() == h
	h.Name, h.Aliases = name, nil
	for _, a := range aliases {
		if a != name {
			h.Aliases = append(h.Aliases, a)
			r.now[a] = a
		}
	}
}

// uncached adds a heap over the same pool whose mappings are uncached.
func (r *renamer) uncached(at int) {
	if at < 0 {
		return
	}
	h := r.b.Heaps[at]
	name := h.Name + uncachedSuffix
	if stem, ok := strings.CutSuffix(h.Name, dma32Suffix); ok {
		name = stem + uncachedSuffix + dma32Suffix
	}
	h.Name, h.Aliases, h.Links, h.Default, h.Uncached = name, nil, nil, false, true
	r.add(h)
}

// add adds a heap, unless the board has one of that name; it gives its index.
func (r *renamer) add(h Heap) int {
	if at := r.index(r.b.heapNamed(h.Name)); at >= 0 {
		return at
	}
	r.b.Heaps = append(r.b.Heaps, h)
	return len(r.b.Heaps) - 1
}

// dma32 adds a heap over the part of the system heap's pool that 32 address bits reach. A pool that goes beyond is cut there: a kernel
// takes memory without that limit from above first. The index is -1 where there is no such part.
func (r *renamer) dma32(system int) int {
	if system < 0 {
		return -1
	}
	specs := r.specs
	at := slices.IndexFunc(specs, func(s PoolSpec) bool { return s.Name == r.b.Heaps[system].Pool })
	base, end := specs[at].Base, specs[at].Base+specs[at].Size
	if base >= dma32End {
		return -1
	}
	h := r.b.Heaps[system]
	h.Name, h.Aliases, h.Links = h.Name+dma32Suffix, nil, nil
	if end > dma32End && r.b.heapNamed(h.Name) == nil {
		// Every pool stays where it is.
		for i := range r.b.Pools {
			place := devices.Address(specs[i].Base)
			r.b.Pools[i].Base, r.b.Pools[i].Size = &place, devices.Bytes(specs[i].Size)
		}
		low := r.b.Pools[at]
		low.Name, low.Size = low.Name+dma32Suffix, devices.Bytes(dma32End-base)
		high, above := &r.b.Pools[at], devices.Address(dma32End)
		high.Base, high.Size = &above, devices.Bytes(end-dma32End)
		r.b.Pools = append(r.b.Pools, low)
		for i := range r.b.Heaps {
			if o := &r.b.Heaps[i]; o.Pool == high.Name {
				o.Quota = min(o.Quota, high.Size)
			}
		}
		h.Pool, h.Quota = low.Name, min(h.Quota, low.Size)
	}
	return r.add(h)
}

// secure names the protected heaps.
func (r *renamer) secure() {
	kinds := map[string]Kind{}
	for _, p := range r.b.Pools {
		kinds[p.Name] = p.Kind
	}
	free := slices.DeleteFunc(slices.Clone(secureNames), func(name string) bool { return r.b.heapNamed(name) != nil })
	for i := range r.b.Heaps {
		h := &r.b.Heaps[i]
		if len(free) > 0 && kinds[h.Pool] == KindProtected && !slices.Contains(secureNames, h.Name) {
			r.name(i, free[0])
			free = free[1:]
		}
	}
}

// link makes a symbolic link to the heap that Raspberry Pi OS takes video buffers from: the system heap where devices are behind
// IOMMUs, as on a Pi 5, else the default CMA heap.
func (r *renamer) link(cma, system int, name string) {
	to := cma
	if system >= 0 && (len(r.b.IOMMUs) > 0 || cma < 0) {
		to = system
	}
	if to >= 0 && !slices.Contains(r.b.Heaps[to].Links, name) {
		r.b.Heaps[to].Links = append(slices.Clone(r.b.Heaps[to].Links), name)
	}
}

// follow makes what names a heap name it as it is called now.
func (r *renamer) follow() {
	for usage, heap := range r.b.Policy {
		if now, ok := r.now[heap]; ok {
			r.b.Policy[usage] = now
		}
	}
	for i := range r.b.Devices {
		if now, ok := r.now[r.b.Devices[i].Heap]; ok {
			r.b.Devices[i].Heap = now
		}
	}
}
