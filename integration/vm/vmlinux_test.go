package vm

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// bzImageOf is a file that says that a payload is in it.
func bzImageOf(payload []byte) []byte {
	b := make([]byte, 2*512, 2*512+len(payload)+4)
	b[setupSectors] = 1
	copy(b[headerMagic:], "HdrS")
	binary.LittleEndian.PutUint32(b[payloadLength:], uint32(len(payload))+4)
	return append(append(b, payload...), 0, 0, 0, 0)
}

// entryNote is the section with a note of the kind that entry has.
func entryNote(kind uint32, name string) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 4)
	b = binary.LittleEndian.AppendUint32(b, 4)
	b = binary.LittleEndian.AppendUint32(b, kind)
	return append(append(b, name...), 0, 0, 0, 0)
}

// elfWith is an ELF file whose only content is its notes.
func elfWith(notes []byte) []byte {
	const head, sections = 64, 3
	names := []byte("\x00.notes\x00.names\x00")
	b := make([]byte, head)
	copy(b, "\x7fELF\x02\x01\x01")
	le := binary.LittleEndian
	le.PutUint16(b[16:], 2)    // an executable
	le.PutUint16(b[18:], 0x3e) // amd64
	le.PutUint32(b[20:], 1)
	le.PutUint64(b[40:], uint64(head+len(notes)+len(names)))
	le.PutUint16(b[52:], head)
	le.PutUint16(b[58:], 64)
	le.PutUint16(b[60:], sections)
	le.PutUint16(b[62:], 2)
	b = append(append(b, notes...), names...)
	section := func(name, kind uint32, at, size int) {
		s := make([]byte, 64)
		le.PutUint32(s, name)
		le.PutUint32(s[4:], kind)
		le.PutUint64(s[24:], uint64(at))
		le.PutUint64(s[32:], uint64(size))
		b = append(b, s...)
	}
	section(0, 0, 0, 0)
	section(1, 7, head, len(notes))
	section(8, 3, head+len(notes), len(names))
	return b
}

func TestKernelIsUnpackedIfItHasAnEntry(t *testing.T) {
	kernel := elfWith(append(entryNote(7, "Xen\x00"), entryNote(18, "Xen\x00")...))
	gzipped := func(b []byte) []byte {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		_, err := w.Write(b)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		return packed.Bytes()
	}
	tests := map[string]struct{ image, want []byte }{
		"unpacked":          {bzImageOf(gzipped(kernel)), kernel},
		"without the entry": {bzImageOf(gzipped(elfWith(entryNote(7, "Xen\x00")))), nil},
		"another's note":    {bzImageOf(gzipped(elfWith(entryNote(18, "GNU\x00")))), nil},
		"a note cut off":    {bzImageOf(gzipped(elfWith(entryNote(18, "Xen\x00")[:14]))), nil},
		"no ELF":            {bzImageOf(gzipped([]byte("kernel"))), nil},
		"otherwise packed":  {bzImageOf([]byte("LZO")), nil},
		"no bzImage":        {make([]byte, 4096), nil},
		"short":             {[]byte("this is no kernel\n"), nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := vmlinux(t.Context(), tt.image)
			require.NoError(t, err)
			assert.Equal(t, tt.want, got)
		})
	}
	cut := bzImageOf(gzipped(kernel))
	_, err := vmlinux(t.Context(), cut[:len(cut)-9])
	assert.ErrorContains(t, err, "beyond its end")
	broken := bzImageOf(gzipped(kernel)[:40])
	_, err = vmlinux(t.Context(), broken)
	assert.ErrorContains(t, err, "gzip -dc")
}
