package dtb

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/u-root/u-root/pkg/dt"
)

func TestWhatIsNoWholeBlobIsRefusedWithTheReason(t *testing.T) {
	good := blob(t, root(node("soc", flag("ranges"), node("gpu@1000", str("compatible", "vivante,gc")))))
	put := func(at int, v uint32) []byte {
		b := append([]byte(nil), good...)
		binary.BigEndian.PutUint32(b[at:], v)
		return b
	}
	structs := int(binary.BigEndian.Uint32(good[8:]))
	deep := root()
	for at, i := deep, 0; i < maxDepth; i++ {
		next := node("n")
		at.Children, at = append(at.Children, next), next
	}
	for name, tc := range map[string]struct {
		data []byte
		want string
	}{
		"nothing":            {nil, "0 bytes, and the header alone has 40"},
		"text":               {[]byte(strings.Repeat("/dts-v1/;\n", 9)), "it begins with 0x2f647473, not with 0xd00dfeed"},
		"half":               {good[:len(good)/2], "truncated: the header says"},
		"too large":          {make([]byte, MaxBlob+1), "larger than 2097152 bytes"},
		"old format":         {put(20, 16), "format version 16 (compatible down to 16): only 17 is read"},
		"size below header":  {put(4, 12), "the header says 12 bytes, and has 40 itself"},
		"structure outside":  {put(8, 1<<20), "the structure block"},
		"structure unbound":  {put(36, 0xffffffff), "the structure block"},
		"strings outside":    {put(12, 1<<20), "the strings block"},
		"unknown token":      {put(structs, 7), "token 7 at byte 0 of the structure block is unknown"},
		"ends in the middle": {put(36, 24), "the structure block ends in the middle"},
		"deep":               {blob(t, deep), "nodes nest deeper than 64"},
		"long node name":     {blob(t, root(node(strings.Repeat("x", 256)))), "has a name of more than 255 bytes"},
		"long property name": {blob(t, root(flag(strings.Repeat("x", 256)))), "has no name of up to 255 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(tc.data)
			require.ErrorIs(t, err, ErrBlob)
			assert.Contains(t, err.Error(), tc.want)
			assert.NotContains(t, err.Error(), "\n")
		})
	}
}

func TestEveryTruncationOfABlobIsAnError(t *testing.T) {
	good := blob(t, root(node("gpu@1000", str("compatible", "vivante,gc"), u32s("reg", 0, 0x1000, 0, 0x1000))))
	for n := range len(good) {
		_, err := Parse(good[:n])
		require.ErrorIs(t, err, ErrBlob, n)
	}
	_, err := Parse(good)
	require.NoError(t, err)
	_, err = Parse(append(good, "what a boot loader left behind"...))
	require.NoError(t, err)
}

// FuzzImport has two properties: what is no blob is refused in one line, and a blob that parses becomes a board that can be written and
// read back, or is refused. Structure and strings come apart, as few mutations of a whole blob leave its header right.
func FuzzImport(f *testing.F) {
	for _, n := range []*dt.Node{
		root(),
		root(reserved(node("linux,cma", str("compatible", "shared-dma-pool"), flag("reusable"), u32s("size", 0, 0x4000000), flag("linux,cma-default")))),
		root(
			reserved(node("dsp@50000000", str("compatible", "shared-dma-pool"), flag("no-map"), u32s("reg", 0, 0x50000000, 0, 0x100000), u32s("phandle", 2))),
			node("aliases", str("gpu0", "/soc@0/gpu@1000")),
			node("soc@0", u32s("#address-cells", 1), u32s("#size-cells", 1), u32s("ranges", 0, 0, 0, 0x1000000), u32s("dma-ranges", 0x40000000, 0, 0x40000000, 0xc0000000),
				node("iommu@2000", u32s("reg", 0x2000, 0x100), u32s("phandle", 1), u32s("#iommu-cells", 1), str("compatible", "rockchip,iommu")),
				node("vpu@1000", str("compatible", "rockchip,rk3399-vpu"), u32s("reg", 0x1000, 0x1000), u32s("iommus", 1, 0), u32s("memory-region", 2)),
				node("gpu", str("compatible", "vivante,gc"), str("status", "okay")))),
	} {
		b := blob(f, n)
		at, size := binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint32(b[36:])
		f.Add(b[at:at+size], b[binary.BigEndian.Uint32(b[12:]):])
	}
	f.Fuzz(func(t *testing.T, structure, names []byte) {
		tr, err := Parse(assemble(structure, names))
		if err != nil {
			require.ErrorIs(t, err, ErrBlob)
			require.NotContains(t, err.Error(), "\n")
			return
		}
		im, err := tr.Import(Options{Name: "b"})
		if err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		roundTrip(t, im)
	})
}

// FuzzParse has the property that what is no blob is refused in one line.
func FuzzParse(f *testing.F) {
	f.Add(blob(f, root(), dt.ReserveEntry{Address: 0x40000000, Size: 0x10000}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := Parse(data); err != nil {
			require.ErrorIs(t, err, ErrBlob)
			require.NotContains(t, err.Error(), "\n")
		}
	})
}

// assemble puts a right header before a structure block and a strings block.
func assemble(structure, names []byte) []byte {
	const start = headerSize + 16 // one reservation entry, the last
	b := make([]byte, start)
	for i, v := range []int{magic, start + len(structure) + len(names), start, start + len(structure), headerSize, 17, 16, 0, len(names), len(structure)} {
		binary.BigEndian.PutUint32(b[4*i:], uint32(v))
	}
	return append(append(b, structure...), names...)
}
