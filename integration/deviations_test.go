package integration

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/uapi"
)

// protectedBoard has the heap that one row needs.
const protectedBoard = `apiVersion: heapfs/v1alpha1
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

// rowID is the first cell of a row in docs/conformance.md, or the first word of a line of the client.
var rowID = regexp.MustCompile(`(?m)^(?:\| )?([NBS][0-9]+) `)

func rowIDs(text string) []string {
	var ids []string
	for _, m := range rowID.FindAllStringSubmatch(text, -1) {
		ids = append(ids, m[1])
	}
	return ids
}

// Every row of the closed list is still true, no row is missing there, and the header has their number.
func TestDeviationsAreAsListed(t *testing.T) {
	doc, err := os.ReadFile("../docs/conformance.md")
	require.NoError(t, err)
	listed := rowIDs(string(doc))
	header := regexp.MustCompile(`memfd export: (\d+) rows`).FindSubmatch(doc)
	require.NotNil(t, header, "the header says how many rows there are")
	assert.Equal(t, string(header[1]), strconv.Itoa(len(listed)))

	legs(t, func(t *testing.T, who leg) {
		own := ownDir(t) + "/protected.yaml"
		require.NoError(t, os.WriteFile(own, []byte(protectedBoard), 0o644))
		args := []string{"run", "--board", own, "--", client("deviations")}
		if start(t, who, options{}, "test", "-w", "/dev/udmabuf").wait() == 0 {
			args = append(args, "--kernel-sync-files")
		}
		r := heapfs(t, who, options{}, args...)
		assert.Equal(t, 0, r.status, r.stdout)
		// Two rows take more than one program.
		assert.ElementsMatch(t, listed, append(rowIDs(r.stdout), "B18", "B19"))
	})
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
