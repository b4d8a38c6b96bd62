package devices

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// pageSize is the unit to which the length of a buffer is rounded up, in bytes.
const pageSize = 4096

// maxSide is the largest width or height of an image, in pixels: more than any device takes, and small enough that nothing wraps
// before the pitch is aligned.
const maxSide = 1 << 16

// Image is a picture of which the format is known by its four-character code.
type Image struct {
	Width, Height uint32 // pixels
	Format        *Format
}

// Format says how the pixels of a linear image lie in memory.
type Format struct {
	// FourCC is the code in include/uapi/drm/drm_fourcc.h, without blanks at its end.
	FourCC string
	// V4L2 are codes of include/uapi/linux/videodev2.h for the same bytes, where they differ.
	V4L2   []string
	planes []planeFormat
}

// planeFormat is a plane in the terms of struct drm_format_info: size bytes for each block of width pixels in a line, of an image that
// is smaller by hsub and vsub.
type planeFormat struct{ size, width, hsub, vsub uint64 }

// The shapes of the table's rows.
func packed(size uint64) []planeFormat { return []planeFormat{{size, 1, 1, 1}} }
func pairs(size uint64) []planeFormat  { return []planeFormat{{size, 2, 1, 1}} }
func semi(size, hsub, vsub uint64) []planeFormat {
	return []planeFormat{{size, 1, 1, 1}, {2 * size, 1, hsub, vsub}}
}
func planar(hsub, vsub uint64) []planeFormat {
	return []planeFormat{{1, 1, 1, 1}, {1, 1, hsub, vsub}, {1, 1, hsub, vsub}}
}

// formats has the bytes of a block, the subsampling and the planes as the table of __drm_format_info in
// drivers/gpu/drm/drm_fourcc.c gives them, and the codes of V4L2 after the descriptions in videodev2.h.
var formats = []Format{
	{"R8", []string{"GREY"}, packed(1)},
	{"R16", []string{"Y16"}, packed(2)},
	{"RG16", []string{"RGBP"}, packed(2)},
	{"BG16", nil, packed(2)},
	{"XR15", nil, packed(2)},
	{"AR15", nil, packed(2)},
	{"AR12", nil, packed(2)},
	{"XR12", nil, packed(2)},
	{"RG24", []string{"BGR3"}, packed(3)}, // DRM names the bits of a little-endian number, V4L2 the bytes
	{"BG24", []string{"RGB3"}, packed(3)},
	{"XR24", nil, packed(4)},
	{"AR24", nil, packed(4)},
	{"XB24", nil, packed(4)},
	{"AB24", nil, packed(4)},
	{"RX24", nil, packed(4)},
	{"RA24", nil, packed(4)},
	{"BX24", nil, packed(4)},
	{"BA24", nil, packed(4)},
	{"XR30", nil, packed(4)},
	{"AR30", nil, packed(4)},
	{"XB30", nil, packed(4)},
	{"AB30", nil, packed(4)},
	{"XB4H", nil, packed(8)},
	{"AB4H", nil, packed(8)},
	{"AYUV", nil, packed(4)},
	{"XYUV", nil, packed(4)},
	{"YUYV", nil, pairs(4)},
	{"YVYU", nil, pairs(4)},
	{"UYVY", nil, pairs(4)},
	{"VYUY", nil, pairs(4)},
	{"Y210", nil, pairs(8)},
	{"NV12", nil, semi(1, 2, 2)},
	{"NV21", nil, semi(1, 2, 2)},
	{"NV16", nil, semi(1, 2, 1)},
	{"NV61", nil, semi(1, 2, 1)},
	{"NV24", nil, semi(1, 1, 1)},
	{"NV42", nil, semi(1, 1, 1)},
	{"NV15", nil, []planeFormat{{5, 4, 1, 1}, {5, 2, 2, 2}}}, // 10 bits a sample, packed
	{"P010", nil, semi(2, 2, 2)},
	{"P012", nil, semi(2, 2, 2)},
	{"P016", nil, semi(2, 2, 2)},
	{"P210", nil, semi(2, 2, 1)},
	{"YU12", nil, planar(2, 2)},
	{"YV12", nil, planar(2, 2)},
	{"YU16", []string{"422P"}, planar(2, 1)},
	{"YV16", nil, planar(2, 1)},
	{"YU24", []string{"444P"}, planar(1, 1)},
	{"YV24", nil, planar(1, 1)},
}

// ErrImage is the reason of every refusal by ParseImage.
var ErrImage = errors.New("expected WIDTHxHEIGHT:FOURCC")

// UnknownFormatError is a code that is in no row of the table. It is an ErrImage.
type UnknownFormatError struct{ FourCC string }

