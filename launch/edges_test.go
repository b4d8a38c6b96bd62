package launch

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/backing"
)

// A board may say align: 4096; backing takes order 0 for "the default", which is 1 MiB.
func TestAPoolWithoutAlignmentHasNone(t *testing.T) {
	p, err := backing.NewPool(backing.PoolConfig{Name: "x", Kind: backing.Contiguous, Size: 16 << 20, AlignOrder: alignOrder(4096)})
	require.NoError(t, err)
	_, err = p.Alloc(4096)
	require.NoError(t, err)
	e, err := p.Alloc(1 << 20)
	require.NoError(t, err)
	assert.EqualValues(t, 4096, e[0].Addr)
}

// JSON makes six bytes of a control character, and of a byte that is no UTF-8.
func TestATextThatGrowsInJSONArrives(t *testing.T) {
	a, b := newPair(t)
	require.NoError(t, a.send(message{Kind: msgFailed, Text: strings.Repeat("\x01", maxMessage)}, -1))
	m, err := b.receive()
	require.NoError(t, err)
	assert.NotEmpty(t, m.Text)
}

// An empty PATH is one empty element: the current directory (execvp of glibc).
func TestAnEmptyPATHIsTheCurrentDirectory(t *testing.T) {
	t.Setenv("PATH", "")
	got, err := candidates("x")
	require.NoError(t, err)
	assert.Equal(t, []string{"./x"}, got)
}
