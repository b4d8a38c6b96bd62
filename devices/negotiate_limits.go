package devices

import (
	"errors"
	"fmt"
	"iter"
	"strconv"
)

// ErrLimit is the reason of every LimitError.
var ErrLimit = errors.New("beyond a limit of the device")

// Limits are what a device asks of a buffer of known length. All but MaxSegments are in bytes; zero is no limit.
type Limits struct {
	Device          string `json:"device"`
	MaxSize         Bytes  `json:"max_size,omitempty"`
	MaxSegments     uint32 `json:"max_segments,omitempty"`
	MaxSegmentSize  Bytes  `json:"max_segment_size,omitempty"`
	SegmentBoundary Bytes  `json:"segment_boundary,omitempty"`
}

// LimitError says which limit a buffer is beyond. It is an ErrLimit.
type LimitError struct {
	Device     string
	Constraint string // maxSize or maxSegments
	Limit      uint64 // bytes, or segments
	Got        uint64
}

// Error is one line with the device and both numbers.
func (e *LimitError) Error() string { return fmt.Sprintf("device %q %s", e.Device, e.reason()) }

// Unwrap makes errors.Is(err, ErrLimit) hold.
func (e *LimitError) Unwrap() error { return ErrLimit }

func (e *LimitError) reason() string {
	if e.Constraint == constraintMaxSize {
		return "takes " + Bytes(e.Limit).String() + " at the most, not " + Bytes(e.Got).String()
	}
	return "takes " + strconv.FormatUint(e.Limit, 10) + " segments at the most, not " + strconv.FormatUint(e.Got, 10)
}

// Limits gives the device's limits, and whether there are any.
//
// A device that needs one segment and has a limit on a segment's length or place is limited to one segment: a buffer that would have
// to be cut is none for it.
func (d *Device) Limits() (Limits, bool) {
	c := &d.Constraints
	l := Limits{
		Device: d.Name, MaxSize: c.MaxSize, MaxSegments: c.MaxSegments, MaxSegmentSize: c.MaxSegmentSize, SegmentBoundary: c.SegmentBoundary,
	}
	if c.Contiguous && (c.MaxSegmentSize != 0 || c.SegmentBoundary != 0) {
		l.MaxSegments = 1
	}
	return l, l.MaxSize != 0 || l.MaxSegments != 0
}

// CheckSize judges the length of a buffer. The error is a *LimitError.
func (l *Limits) CheckSize(size Bytes) error {
	if e := l.judgeSize(size); e != nil {
		return e
	}
	return nil
}

// CheckSegments judges the physical ranges of a buffer (address and length in bytes, in the buffer's order). The error is a
// *LimitError.
func (l *Limits) CheckSegments(ranges iter.Seq2[uint64, uint64]) error {
	if l.MaxSegments == 0 {
		return nil
	}
	if e := l.judgeSegments(l.Segments(ranges)); e != nil {
		return e
	}
	return nil
}

func (l *Limits) judgeSize(size Bytes) *LimitError {
	if l.MaxSize != 0 && size > l.MaxSize {
		return &LimitError{l.Device, constraintMaxSize, uint64(l.MaxSize), uint64(size)}
	}
	return nil
}

func (l *Limits) judgeSegments(n uint64) *LimitError {
	if l.MaxSegments != 0 && n > uint64(l.MaxSegments) {
		return &LimitError{l.Device, constraintMaxSegments, uint64(l.MaxSegments), n}
	}
	return nil
}

// fewest counts the segments of a buffer of pieces of these lengths, as large as they may be and none beside another: what a pool
// that is not fragmented gives.
func (l *Limits) fewest(chunks []Bytes, size Bytes) uint64 {
	if len(chunks) == 0 {
		return l.cuts(0, uint64(size))
	}
	left, n := uint64(size), uint64(0)
	for i, c := range chunks {
		pieces := left / uint64(c)
		left %= uint64(c)
		if i == len(chunks)-1 && left > 0 {
			pieces++
		}
		n += pieces * l.cuts(0, uint64(c))
	}
	return n
}

// Segments counts the segments in which the device gets a buffer: ranges that follow each other are one, and are cut again where
// they are longer than MaxSegmentSize or cross a multiple of SegmentBoundary.
func (l *Limits) Segments(ranges iter.Seq2[uint64, uint64]) uint64 {
	var n, start, length uint64
	for addr, size := range ranges {
		if length != 0 && start+length == addr {
			length += size
			continue
		}
		n += l.cuts(start, length)
		start, length = addr, size
	}
	return n + l.cuts(start, length)
}

// cuts counts the segments of one range.
func (l *Limits) cuts(start, length uint64) uint64 {
	boundary := uint64(l.SegmentBoundary)
	if boundary == 0 {
		return l.parts(length)
	}
	head := min(length, boundary-start%boundary)
	whole, tail := (length-head)/boundary, (length-head)%boundary
	return l.parts(head) + whole*l.parts(boundary) + l.parts(tail)
}

// parts counts the segments of a range that crosses no boundary.
func (l *Limits) parts(length uint64) uint64 {
	switch longest := uint64(l.MaxSegmentSize); {
	case length == 0:
		return 0
	case longest == 0:
		return 1
	default:
		return (length-1)/longest + 1
	}
}
