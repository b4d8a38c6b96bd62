package integration

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
	"github.com/heapfs/heapfs/uapi"
)

// protectedBoard has the heap that some rows need.
const protectedBoard = `apiVersion: heapfs/v1
name: protected
memory:
  - {name: ddr, base: 0x80000000, size: 1GiB}
pools:
  - {name: secure, kind: protected, size: 16MiB}
  - {name: system, kind: scatter}
heaps:
  - {name: "protected,secure-video", pool: secure}
  - {name: system, pool: system}
`

// What real kernels were seen to answer is what heapfs answers, but for the closed list.
func TestConformance(t *testing.T) {
	legs(t, func(t *testing.T, who leg) {
		r := heapfs(t, who, options{}, "run", "--", site.heaptest, "--as", "memfd")
		assert.Equal(t, 0, r.status, failures(r.stdout))
		assert.Contains(t, r.stdout, " 0 FAIL")

		own := ownDir(t) + "/protected.yaml"
		require.NoError(t, os.WriteFile(own, []byte(protectedBoard), 0o644))
		r = heapfs(t, who, options{}, "run", "--board", own, "--", site.heaptest, "--as", "memfd", "--run", "protected")
		assert.Equal(t, 0, r.status, failures(r.stdout))
		assert.Contains(t, r.stdout, " 0 FAIL, 0 not tried")
	})
}

// Under run a name is read by the filter's door, before FUSE would copy beyond its end.
func TestConformanceOfFUSEFilesUnderRun(t *testing.T) {
	var names []string
	for _, kind := range []string{"a-0", "a-1", "b-0", "b-1"} {
		names = append(names, "name-"+kind+"-last")
	}
	legs(t, func(t *testing.T, who leg) {
		exports := []string{"fuse-cached"}
		if who == asRoot && sys.KernelAtLeast(6, 9) {
			exports = append(exports, "fuse")
		}
		for _, export := range exports {
			r := heapfs(t, who, options{}, "run", "--export", export, "--", site.heaptest, "--as", export)
			var failed []string
			for line := range strings.Lines(r.stdout) {
				if words := strings.Fields(line); len(words) > 2 && words[0] == "FAIL" {
					assert.Contains(t, line, "needless")
					failed = append(failed, strings.TrimSuffix(words[1], ":"))
				}
			}
			assert.ElementsMatch(t, names, failed, failures(r.stdout))
		}
	})
}

func TestConformanceNeedsHeaps(t *testing.T) {
	legs(t, func(t *testing.T, who leg) {
		p := start(t, who, options{}, site.heaptest, "--dir", ownDir(t))
		assert.Equal(t, 2, p.wait(), "nothing could be tried")
	})
}

// failures are the lines of heaptest that say what is wrong.
func failures(said string) string {
	var wrong []string
	for line := range strings.Lines(said) {
		if !strings.HasPrefix(line, "ok ") && !strings.HasPrefix(line, "deviates ") {
			wrong = append(wrong, line)
		}
	}
	return strings.Join(wrong, "")
}

// Row B18: the same file, asked by a process that heapfs did not start.
func TestBufferIoctlsNeedTheFilter(t *testing.T) {
	legs(t, func(t *testing.T, who leg) {
		p := start(t, who, options{}, site.heapfs, "run", "--socket", ownDir(t)+"/s.sock", "--", "sh", "-c", `echo $$; exec "$0" system 4096 1`, client("hold"))
		pid := p.line()
		held := p.until("ready")
		require.Len(t, held, 1)
		path := fmt.Sprintf("/proc/%s/fd/%s", pid, strings.TrimPrefix(held[0], "buffer "))
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
		require.NoError(t, err)
		defer unix.Close(fd)
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(uapi.BufIoctlSync), 0)
		assert.Equal(t, unix.ENOTTY, errno)
		require.NoError(t, p.stdin.Close())
		assert.Equal(t, 0, p.wait())
	})
}
