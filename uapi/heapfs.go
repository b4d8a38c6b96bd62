package uapi

import (
	"encoding/binary"
	"syscall"
)

// The commands of a device file, /dev/heapfs/DEVICE (include/heapfs.h). They stand for what a driver does with a buffer that it is given.
const (
	HeapfsAttach Cmd = 0xC0206801 // _IOWR('h', 1, struct heapfs_attach)
	HeapfsDetach Cmd = 0x40086802 // _IOW('h', 2, struct heapfs_detach)
	HeapfsMap    Cmd = 0xC0206803 // _IOWR('h', 3, struct heapfs_map)

	// HeapfsAttachSize and HeapfsMapSize are the sizes of the arguments in bytes, HeapfsDetachSize likewise.
	HeapfsAttachSize = 32
	HeapfsDetachSize = 8
	HeapfsMapSize    = 32

	// HeapfsAttachOnly attaches without mapping: HeapfsMap follows.
	HeapfsAttachOnly = 1

	// HeapfsSegmentSize is the size in bytes of a segment as pread(2) on the device file gives it: u64 addr, u64 len.
	HeapfsSegmentSize = 16
	// HeapfsSegmentShift: the segments of attachment N begin at offset N << HeapfsSegmentShift.
	HeapfsSegmentShift = 32
	// HeapfsMaxAttachID is the largest id whose segments an offset can name.
	HeapfsMaxAttachID = 1<<31 - 1
)

// Direction is enum dma_data_direction (include/linux/dma-direction.h).
type Direction uint32

// The directions of a mapping.
const (
	Bidirectional Direction = 0
	ToDevice      Direction = 1
	FromDevice    Direction = 2
)

func (d Direction) String() string {
	switch d {
	case Bidirectional:
		return "bidirectional"
	case ToDevice:
		return "to device"
	case FromDevice:
		return "from device"
	}
	return "unknown"
}

// check is EINVAL for what is no direction.
func (d Direction) check() error {
	if d > FromDevice {
		return syscall.EINVAL
	}
	return nil
}

// AttachArg is struct heapfs_attach.
type AttachArg struct {
	FD    uint32
	Dir   Direction
	Flags uint32
	// What the answer fills in.
	AttachID uint64
	DMAAddr  uint64
	NSegs    uint32
}

// DecodeAttach reads HeapfsAttachSize bytes.
func DecodeAttach(in []byte) AttachArg {
	le := binary.LittleEndian
	return AttachArg{
		FD: le.Uint32(in), Dir: Direction(le.Uint32(in[4:])), AttachID: le.Uint64(in[8:]), DMAAddr: le.Uint64(in[16:]),
		NSegs: le.Uint32(in[24:]), Flags: le.Uint32(in[28:]),
	}
}

// Check judges what the caller fills in: EINVAL for an unknown direction or flag.
func (a AttachArg) Check() error {
	if a.Flags&^HeapfsAttachOnly != 0 {
		return syscall.EINVAL
	}
	return a.Dir.check()
}

// Put writes the struct into HeapfsAttachSize bytes.
func (a AttachArg) Put(out []byte) {
	le := binary.LittleEndian
	le.PutUint32(out, a.FD)
	le.PutUint32(out[4:], uint32(a.Dir))
	le.PutUint64(out[8:], a.AttachID)
	le.PutUint64(out[16:], a.DMAAddr)
	le.PutUint32(out[24:], a.NSegs)
	le.PutUint32(out[28:], a.Flags)
}

// MapArg is struct heapfs_map.
type MapArg struct {
	AttachID uint64
	Dir      Direction
	Flags    uint32
	// What the answer fills in.
	DMAAddr uint64
	NSegs   uint32
}

// DecodeMap reads HeapfsMapSize bytes.
func DecodeMap(in []byte) MapArg {
	le := binary.LittleEndian
	return MapArg{
		AttachID: le.Uint64(in), Dir: Direction(le.Uint32(in[8:])), Flags: le.Uint32(in[12:]), DMAAddr: le.Uint64(in[16:]),
		NSegs: le.Uint32(in[24:]),
	}
}

// Check is EINVAL for an unknown direction, and for any flag: there are none yet.
func (a MapArg) Check() error {
	if a.Flags != 0 {
		return syscall.EINVAL
	}
	return a.Dir.check()
}

// Put writes the struct into HeapfsMapSize bytes.
func (a MapArg) Put(out []byte) {
	le := binary.LittleEndian
	le.PutUint64(out, a.AttachID)
	le.PutUint32(out[8:], uint32(a.Dir))
	le.PutUint32(out[12:], a.Flags)
	le.PutUint64(out[16:], a.DMAAddr)
	le.PutUint32(out[24:], a.NSegs)
	le.PutUint32(out[28:], 0)
}

// DecodeDetach reads the id out of HeapfsDetachSize bytes, struct heapfs_detach.
func DecodeDetach(in []byte) (attachID uint64) { return binary.LittleEndian.Uint64(in) }

// PutDetach writes struct heapfs_detach.
func PutDetach(out []byte, attachID uint64) { binary.LittleEndian.PutUint64(out, attachID) }

// Segment reads a segment out of HeapfsSegmentSize bytes.
func Segment(in []byte) (addr, length uint64) {
	return binary.LittleEndian.Uint64(in), binary.LittleEndian.Uint64(in[8:])
}

// PutSegment writes a segment into HeapfsSegmentSize bytes.
func PutSegment(out []byte, addr, length uint64) {
	binary.LittleEndian.PutUint64(out, addr)
	binary.LittleEndian.PutUint64(out[8:], length)
}
