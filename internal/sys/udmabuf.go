package sys

import (
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/uapi"
)

// UdmabufOfAPage makes a dma-buf of one page of a memfd of its own, to try things on. dev is an open /dev/udmabuf; the new
// descriptor is the caller's.
func UdmabufOfAPage(dev int) (int, error) {
	page, err := Memfd("heapfs")
	if err != nil {
		return -1, err
	}
	defer Close(page) // the dma-buf has the page
	if err := Truncate(page, uapi.PageSize); err != nil {
		return -1, err
	}
	if err := AddSeals(page, unix.F_SEAL_SHRINK); err != nil {
		return -1, err
	}
	return UdmabufOf(dev, page, []uapi.UdmabufRange{{Size: uapi.PageSize}})
}
