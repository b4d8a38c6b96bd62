package integration

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// clientArgs lists how each client is called in the tests; the heaps are those of every built-in board.
func clientArgs() map[string][]string {
	args := map[string][]string{}
	for _, name := range programs() {
		args[name] = []string{client(name)}
	}
	args["exhaust"] = append(args["exhaust"], "linux,cma", "1048576")
	args["killed"] = append(args["killed"], "linux,cma", "1048576")
	args["hold"] = append(args["hold"], "system", "4096", "1")
	return args
}

// noHeaps is a directory in which there are no heaps: the kernel's own, or one that is not there where the machine has heaps.
func noHeaps() (dir string, env []string) {
	if _, err := os.Stat("/dev/dma_heap"); err != nil {
		return "/dev/dma_heap", []string{"HEAP_DIR="}
	}
	return "/nonexistent", []string{"HEAP_DIR=/nonexistent"}
}

func TestWithoutHeapfsEachClientFailsForWantOfAHeap(t *testing.T) {
	dir, env := noHeaps()
	legs(t, func(t *testing.T, who leg) {
		for name, args := range clientArgs() {
			t.Run(name, func(t *testing.T) {
				if name == "basic-32" {
					require32Bit(t)
				}
				heap := "system"
				if len(args) > 1 {
					heap = args[1]
				}
				r := run(t, who, options{env: env, stderrWanted: true}, args...)
				assert.Equal(t, 2, r.status)
				assert.Empty(t, r.stdout)
				assert.Equal(t, "open "+dir+"/"+heap+": No such file or directory\n", r.stderr)
			})
		}
	})
}

// An ordinary directory with an ordinary file in it is no heap either: the checks must notice.
func TestClientsNoticeWhatIsNoHeap(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	require.NoError(t, os.WriteFile(dir+"/system", make([]byte, 8192), 0o666))
	require.NoError(t, os.WriteFile(dir+"/linux,cma", make([]byte, 8192), 0o666))
	for name, args := range clientArgs() {
		if name == "hold" {
			continue // it checks nothing by itself
		}
		t.Run(name, func(t *testing.T) {
			if name == "basic-32" {
				require32Bit(t)
			}
			if name == "otheruid" || name == "hang" {
				requireRoot(t)
			}
			who := asRoot
			if os.Geteuid() != 0 {
				who = asUser
			}
			r := run(t, who, options{env: []string{"HEAP_DIR=" + dir}, stderrWanted: true}, args...)
			assert.Equal(t, 1, r.status, "a check must fail")
			assert.Regexp(t, `^[\w.]+:\d+: `, r.stderr)
		})
	}
}
