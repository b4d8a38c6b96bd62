package integration

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// foreign allocates by number 0 of a type that no filter traps, and says what came of it: "ok", or the errno.
const foreign = `
import errno, fcntl, os, struct, sys
heap = os.open("/dev/dma_heap/system", os.O_RDWR | os.O_CLOEXEC)
for i in range(int(sys.argv[1])):
    data = bytearray(struct.pack("QIIQ", 5000, 0, os.O_RDWR | os.O_CLOEXEC, 0))
    try:
        fcntl.ioctl(heap, 0xC0185A00, data)
        fd = struct.unpack("QIIQ", data)[1]
        print("ok" if os.fstat(fd).st_size == 8192 and fd == heap + 1 else "wrong")
        os.close(fd)
    except OSError as e:
        print(errno.errorcode[e.errno])
`

func requirePython(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		skip(t, "no python3", "make deps")
	}
}

// Number 0 of any type is an ALLOC on a kernel's node, whoever traps it. The process that injects leaves with run: TestMain looks for it.
func TestRunAnswersAForeignTypeThroughTheSecondDoor(t *testing.T) {
	requirePython(t)
	legs(t, func(t *testing.T, who leg) {
		events := filepath.Join(ownDir(t), "events.jsonl")
		r := heapfs(t, who, options{}, "run", "--events", events, "--", "python3", "-c", foreign, "3")
		assert.Equal(t, 0, r.status)
		assert.Equal(t, "ok\nok\nok\n", r.stdout)
		lines := readEvents(t, events)
		assert.Equal(t, 3, count(lines, "alloc"))
		assert.Equal(t, 3, count(lines, "free"))
		for _, line := range lines {
			if line.Event == "alloc" {
				assert.Equal(t, "ptrace", line.Door)
			}
		}
	})
}

// A container may lack CAP_SYS_PTRACE: ENOMEM, with the reason in the events and, once, in the log.
func TestRunWithoutPermissionToTraceSaysSoOnce(t *testing.T) {
	requireRoot(t)
	requirePython(t)
	if out := run(t, asRoot, options{stderrWanted: true}, "setpriv", "--bounding-set", "-sys_ptrace", "true"); out.status != 0 {
		skip(t, "no setpriv", "apt-get install util-linux")
	}
	events := filepath.Join(ownDir(t), "events.jsonl")
	r := run(t, asRoot, options{stderrWanted: true}, "setpriv", "--bounding-set", "-sys_ptrace", site.heapfs, "run", "--events", events,
		"--", "python3", "-c", foreign, "3")
	assert.Equal(t, 0, r.status)
	assert.Equal(t, "ENOMEM\nENOMEM\nENOMEM\n", r.stdout)
	line := oneLine(t, r.stderr)
	assert.Contains(t, line, "programs can't be given buffers")
	assert.Contains(t, line, "--cap-add SYS_PTRACE")
	lines := readEvents(t, events)
	require.Equal(t, 3, count(lines, "alloc_failed"))
	for _, line := range lines {
		if line.Event == "alloc_failed" {
			assert.Contains(t, line.Reason, "CAP_SYS_PTRACE")
		}
	}
}
