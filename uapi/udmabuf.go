package uapi

import "encoding/binary"

// The commands of /dev/udmabuf and what they read (include/uapi/linux/udmabuf.h).
const (
	// UdmabufCreate makes a dma-buf of one range: _IOW('u', 0x42, struct udmabuf_create).
	UdmabufCreate Cmd = 0x40187542
	// UdmabufCreateList makes one of several: _IOW('u', 0x43, struct udmabuf_create_list).
	UdmabufCreateList Cmd = 0x40087543

	// udmabufCloexec is UDMABUF_FLAGS_CLOEXEC, the only flag.
	udmabufCloexec = 1
)

// UdmabufRange is a part of a memfd: Offset and Size in bytes, multiples of the page size.
type UdmabufRange struct{ Offset, Size uint64 }

// UdmabufRequest gives the command and its argument for a close-on-exec dma-buf of ranges of one memfd, in this order; at least one.
func UdmabufRequest(memfd int, ranges []UdmabufRange) (Cmd, []byte) {
	le := binary.LittleEndian
	if len(ranges) == 1 {
		b := make([]byte, 0, 24)
		b = le.AppendUint32(b, uint32(memfd))
		b = le.AppendUint32(b, udmabufCloexec)
		b = le.AppendUint64(b, ranges[0].Offset)
		return UdmabufCreate, le.AppendUint64(b, ranges[0].Size)
	}
	b := make([]byte, 0, 8+24*len(ranges))
	b = le.AppendUint32(b, udmabufCloexec)
	b = le.AppendUint32(b, uint32(len(ranges)))
	for _, r := range ranges {
		b = le.AppendUint32(b, uint32(memfd))
		b = le.AppendUint32(b, 0)
		b = le.AppendUint64(b, r.Offset)
		b = le.AppendUint64(b, r.Size)
	}
	return UdmabufCreateList, b
}
