package integration

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What heapfs cannot do it says on one line, with status 125, and the command does not run.
func TestRunSaysWhatIsMissing(t *testing.T) {
	tests := []struct {
		name   string
		who    []leg
		change string
		reason string
	}{
		{"no /dev/fuse, as root", []leg{asRoot}, fuseHidden, `/dev/fuse.*(no such file|not there|missing|does not exist)`},
		{"no /dev/fuse, as an ordinary user", []leg{asUser}, fuseHidden, `/dev/fuse.*(no such file|not there|missing|does not exist)`},
		{"/dev/fuse not permitted", []leg{asUser}, fuseForNobody, `/dev/fuse.*permi`},
		{"user namespaces forbidden", []leg{asUser}, noUserNamespace, `user namespace`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			requireRoot(t) // to change what the command finds
			t.Parallel()
			changes := []string{tt.change}
			if tt.change == noUserNamespace {
				changes = []string{fuseForAll, noUserNamespace}
			}
			r := heapfs(t, tt.who[0], options{changes: changes, stderrWanted: true}, "run", "--", "echo", "ran")
			assert.Equal(t, 125, r.status)
			assert.Empty(t, r.stdout, "the command must not run")
			assert.Regexp(t, "(?i)"+tt.reason, oneLine(t, r.stderr))
		})
	}
}

// The changed surroundings themselves are sound: with FUSE for all, everything runs.
func TestChangedSurroundingsAreSound(t *testing.T) {
	requireRoot(t)
	t.Parallel()
	for _, who := range []leg{asRoot, asUser} {
		r := heapfs(t, who, options{changes: []string{fuseForAll}}, "run", "--", "echo", "ran")
		assert.Equal(t, 0, r.status)
		assert.Equal(t, "ran\n", r.stdout)
	}
	r := run(t, asUser, options{changes: []string{fuseHidden}}, "sh", "-c", "test ! -e /dev/fuse && echo > /dev/null && ls /dev/pts > /dev/null && id -u")
	assert.Equal(t, "1001\n", r.stdout)
	r = run(t, asUser, options{changes: []string{fuseForAll, noUserNamespace}, stderrWanted: true}, "sh", "-c", "id -u; unshare --user true || echo refused")
	assert.Equal(t, "1001\nrefused\n", r.stdout)
}

func TestHeapfsInsideHeapfs(t *testing.T) {
	legs(t, func(t *testing.T, who leg) {
		r := heapfs(t, who, options{stderrWanted: true}, "run", "--", site.heapfs, "run", "--", "echo", "ran")
		assert.Equal(t, 125, r.status)
		assert.Empty(t, r.stdout, "the inner command must not run")
		assert.Regexp(t, `(?i)(inside|under|already).*`, oneLine(t, r.stderr))
		assert.Regexp(t, `(?i)listener|heapfs`, r.stderr)

		// The outer instance goes on working.
		r = heapfs(t, who, options{stderrWanted: true}, "run", "--", "sh", "-c", `"$0" run -- true; "$1"`, site.heapfs, client("maps"))
		assert.Equal(t, 0, r.status)
		assert.Equal(t, "maps: ok\n", r.stdout)
	})
}

func TestUnknownBoardListsTheKnownOnes(t *testing.T) {
	legs(t, func(t *testing.T, who leg) {
		r := heapfs(t, who, options{stderrWanted: true}, "run", "--board", "imx8mq", "--", "echo", "ran")
		assert.Equal(t, 125, r.status)
		assert.Empty(t, r.stdout)
		line := oneLine(t, r.stderr)
		for _, board := range boards {
			assert.Contains(t, line, board)
		}
	})
}

func TestWrongBoardFileIsNamedByLineAndColumn(t *testing.T) {
	const head = "apiVersion: heapfs/v1\nname: b\nmemory:\n  - {name: ram, base: 0x40000000, size: 1GiB}\n"
	tests := []struct{ name, text, where, what string }{
		{"unknown key", head + "pools:\n  - name: p\n    kind: scatter\n    colour: red\nheaps:\n  - {name: system, pool: p}\n", ":8:5:", "colour"},
		{"unknown kind", head + "pools:\n  - name: p\n    kind: liquid\nheaps:\n  - {name: system, pool: p}\n", ":7:11:", "liquid"},
		{"unknown pool", head + "pools:\n  - {name: p, kind: scatter}\nheaps:\n  - name: system\n    pool: q\n", ":9:11:", "q"},
		{"no YAML", head + "pools: [\n", ":", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(site.dir, "board-"+filepath.Base(t.Name())+".yaml")
			require.NoError(t, os.WriteFile(file, []byte(tt.text), 0o644))
			legs(t, func(t *testing.T, who leg) {
				for _, args := range [][]string{{"run", "--board", file, "--", "echo", "ran"}, {"board", "check", file}} {
					r := heapfs(t, who, options{stderrWanted: true}, args...)
					if args[0] == "run" {
						assert.Equal(t, 125, r.status)
					} else {
						assert.Equal(t, 1, r.status)
					}
					assert.Empty(t, r.stdout)
					line := oneLine(t, r.stderr)
					assert.Contains(t, line, file+tt.where)
					assert.Contains(t, line, tt.what)
				}
			})
		})
	}
	r := heapfs(t, ordinaryLeg(), options{stderrWanted: true}, "run", "--board", "/no/such.yaml", "--", "true")
	assert.Equal(t, 125, r.status)
	assert.Contains(t, oneLine(t, r.stderr), "/no/such.yaml")
}

// ordinaryLeg is for what does not depend on who asks.
func ordinaryLeg() leg {
	if os.Geteuid() == 0 {
		return asRoot
	}
	return asUser
}

func TestBoardCommands(t *testing.T) {
	legs(t, func(t *testing.T, who leg) {
		list := heapfs(t, who, options{}, "board", "list")
		assert.Equal(t, 0, list.status)
		for _, board := range boards {
			assert.Contains(t, list.stdout, board)
			shown := heapfs(t, who, options{}, "board", "show", board)
			assert.Equal(t, 0, shown.status)

			// What is shown is a board file.
			file := filepath.Join(ownDir(t), "b.yaml")
			require.NoError(t, os.WriteFile(file, []byte(shown.stdout), 0o644))
			assert.Equal(t, 0, heapfs(t, who, options{}, "board", "check", file).status)
			r := heapfs(t, who, options{}, "run", "--board", file, "--", client("maps"))
			assert.Equal(t, "maps: ok\n", r.stdout)
		}
	})
}
