package sys

import (
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/uapi"
)

// UdmabufOf makes a dma-buf of ranges of a memfd, in their order (drivers/dma-buf/udmabuf.c). The memfd must be sealed against shrinking
// and not against writing (else EINVAL); EINVAL is also a range beyond its end and a limit of the module. dev is an open
// /dev/udmabuf. Both stay the caller's, and so becomes the new descriptor.
func UdmabufOf(dev, memfd int, ranges []uapi.UdmabufRange) (int, error) {
	cmd, arg := uapi.UdmabufRequest(memfd, ranges)
	name := "ioctl UDMABUF_CREATE"
	if cmd == uapi.UdmabufCreateList {
		name = "ioctl UDMABUF_CREATE_LIST"
	}
	fd, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(dev), uintptr(cmd), uintptr(unsafe.Pointer(&arg[0])))
	runtime.KeepAlive(arg)
	if errno != 0 {
		return -1, os.NewSyscallError(name, errno)
	}
	return int(fd), nil
}

// MapAligned maps the first size bytes of fd, shared, for reading and writing, at an address that is a multiple of align, a power of
// two. Nothing is reserved for it. unmap ends the mapping, after which the slice must not be touched.
func MapAligned(fd int, size, align uintptr) (mem []byte, unmap func() error, err error) {
	// Room for the alignment; the rest of it stays out of reach.
	room, err := unix.MmapPtr(-1, 0, nil, size+align, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil, nil, os.NewSyscallError("mmap", err)
	}
	start := unsafe.Add(room, (align-uintptr(room)%align)%align)
	const flags = unix.MAP_SHARED | unix.MAP_NORESERVE | unix.MAP_FIXED
	if _, err := unix.MmapPtr(fd, 0, start, size, unix.PROT_READ|unix.PROT_WRITE, flags); err != nil {
		_ = unix.MunmapPtr(room, size+align) // the error above says it
		return nil, nil, os.NewSyscallError("mmap", err)
	}
	unmap = func() error { return os.NewSyscallError("munmap", unix.MunmapPtr(room, size+align)) }
	return unsafe.Slice((*byte)(start), size), unmap, nil
}

// AddressOf is where mem lies in this process.
func AddressOf(mem []byte) uint64 { return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(mem)))) }

// pagemapScan is PAGEMAP_SCAN (include/uapi/linux/fs.h), of Linux 6.7.
const (
	pagemapScan = 0xc0606610 // _IOWR('f', 16, struct pm_scan_arg)
	pageIsHuge  = 1 << 6
)

type pagemapScanArg struct {
	size, flags, start, end, walkEnd                                    uint64
	vec                                                                 unsafe.Pointer
	vecLen, maxPages                                                    uint64
	categoryInverted, categoryMask, categoryAnyofMask, returnCategories uint64
}

// MappedHuge is whether any page of mem is mapped as part of a whole huge page. EINVAL, ENOTTY: the kernel can't tell.
func MappedHuge(mem []byte) (bool, error) {
	fd, err := unix.Open("/proc/self/pagemap", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, &os.PathError{Op: "open", Path: "/proc/self/pagemap", Err: err}
	}
	defer Close(fd)
	var region [3]uint64 // struct page_region
	arg := pagemapScanArg{
		size: uint64(unsafe.Sizeof(pagemapScanArg{})), start: AddressOf(mem), end: AddressOf(mem) + uint64(len(mem)),
		vec: unsafe.Pointer(&region), vecLen: 1, categoryMask: pageIsHuge, returnCategories: pageIsHuge,
	}
	n, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), pagemapScan, uintptr(unsafe.Pointer(&arg)))
	runtime.KeepAlive(mem)
	if errno != 0 {
		return false, os.NewSyscallError("ioctl PAGEMAP_SCAN", errno)
	}
	return n > 0, nil
}

// CanTellHuge is whether MappedHuge works here.
func CanTellHuge() bool {
	page, err := unix.Mmap(-1, 0, uapi.PageSize, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return false
	}
	_, err = MappedHuge(page)
	_ = unix.Munmap(page) // it was ours alone
	return err == nil
}

// HugeMemfd is Memfd with huge pages of 2 MiB, which must have been reserved (/proc/sys/vm/nr_hugepages).
func HugeMemfd(name string) (int, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_HUGETLB|unix.MFD_HUGE_2MB)
	if err != nil {
		return -1, os.NewSyscallError("memfd_create MFD_HUGETLB", err)
	}
	return fd, nil
}
