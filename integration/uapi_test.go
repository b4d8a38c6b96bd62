package integration

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The client of a proposal, on kernels that have less and less of it.
func TestAProposalForTheInterface(t *testing.T) {
	program, board := filepath.Join(site.dir, "uapi"), filepath.Join(site.dir, "uapi.yaml")
	require.NoError(t, buildProgram(program, "../examples/uapi"))
	text, err := os.ReadFile("../examples/uapi/board.yaml")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(board, text, 0o644))
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"a kernel of today", []string{site.heapfs, "run", "--", client("uapi"), "system"}, `info: EINVAL, 0 bytes
any: ok, 0 pieces
at most 5: ok, 0 pieces
at most 4: ok, 0 pieces
one piece: EINVAL, 0 pieces
another flag: EINVAL, 0 pieces
unknown: EINVAL
`},
		{"a board that declares it", []string{site.heapfs, "run", "--board", board, "--", client("uapi"), "system"}, `info: EINVAL, 0 bytes
any: ok, 0 pieces
at most 5: ok, 0 pieces
at most 4: ok, 0 pieces
one piece: ok, 0 pieces
another flag: EINVAL, 0 pieces
unknown: EINVAL
`},
		{"a hook that gives it its meaning", []string{program, board, client("uapi"), "system"}, `info: ok, 1048576 bytes
any: ok, 5 pieces
at most 5: ok, 5 pieces
at most 4: E2BIG, 0 pieces
one piece: E2BIG, 0 pieces
another flag: EINVAL, 0 pieces
unknown: EINVAL
`},
		{"and on another heap", []string{program, board, client("uapi"), "default_cma_region"}, `info: ok, 67108864 bytes
any: ok, 1 pieces
at most 5: ok, 1 pieces
at most 4: ok, 1 pieces
one piece: ok, 1 pieces
another flag: EINVAL, 0 pieces
unknown: EINVAL
`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			legs(t, func(t *testing.T, who leg) {
				r := run(t, who, options{}, tt.args...)
				assert.Equal(t, 0, r.status)
				assert.Equal(t, tt.want, r.stdout)
			})
		})
	}
}
