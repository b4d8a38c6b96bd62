package backing

import "fmt"

// Extent is a physical range of a pool. Addr and Len are in bytes and multiples of the pool's page size (4096 at least).
type Extent struct {
	Addr uint64 `json:"addr"`
	Len  uint64 `json:"len"`
}

// End is the first address after the extent, in bytes.
func (e Extent) End() uint64 { return e.Addr + e.Len }

// String is the range as the kernel prints resources: [first byte-last byte].
func (e Extent) String() string {
	if e.Len == 0 {
		return fmt.Sprintf("[%#x-)", e.Addr)
	}
	return fmt.Sprintf("[%#x-%#x]", e.Addr, e.Addr+e.Len-1)
}
