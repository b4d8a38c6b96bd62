package integration

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// boards are the built-in ones.
var boards = []string{"generic", "imx8mq-evk", "rk3399-rockpro64"}

// Every client under heapfs, on the board that it gets when nobody asks for one.
func TestClients(t *testing.T) {
	for name, args := range clientArgs() {
		if name == "hold" {
			continue // others use it
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run := func(t *testing.T, who leg) {
				if name == "basic-32" {
					require32Bit(t)
				}
				r := heapfs(t, who, options{timeout: 2 * time.Minute}, append([]string{"run", "--"}, args...)...)
				assert.Equal(t, 0, r.status)
				assert.Contains(t, r.stdout, ": ok\n")
				// A copy-out that fails leaves nothing in the caller.
				assert.NotContains(t, r.stdout, "note:")
			}
			if name == "otheruid" || name == "hang" {
				// Another uid, and faults of the kernel on a page of one's own, are root's.
				requireRoot(t)
				run(t, asRoot)
				return
			}
			legs(t, run)
		})
	}
}

// Boards differ in their heaps and device nodes; what a node does is the same.
func TestBasicClientOnEveryBoard(t *testing.T) {
	for _, board := range boards[1:] {
		for _, name := range []string{"basic-static", "goclient", "pyclient.py"} {
			t.Run(board+"/"+name, func(t *testing.T) {
				legs(t, func(t *testing.T, who leg) {
					r := heapfs(t, who, options{timeout: 2 * time.Minute}, "run", "--board", board, "--", client(name))
					assert.Equal(t, 0, r.status)
					assert.Contains(t, r.stdout, ": ok\n")
				})
			})
		}
	}
}

// The heap without a size of its own runs out as well.
func TestSystemHeapIsExhaustedAndRecovers(t *testing.T) {
	legs(t, func(t *testing.T, who leg) {
		r := heapfs(t, who, options{timeout: 2 * time.Minute}, "run", "--", client("exhaust"), "system", "67108864")
		assert.Equal(t, 0, r.status)
	})
}

// Descriptors can run out in the server too, when several processes hold more buffers than it may have open. An ALLOC is
// ENOMEM then, and nothing is lost.
func TestServerOutOfDescriptorsRefusesAndRecovers(t *testing.T) {
	legs(t, func(t *testing.T, who leg) {
		const limit, each = 128, 100
		p := start(t, who, options{noFile: limit}, site.heapfs, "run", "--", "sh", "-c",
			`for i in 1 2 3; do "$0" system 4096 100 <&0 & done; wait; echo again; "$0" system 4096 100 </dev/null`, client("hold"))
		var got, refused, ready int
		for ready < 3 {
			switch line := p.line(); {
			case line == "ready":
				ready++
			case strings.HasPrefix(line, "buffer "):
				got++
			default:
				require.Equal(t, "error ENOMEM", line)
				refused++
			}
		}
		assert.Equal(t, 3*each, got+refused)
		assert.Positive(t, refused, "the server must have run out")
		assert.Greater(t, got, each/2)
		require.NoError(t, p.stdin.Close())
		p.until("again")
		again := p.until("ready")
		assert.NotContains(t, again[:each/2], "error ENOMEM", "descriptors that came back can be used again")
		assert.Equal(t, 0, p.wait())
		assert.Empty(t, p.stderr.String())
	})
}

// selftest builds the kernel's selftest once a version, and gives the program.
func selftest(t *testing.T, version string) string {
	t.Helper()
	program := filepath.Join(site.clients, "selftest-"+version)
	out, err := exec.Command("./selftest.sh", version, program).CombinedOutput()
	if err != nil {
		skip(t, "the kernel's selftest cannot be built: "+strings.TrimSpace(string(out)), "integration/selftest.sh "+version+" /tmp/dmabuf-heap")
	}
	return program
}

func TestKernelSelftest(t *testing.T) {
	for _, version := range []string{"6.1", "6.12"} {
		t.Run(version, func(t *testing.T) {
			program := selftest(t, version)
			// The selftest knows no other directory: where the machine has heaps of its own, there is no run without.
			if dir, _ := noHeaps(); dir == "/dev/dma_heap" {
				t.Run("without heapfs", func(t *testing.T) {
					r := run(t, asRoot, options{}, program)
					assert.NotEqual(t, 0, r.status)
					assert.Contains(t, r.stdout, "No /dev/dma_heap directory?")
				})
			}
			for _, board := range boards {
				t.Run(board, func(t *testing.T) {
					t.Parallel()
					legs(t, func(t *testing.T, who leg) {
						heaps := heapfs(t, who, options{}, "run", "--board", board, "--", "ls", "/dev/dma_heap")
						r := heapfs(t, who, options{}, "run", "--board", board, "--", program)
						assert.Equal(t, 0, r.status)
						for _, heap := range strings.Fields(heaps.stdout) {
							assert.Contains(t, r.stdout, "Testing heap: "+heap+"\n")
						}
						assert.NotContains(t, r.stdout, "FAIL")
						assert.NotContains(t, r.stdout, "not ok")
					})
				})
			}
		})
	}
}

func TestHeapDirectoryHoldsTheBoardsNodesAndNothingElse(t *testing.T) {
	tests := map[string][]string{
		"generic": {"default_cma_region", "linux,cma", "system"},
		"imx8mq-evk": {
			"30320000.lcd-controller", "38000000.gpu", "38300000.video-codec", "38310000.video-codec",
			"default_cma_region", "linux,cma", "system",
		},
		"rk3399-rockpro64": {
			"default_cma_region", "ff650000.video-codec", "ff660000.video-codec", "ff680000.rga", "ff8f0000.vop", "ff900000.vop",
			"ff9a0000.gpu", "linux,cma", "system",
		},
	}
	for board, want := range tests {
		t.Run(board, func(t *testing.T) {
			legs(t, func(t *testing.T, who leg) {
				r := heapfs(t, who, options{env: []string{"LC_ALL=C"}}, "run", "--board", board, "--", "ls", "-a", "/dev/dma_heap")
				require.Equal(t, 0, r.status)
				got := slices.DeleteFunc(strings.Fields(r.stdout), func(s string) bool { return s == "." || s == ".." })
				assert.Equal(t, want, got)
			})
		})
	}
}
