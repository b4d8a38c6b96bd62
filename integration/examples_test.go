package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Each example prints what the file beside it says, as root and as an ordinary user.
func TestExamplesPrintWhatTheySay(t *testing.T) {
	const from = "../examples"
	// An ordinary user may have no way into the checkout.
	dir := filepath.Join(site.dir, "examples")
	require.NoError(t, os.CopyFS(dir, os.DirFS(from)))
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	scripts, err := filepath.Glob(filepath.Join(from, "*.sh"))
	require.NoError(t, err)
	require.NotEmpty(t, scripts)
	readme, err := os.ReadFile(filepath.Join(from, "README.md"))
	require.NoError(t, err)
	for _, script := range scripts {
		name := filepath.Base(script)
		t.Run(strings.TrimSuffix(name, ".sh"), func(t *testing.T) {
			assert.Equal(t, 1, strings.Count(string(readme), "("+name+")"), "a line in examples/README.md")
			want, err := os.ReadFile(strings.TrimSuffix(script, ".sh") + ".out")
			require.NoError(t, err)
			legs(t, func(t *testing.T, who leg) {
				r := run(t, who, options{env: []string{"HEAPFS=" + site.heapfs}}, "sh", filepath.Join(dir, name))
				assert.Equal(t, 0, r.status)
				assert.Equal(t, string(want), r.stdout)
			})
		})
	}
}
