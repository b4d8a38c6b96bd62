package rows

import (
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
)

// pageSize is the size of a page in bytes.
const pageSize = 4096

// Addresses that no program has mapped.
const (
	nullAddress   = uintptr(0)
	kernelAddress = ^uintptr(0) - 1<<20
	// noAddress is not canonical on amd64 and beyond the user's half on arm64.
	noAddress = uintptr(1) << 62
)

// area is mapped memory with nothing mapped behind it. It is not the Go runtime's, so its addresses may be handed to the kernel as
// numbers.
type area struct {
	base uintptr
	size int
}

// newArea maps pages of zeros that nobody has touched, and unmaps the page behind.
func newArea(pages int) area {
	size := pages * pageSize
	base, errno := sys.RawMap(uintptr(size+pageSize), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS, -1, 0)
	must("mmap", orNil(errno))
	_, errno = sys.RawCall(unix.SYS_MUNMAP, base+uintptr(size), pageSize)
	must("munmap", orNil(errno))
	return area{base, size}
}

// end is the first address behind.
func (a area) end() uintptr { return a.base + uintptr(a.size) }

// protect changes the protection of the whole.
func (a area) protect(prot int) {
	_, errno := sys.RawCall(unix.SYS_MPROTECT, a.base, uintptr(a.size), uintptr(prot))
	must("mprotect", orNil(errno))
}

// at is the memory of n bytes from addr on.
func at(addr uintptr, n int) []byte { return sys.RawBytes(addr, n) }

// put copies data to where it ends with the area and gives its address.
func (a area) putLast(data []byte) uintptr {
	addr := a.end() - uintptr(len(data))
	copy(at(addr, len(data)), data)
	return addr
}

// putFirst copies data to the area's beginning and gives its address.
func (a area) putFirst(data []byte) uintptr {
	copy(at(a.base, len(data)), data)
	return a.base
}

// mapFD maps a file for sharing from offset 0; n is in bytes.
func mapFD(fd int, n uintptr, prot int) uintptr {
	addr, errno := sys.RawMap(n, prot, unix.MAP_SHARED, fd, 0)
	must("mmap of the buffer", orNil(errno))
	return addr
}

func mapRW(fd int, n uintptr) uintptr { return mapFD(fd, n, unix.PROT_READ|unix.PROT_WRITE) }

// touch reads, or writes, a byte: "0", or "fault" where that is a SIGBUS or SIGSEGV.
func touch(addr uintptr, write bool) (answer string) {
	defer func() {
		if recover() != nil {
			answer = "fault"
		}
	}()
	b := at(addr, 1)
	if write {
		b[0]++
	} else if b[0] == 1 {
		return "1"
	}
	return "0"
}

// filled reports whether n bytes from addr on are all b.
func filled(addr uintptr, n int, b byte) bool {
	for _, v := range at(addr, n) {
		if v != b {
			return false
		}
	}
	return true
}

func fill(addr uintptr, n int, b byte) {
	m := at(addr, n)
	for i := range m {
		m[i] = b
	}
}
