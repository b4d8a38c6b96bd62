package board

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzParse has two properties: a refusal is lines that name the file, and a
// board that parses can be written and read back as the same board.
func FuzzParse(f *testing.F) {
	for _, name := range Builtins() {
		text, err := Source(name)
		require.NoError(f, err)
		f.Add(text)
	}
	f.Add([]byte(everything))
	f.Add([]byte(head + cma + "heaps: [{name: 'a b', pool: cma}]\ndescription: >-\n  # \"x\": y\n"))
	f.Add([]byte(head + "description: |\n  two\n  lines\n"))
	f.Add([]byte(head + "memory: &m []\npools: *m\n"))
	f.Add([]byte(head + "policy: {? {a: b} : c}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := Parse("f.yaml", data)
		if err != nil {
			var list ErrorList
			require.True(t, errors.As(err, &list))
			for _, line := range strings.Split(err.Error(), "\n") {
				require.True(t, strings.HasPrefix(line, "f.yaml:"), "%q", line)
			}
			return
		}
		_, err = b.Nodes()
		require.NoError(t, err)
		_, err = b.PoolSpecs()
		require.NoError(t, err)
		text, err := b.Marshal()
		require.NoError(t, err)
		again, err := Parse("again.yaml", text)
		require.NoError(t, err, "%s", text)
		require.Equal(t, b, again, "%s", text)
	})
}