// Error names the code.
func (e *UnknownFormatError) Error() string { return fmt.Sprintf("format %q is unknown", e.FourCC) }

// Unwrap makes errors.Is(err, ErrImage) hold.
func (e *UnknownFormatError) Unwrap() error { return ErrImage }

// FourCCs lists all known codes, sorted, those of V4L2 included.
func FourCCs() []string {
	var all []string
	for _, f := range formats {
		all = append(append(all, f.FourCC), f.V4L2...)
	}
	slices.Sort(all)
	return all
}

// ParseImage reads "1920x1080:NV12". Errors are an ErrImage; for an unknown code, an *UnknownFormatError.
func ParseImage(text string) (*Image, error) {
	size, code, ok := strings.Cut(text, ":")
	w, h, sized := strings.Cut(size, "x")
	if !ok || !sized {
		return nil, fmt.Errorf("image %q: %w", text, ErrImage)
	}
	im := &Image{}
	for _, side := range []struct {
		to   *uint32
		text string
	}{{&im.Width, w}, {&im.Height, h}} {
		n, err := strconv.ParseUint(side.text, 10, 32)
		if err != nil || n == 0 || n > maxSide || side.text[0] == '+' {
			return nil, fmt.Errorf("image %q: %q is no number from 1 to %d: %w", text, side.text, maxSide, ErrImage)
		}
		*side.to = uint32(n)
	}
	at := slices.IndexFunc(formats, func(f Format) bool { return f.FourCC == code || slices.Contains(f.V4L2, code) })
	if at < 0 {
		return nil, fmt.Errorf("image %q: %w", text, &UnknownFormatError{code})
	}
	im.Format = &formats[at]
	return im, nil
}

// Layout is how an image lies in one buffer: its planes one after the other, linear, no lines added below.
type Layout struct {
	Width  uint32        `json:"width"`  // pixels
	Height uint32        `json:"height"` // pixels
	Format string        `json:"format"` // the code of DRM
	Planes []PlaneLayout `json:"planes"`
	// Size is that of all planes, in bytes, rounded up to whole pages: what to ask an ALLOC for.
	Size Bytes `json:"size"`
}

// PlaneLayout is one plane. All in bytes but Lines.
type PlaneLayout struct {
	Offset Bytes  `json:"offset"`
	Pitch  Bytes  `json:"pitch"`
	Lines  uint32 `json:"lines"`
}

var errNoLayout = errors.New("with this pitch alignment the image is beyond 64 bits")

// layout gives the smallest layout in which each plane's pitch is a multiple of align, at least 1. V4L2 tells the first plane's pitch
// only, and derives the others' from it; so they keep their proportion.
func (im *Image) layout(align Bytes) (Layout, error) {
	l := Layout{Width: im.Width, Height: im.Height, Format: im.Format.FourCC}
	first := &im.Format.planes[0]
	pitch, unit := uint64(0), uint64(1)
	for i := range im.Format.planes {
		p := &im.Format.planes[i]
		num, den := p.proportion(first)
		pitch = max(pitch, ceilDiv(p.line(uint64(im.Width))*den, num))
		unit = max(unit, den)
	}
	hi, unit := bits.Mul64(unit, uint64(align))
	if hi != 0 {
		return l, errNoLayout
	}
	hi, pitch = bits.Mul64(ceilDiv(pitch, unit), unit)
	if hi != 0 || pitch > 1<<62 {
		return l, errNoLayout
	}
	end := uint64(0)
	for i := range im.Format.planes {
		p := &im.Format.planes[i]
		num, den := p.proportion(first)
		own, lines := pitch/den*num, ceilDiv(uint64(im.Height), p.vsub)
		l.Planes = append(l.Planes, PlaneLayout{Bytes(end), Bytes(own), uint32(lines)})
		over, size := bits.Mul64(own, lines)
		sum, carry := bits.Add64(end, size, 0)
		if over != 0 || carry != 0 || sum > 1<<63 {
			return l, errNoLayout
		}
		end = sum
	}
	l.Size = Bytes(ceilDiv(end, pageSize) * pageSize)
	return l, nil
}

// line is the bytes of a line of an image of that width.
func (p *planeFormat) line(width uint64) uint64 {
	return ceilDiv(ceilDiv(width, p.hsub), p.width) * p.size
}

// proportion is that of the plane's pitch to the first plane's.
func (p *planeFormat) proportion(first *planeFormat) (num, den uint64) {
	num, den = p.size*first.width, first.size*p.width*p.hsub
	for d := min(num, den); d > 1; d-- {
		if num%d == 0 && den%d == 0 {
			return num / d, den / d
		}
	}
	return num, den
}

func ceilDiv(n, d uint64) uint64 { return n/d + min(n%d, 1) }
