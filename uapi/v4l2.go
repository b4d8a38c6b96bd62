package uapi

import "encoding/binary"

// VIDIOCQBuf gives a buffer to a V4L2 driver (include/uapi/linux/videodev2.h): _IOWR('V', 15, struct v4l2_buffer), here with the size
// that 64-bit callers have.
const VIDIOCQBuf Cmd = 0xC058560F

// DRMPrimeFDToHandle imports a dma-buf into a DRM driver (include/uapi/drm/drm.h): _IOWR('d', 0x2E, struct drm_prime_handle).
const DRMPrimeFDToHandle Cmd = 0xC00C642E

const (
	v4l2MemoryDMABuf = 4 // V4L2_MEMORY_DMABUF

	// V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE and _OUTPUT_MPLANE.
	v4l2CaptureMPlane = 9
	v4l2OutputMPlane  = 10

	// MaxPlanes is VIDEO_MAX_PLANES.
	MaxPlanes = 8
	// MaxPlaneSize is the size in bytes of the longest struct v4l2_plane.
	MaxPlaneSize = 64
	// MaxQBufSize is the size in bytes of the longest struct v4l2_buffer.
	MaxQBufSize = 88
)

// qbufLayout is where a struct v4l2_buffer of one size has its fields. The sizes differ by the caller's word and its struct timeval
// (drivers/media/v4l2-core/v4l2-compat-ioctl32.c).
type qbufLayout struct {
	memory, m, length int // offsets in bytes; index and type are at 0 and 4 in all
	wide              bool
}

var qbufLayouts = map[int]qbufLayout{
	88: {memory: 60, m: 64, length: 72, wide: true}, // 64-bit
	80: {memory: 60, m: 64, length: 68},             // 32-bit with a 64-bit time of natural alignment (ARM, x32)
	76: {memory: 56, m: 60, length: 64},             // i386 with a 64-bit time
	68: {memory: 48, m: 52, length: 56},             // 32-bit with a 32-bit time
}

// QBuf is what a VIDIOC_QBUF of V4L2_MEMORY_DMABUF says.
type QBuf struct {
	// FD and Length are the buffer's of a single-planar queue; Length is 0 for all of it.
	FD     int32
	Length uint32
	// Planes are where the planes of a multi-planar queue are described, NPlanes of PlaneSize bytes; NPlanes is 0 for a single-planar
	// one.
	Planes    uint64
	NPlanes   int
	PlaneSize int
}

// DecodeQBuf reads a struct v4l2_buffer of one of the sizes that there are. It reports false for another size, another memory than
// dma-bufs, and more planes than there can be: the driver will see to those.
func DecodeQBuf(in []byte) (QBuf, bool) {
	l, ok := qbufLayouts[len(in)]
	if !ok {
		return QBuf{}, false
	}
	le := binary.LittleEndian
	if le.Uint32(in[l.memory:]) != v4l2MemoryDMABuf {
		return QBuf{}, false
	}
	n := le.Uint32(in[l.length:])
	switch le.Uint32(in[4:]) {
	case v4l2CaptureMPlane, v4l2OutputMPlane:
	default:
		return QBuf{FD: int32(le.Uint32(in[l.m:])), Length: n}, true
	}
	if n == 0 || n > MaxPlanes {
		return QBuf{}, false
	}
	q := QBuf{NPlanes: int(n), Planes: uint64(le.Uint32(in[l.m:])), PlaneSize: 60}
	if l.wide {
		q.Planes, q.PlaneSize = le.Uint64(in[l.m:]), MaxPlaneSize
	}
	return q, true
}

// Plane reads plane i out of the NPlanes * PlaneSize bytes at Planes.
func (q *QBuf) Plane(in []byte, i int) (fd int32, length uint32) {
	p := in[i*q.PlaneSize:]
	return int32(binary.LittleEndian.Uint32(p[8:])), binary.LittleEndian.Uint32(p[4:])
}

// DecodePrime reads the descriptor out of a struct drm_prime_handle, false if that is too short to have one.
func DecodePrime(in []byte) (fd int32, ok bool) {
	if len(in) < 12 {
		return 0, false
	}
	return int32(binary.LittleEndian.Uint32(in[8:])), true
}
