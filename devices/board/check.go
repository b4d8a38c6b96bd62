package board

import (
	"fmt"
	"sort"
	"strings"

	"github.com/heapfs/heapfs/devices"
	"github.com/heapfs/heapfs/uapi"
)

// Validate checks the meaning of a board made in Go; Parse has done so for a
// file. The error is an ErrorList without positions.
func (b *Board) Validate() error {
	var c checker
	c.board(b)
	return c.errs.err()
}

// checker collects what is wrong with the meaning of a board. Paths are those
// of the decoder, whose positions it looks up.
type checker struct {
	file string
	at   map[string]position
	errs ErrorList
}

// fail reports the value at path, or the nearest thing around it that the file
// has.
func (c *checker) fail(path, format string, args ...any) {
	e := &Error{File: c.file, Path: path, Msg: fmt.Sprintf(format, args...)}
	for p := path; ; p = parent(p) {
		if pos, ok := c.at[p]; ok {
			e.Line, e.Column = pos.line, pos.column
			break
		}
		if p == "" {
			break
		}
	}
	c.errs = append(c.errs, e)
}

func parent(path string) string {
	return path[:max(strings.LastIndexAny(path, ".["), 0)]
}

func (c *checker) board(b *Board) {
	if b.APIVersion != APIVersion {
		c.fail("apiVersion", "%s is not %s", quote(b.APIVersion), APIVersion)
	}
	c.nodeName("name", b.Name)
	c.printable("description", b.Description, true)
	before := len(c.errs)
	c.memory(b.Memory)
	c.pools(b)
	var specs []PoolSpec
	if len(c.errs) == before {
		// Places only mean something when the sizes do.
		specs = c.place(b)
	}
	c.iommus(b.IOMMUs)
	c.nodeNames(b)
	c.heaps(b, specs)
	c.devices(b)
	c.policy(b)
	if b.Export != "" {
		known(c, "export", b.Export, Exports())
	}
	c.uapi(b.UAPI)
}

func known[T ~string](c *checker, path string, v T, values []T) {
	for _, k := range values {
		if v == k {
			return
		}
	}
	c.fail(path, "%s is not one of %s", quote(string(v)), oneOf(values))
}

// maxAddress is the end of the physical address space (52 bits on arm64 and
// x86): all sums of the model stay far from wrapping.
const maxAddress = 1 << 52

// span checks a base and a size in units of unit, and says whether they are
// usable.
func (c *checker) span(path string, base devices.Address, size devices.Bytes, unit uint64) bool {
	ok := true
	if uint64(base)%unit != 0 {
		c.fail(path+".base", "%v is not a multiple of %v", base, devices.Bytes(unit))
		ok = false
	}
	if !c.length(path+".size", size, unit) {
		return false
	}
	if uint64(size) > maxAddress || uint64(base) > maxAddress-uint64(size) {
		c.fail(path+".size", "%v from %v goes beyond the 52-bit physical address space", size, base)
		ok = false
	}
	return ok
}

func (c *checker) length(path string, size devices.Bytes, unit uint64) bool {
	switch {
	case size == 0:
		c.fail(path, "is 0: expected at least %v", devices.Bytes(unit))
	case uint64(size)%unit != 0:
		c.fail(path, "%d is not a multiple of %v", uint64(size), devices.Bytes(unit))
	default:
		return true
	}
	return false
}

// power checks an alignment; zero means that there is none.
func (c *checker) power(path string, n devices.Bytes, least uint64) {
	switch {
	case n == 0:
	case n&(n-1) != 0:
		c.fail(path, "%d is no power of two", uint64(n))
	case uint64(n) < least:
		c.fail(path, "%v is less than %v", n, devices.Bytes(least))
	case uint64(n) > maxAddress:
		c.fail(path, "%v is beyond the 52-bit physical address space", n)
	}
}

func (c *checker) memory(regions []Memory) {
	names := unique{c: c, what: "memory and reserved regions"}
	var mems []place
	for i, m := range regions {
		p := fmt.Sprintf("memory[%d]", i)
		names.add(p+".name", m.Name)
		if c.span(p, m.Base, m.Size, PageSize) {
			mems = append(mems, place{p, m.Name, uint64(m.Base), uint64(m.Base) + uint64(m.Size)})
		}
		var subs []place
		for j, r := range m.Reserved {
			q := fmt.Sprintf("%s.reserved[%d]", p, j)
			names.add(q+".name", r.Name)
			if !c.span(q, r.Base, r.Size, PageSize) {
				continue
			}
			if r.Base < m.Base || uint64(r.Base)+uint64(r.Size) > uint64(m.Base)+uint64(m.Size) {
				c.fail(q+".base", "%v + %v is not inside memory %s (%v + %v)", r.Base, r.Size, quote(m.Name), m.Base, m.Size)
				continue
			}
			subs = append(subs, place{q, r.Name, uint64(r.Base), uint64(r.Base) + uint64(r.Size)})
		}
		c.overlaps(subs)
	}
	c.overlaps(mems)
}

