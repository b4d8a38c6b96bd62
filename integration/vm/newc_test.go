package vm

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type entry struct {
	name, data string
	mode       int64
}

// readArchive reads the format from its description, and knows nothing of the writer.
func readArchive(t *testing.T, data []byte) []entry {
	t.Helper()
	var all []entry
	round := func(n int64) int64 { return (n + 3) &^ 3 }
	for at := int64(0); ; {
		head := string(data[at : at+110])
		require.Equal(t, "070701", head[:6])
		field := func(i int) int64 {
			n, err := strconv.ParseInt(head[6+8*i:14+8*i], 16, 64)
			require.NoError(t, err)
			return n
		}
		size, nameSize := field(6), field(11)
		name := string(data[at+110 : at+110+nameSize-1])
		require.Zero(t, data[at+110+nameSize-1])
		at = round(at + 110 + nameSize)
		if name == "TRAILER!!!" {
			return all
		}
		all = append(all, entry{name, string(data[at : at+size]), field(1)})
		at = round(at + size)
	}
}

func TestArchiveHoldsWhatWasAdded(t *testing.T) {
	var b bytes.Buffer
	a := newArchive(&b)
	a.file("/init", 0o755, []byte("12345"))
	a.link("/usr/bin", "/bin")
	a.file("etc/deep/er/passwd", 0o644, nil)
	a.dir("tmp", 0o1777)
	a.dir("/etc/deep", 0o700) // there already
	require.NoError(t, a.close())
	assert.Equal(t, []entry{
		{"init", "12345", 0o100755},
		{"usr", "", 0o40755},
		{"usr/bin", "/bin", 0o120777},
		{"etc", "", 0o40755},
		{"etc/deep", "", 0o40755},
		{"etc/deep/er", "", 0o40755},
		{"etc/deep/er/passwd", "", 0o100644},
		{"tmp", "", 0o41777},
	}, readArchive(t, b.Bytes()))
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestArchiveTellsItsFirstFailure(t *testing.T) {
	a := newArchive(full{})
	a.file("init", 0o755, []byte(strings.Repeat("x", 100)))
	assert.ErrorContains(t, a.close(), "disk full")
}
