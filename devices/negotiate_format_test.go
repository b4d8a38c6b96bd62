package devices

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseImage(t *testing.T) {
	for _, text := range []string{
		"", "NV12", "1920x1080", "1920:NV12", "x:NV12", "0x1:NV12", "1x0:NV12", "-1x1:NV12", "+1x1:NV12", "65537x1:NV12", "1x4294967297:NV12",
		"1x1x1:NV12", "1 x1:NV12", "1x1:", "1x1:nv12", "1x1:NV12 ", "1x1:NV13",
	} {
		_, err := ParseImage(text)
		assert.ErrorIs(t, err, ErrImage, text)
	}
	_, err := ParseImage("1x1:NV13")
	var unknown *UnknownFormatError
	require.ErrorAs(t, err, &unknown)
	assert.Equal(t, "NV13", unknown.FourCC)
	for _, code := range FourCCs() {
		_, err := ParseImage("65536x65536:" + code)
		assert.NoError(t, err, code)
	}
}

func TestLayoutsOfImages(t *testing.T) {
	rows := []struct {
		image  string
		align  Bytes
		planes []PlaneLayout
		size   Bytes
	}{
		{"1920x1080:NV12", 0, []PlaneLayout{{0, 1920, 1080}, {1920 * 1080, 1920, 540}}, 3112960},
		{"1920x1080:NV21", 256, []PlaneLayout{{0, 2048, 1080}, {2048 * 1080, 2048, 540}}, 3317760},
		{"1920x1080:YU12", 128, []PlaneLayout{{0, 2048, 1080}, {2048 * 1080, 1024, 540}, {2048*1080 + 1024*540, 1024, 540}}, 3317760},
		{"1920x1080:YV12", 0, []PlaneLayout{{0, 1920, 1080}, {1920 * 1080, 960, 540}, {1920*1080 + 960*540, 960, 540}}, 3112960},
		{"5x3:NV12", 0, []PlaneLayout{{0, 6, 3}, {18, 6, 2}}, 4096},
		{"5x3:YU12", 0, []PlaneLayout{{0, 6, 3}, {18, 3, 2}, {24, 3, 2}}, 4096},
		{"5x3:YUYV", 0, []PlaneLayout{{0, 12, 3}}, 4096},
		{"640x480:UYVY", 64, []PlaneLayout{{0, 1280, 480}}, 614400},
		{"640x480:P010", 0, []PlaneLayout{{0, 1280, 480}, {614400, 1280, 240}}, 921600},
		{"640x480:NV16", 0, []PlaneLayout{{0, 640, 480}, {307200, 640, 480}}, 614400},
		{"640x480:NV24", 0, []PlaneLayout{{0, 640, 480}, {307200, 1280, 480}}, 921600},
		{"641x480:NV24", 64, []PlaneLayout{{0, 704, 480}, {704 * 480, 1408, 480}}, 1015808},
		{"1920x1080:NV15", 0, []PlaneLayout{{0, 2400, 1080}, {2400 * 1080, 2400, 540}}, 3891200},
		{"6x2:NV15", 0, []PlaneLayout{{0, 10, 2}, {20, 10, 1}}, 4096},
		{"640x480:422P", 0, []PlaneLayout{{0, 640, 480}, {307200, 320, 480}, {460800, 320, 480}}, 614400},
		{"640x480:RG16", 0, []PlaneLayout{{0, 1280, 480}}, 614400},
		{"641x1:XR24", 256, []PlaneLayout{{0, 2816, 1}}, 4096},
		{"3x2:BGR3", 96, []PlaneLayout{{0, 96, 2}}, 4096},
		{"3x2:RGB3", 0, []PlaneLayout{{0, 9, 2}}, 4096},
		{"4096x2:GREY", 0, []PlaneLayout{{0, 4096, 2}}, 8192},
		{"65536x65536:AB4H", 0, []PlaneLayout{{0, 8 << 16, 1 << 16}}, 8 << 32},
	}
	for _, r := range rows {
		im, err := ParseImage(r.image)
		require.NoError(t, err, r.image)
		got := Negotiate(nil, []Device{device("a", Constraints{PitchAlignment: r.align})}, Ask{Image: im}).Merged
		require.NotNil(t, got.Layout, r.image)
		assert.Equal(t, r.planes, got.Layout.Planes, r.image)
		assert.Equal(t, r.size, got.Layout.Size, r.image)
		assert.Equal(t, r.size, got.Size, "the size is judged")
		assert.Empty(t, got.Conflicts)
	}
}

func TestEveryPlaneOfEveryFormatIsAlignedAndLongEnough(t *testing.T) {
	for _, code := range FourCCs() {
		for _, align := range []Bytes{1, 3, 64, 192, 4096} {
			for _, w := range []uint32{1, 2, 3, 5, 7, 640, 1919} {
				im, err := ParseImage("1x1:" + code)
				require.NoError(t, err)
				im.Width = w
				l, err := im.layout(align)
				require.NoError(t, err)
				for i, p := range l.Planes {
					assert.Zero(t, p.Pitch%align, "%s %d %d", code, align, w)
					assert.GreaterOrEqual(t, uint64(p.Pitch), im.Format.planes[i].line(uint64(w)), "%s %d %d", code, align, w)
					assert.Less(t, uint64(p.Pitch), 2*im.Format.planes[i].line(uint64(w))+4*uint64(align), "%s %d %d", code, align, w)
				}
			}
		}
	}
}

func TestAnImpossiblePitchIsAConflictAndExcludesNothing(t *testing.T) {
	im, err := ParseImage("1920x1080:YU12")
	require.NoError(t, err)
	r := Negotiate([]Heap{cma}, []Device{device("a", Constraints{MaxPitch: 1024})}, Ask{Image: im})
	assert.NotNil(t, r.Choice)
	assert.Equal(t, []Conflict{{"maxPitch", "the image's pitch 1920 is more than 1KiB"}}, r.Merged.Conflicts)
	for _, align := range []Bytes{1 << 63, 1 << 62, 1 << 55, 1<<64 - 1} {
		r = Negotiate([]Heap{cma}, []Device{device("a", Constraints{PitchAlignment: align})}, Ask{Image: im})
		assert.NotNil(t, r.Choice)
		assert.Equal(t, []Conflict{{"pitchAlignment", errNoLayout.Error()}}, r.Merged.Conflicts)
		assert.Nil(t, r.Merged.Layout)
	}
}

func FuzzParseImage(f *testing.F) {
	f.Add("1920x1080:NV12", uint64(64))
	f.Add("65536x65536:AB4H", uint64(1)<<63)
	f.Fuzz(func(t *testing.T, text string, align uint64) {
		im, err := ParseImage(text)
		if err != nil {
			return
		}
		l, err := im.layout(Bytes(max(align, 1)))
		if err != nil {
			return
		}
		end := Bytes(0)
		for _, p := range l.Planes {
			if p.Offset != end || uint64(p.Pitch)%max(align, 1) != 0 {
				t.Fatalf("%q: %+v", text, l)
			}
			end = p.Offset + p.Pitch*Bytes(p.Lines)
		}
		if l.Size < end {
			t.Fatalf("%q: %+v", text, l)
		}
	})
}