// place is a named range of physical addresses, end exclusive.
type place struct {
	path, name string
	base, end  uint64
}

func (c *checker) overlaps(places []place) {
	sort.SliceStable(places, func(i, j int) bool { return places[i].base < places[j].base })
	for i := 1; i < len(places); i++ {
		a, b := places[i-1], places[i]
		if b.base < a.end {
			c.fail(b.path+".base", "%#x-%#x overlaps %s (%#x-%#x)", b.base, b.end-1, quote(a.name), a.base, a.end-1)
		}
	}
}

func (c *checker) iommus(units []IOMMU) {
	names := unique{c: c, what: "IOMMUs"}
	for i, u := range units {
		p := fmt.Sprintf("iommus[%d]", i)
		names.add(p+".name", u.Name)
		c.power(p+".granule", u.Granule, PageSize)
		a := u.Aperture
		if a == nil {
			continue
		}
		granule := max(uint64(u.Granule), PageSize)
		if uint64(a.Base)%granule != 0 {
			c.fail(p+".aperture.base", "%v is not a multiple of the granule %v", a.Base, devices.Bytes(granule))
		}
		if c.length(p+".aperture.size", a.Size, granule) && uint64(a.Base)+uint64(a.Size)-1 < uint64(a.Base) {
			c.fail(p+".aperture.size", "%v from %v goes beyond 64 bits", a.Size, a.Base)
		}
	}
}

// heaps checks the heaps; specs are the placed pools, whose sizes are zero
// where the board does not give them and they could not be placed.
func (c *checker) heaps(b *Board, specs []PoolSpec) {
	pools := map[string]*Pool{}
	sizes := map[string]devices.Bytes{}
	for i := range b.Pools {
		pools[b.Pools[i].Name] = &b.Pools[i]
		sizes[b.Pools[i].Name] = b.Pools[i].Size
	}
	for _, s := range specs {
		sizes[s.Name] = devices.Bytes(s.Size)
	}
	defaultAt := ""
	for i, h := range b.Heaps {
		p := fmt.Sprintf("heaps[%d]", i)
		pool := pools[h.Pool]
		if pool == nil {
			c.fail(p+".pool", "no pool is named %s", quote(h.Pool))
		}
		if h.Mode != nil && *h.Mode > 0o777 {
			c.fail(p+".mode", "%v is beyond 0777", *h.Mode)
		}
		if _, _, err := parseOwner(h.Owner); err != nil {
			c.fail(p+".owner", "%v", err)
		}
		size := sizes[h.Pool]
		if h.Quota != 0 && c.length(p+".quota", h.Quota, PageSize) && size != 0 && h.Quota > size {
			c.fail(p+".quota", "%v is more than the %v of pool %s", h.Quota, size, quote(h.Pool))
		}
		if !h.Default {
			continue
		}
		if pool != nil && pool.Kind != KindContiguous {
			c.fail(p+".default", "pool %s is %s: the default CMA heap needs a contiguous one", quote(h.Pool), pool.Kind)
		}
		if defaultAt != "" {
			c.fail(p+".default", "%s is the default CMA heap already", defaultAt)
		}
		defaultAt = p
	}
}

func (c *checker) uapi(u *UAPI) {
	if u == nil || u.AllocSize == 0 {
		return
	}
	if u.AllocSize < uapi.AllocSize || u.AllocSize > MaxAllocSize || u.AllocSize%8 != 0 {
		c.fail("uapi.allocSize", "%d is no multiple of 8 from %d to %d", uint64(u.AllocSize), uapi.AllocSize, MaxAllocSize)
	}
}

func (c *checker) policy(b *Board) {
	heaps := heapNames(b)
	for usage, heap := range b.Policy {
		if usage == "" {
			c.fail(policyPath(usage), "a usage needs a name")
		}
		c.printable(policyPath(usage), usage, false)
		if !heaps[heap] {
			c.fail(policyPath(usage), "no heap or alias is named %s", quote(heap))
		}
	}
}
