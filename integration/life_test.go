package integration

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// gone waits until a process has ended.
func gone(t *testing.T, pid int) {
	t.Helper()
	require.Positive(t, pid)
	require.Eventually(t, func() bool { return !alive(pid) }, time.Minute, 20*time.Millisecond, "process %d is still there", pid)
}

// A child that outlives the command allocates a second later, and the server ends after the child.
func TestBackgroundChildrenKeepTheirHeaps(t *testing.T) {
	scripts := map[string]string{
		"in the background": `"$0" ls --json > "$2/ls"; { sleep 1; "$1"; echo "status $?"; } > "$2/out" 2>&1 < /dev/null & exit 3`,
		"as a daemon":       `"$0" ls --json > "$2/ls"; setsid sh -c 'sleep 1; "$0"; echo "status $?"' "$1" > "$2/out" 2>&1 < /dev/null & exit 3`,
	}
	for name, script := range scripts {
		t.Run(name, func(t *testing.T) {
			legs(t, func(t *testing.T, who leg) {
				dir := ownDir(t)
				r := heapfs(t, who, options{}, "run", "--", "sh", "-c", script, site.heapfs, client("maps"), dir)
				assert.Equal(t, 3, r.status)
				assert.Empty(t, r.stdout)
				require.Eventually(t, func() bool {
					out, _ := os.ReadFile(filepath.Join(dir, "out"))
					return strings.Contains(string(out), "status ")
				}, time.Minute, 20*time.Millisecond)
				out, err := os.ReadFile(filepath.Join(dir, "out"))
				require.NoError(t, err)
				assert.Equal(t, "maps: ok\nstatus 0\n", string(out))
				gone(t, pidIn(t, filepath.Join(dir, "ls")))
			})
		})
	}
}

func pidIn(t *testing.T, file string) int {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	_, after, ok := strings.Cut(string(data), `"pid":`)
	require.True(t, ok, string(data))
	digits := strings.TrimLeft(after, " ")
	end := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' })
	require.Positive(t, end)
	pid, err := strconv.Atoi(digits[:end])
	require.NoError(t, err)
	return pid
}

// With the command and its children gone, the server is gone, and its socket.
func TestServerEndsWithTheLastProcess(t *testing.T) {
	legs(t, func(t *testing.T, who leg) {
		in := hold(t, who, nil, "system", 4096, 1)
		var ls lsAnswer
		in.outside(t, &ls, "ls")
		assert.Equal(t, 0, in.wait())
		gone(t, ls.Instance.PID)
		_, err := os.Stat(in.socket)
		assert.ErrorIs(t, err, os.ErrNotExist)
	})
}

// A command that is killed takes its instance with it.
func TestKilledCommand(t *testing.T) {
	legs(t, func(t *testing.T, who leg) {
		in := hold(t, who, nil, "system", 4096, 3)
		var ls lsAnswer
		in.outside(t, &ls, "ls")
		var buffers []bufferAnswer
		in.outside(t, &buffers, "buffers")
		require.NotEmpty(t, buffers)
		require.NoError(t, syscall.Kill(buffers[0].PID, syscall.SIGKILL))
		assert.Equal(t, 128+9, in.wait())
		gone(t, ls.Instance.PID)
	})
}

// The server killed with -9: nothing hangs, and what the program has in hand stays usable.
func TestKilledServer(t *testing.T) {
	legs(t, func(t *testing.T, who leg) {
		socket := filepath.Join(ownDir(t), "s.sock")
		in := &instance{who: who, socket: socket}
		in.process = start(t, who, options{}, site.heapfs, "run", "--socket", socket, "--", "sh", "-c", `"$0" system 1000000 2; exit 5`, client("hold"))
		held := in.until("ready")
		require.Len(t, held, 2)
		fd := strings.TrimPrefix(held[0], "buffer ")

		var ls lsAnswer
		in.outside(t, &ls, "ls")
		require.NoError(t, syscall.Kill(ls.Instance.PID, syscall.SIGKILL))
		gone(t, ls.Instance.PID)
		t.Cleanup(func() { _ = os.Remove(socket) }) // nobody else can

		assert.Equal(t, "error ENOSYS", in.ask("alloc"))
		// Threads of the server may outlast its first by a moment; an open that came in between is aborted.
		answer := in.ask("open")
		for tries := 0; answer == "error ECONNABORTED" && tries < 100; tries++ {
			time.Sleep(20 * time.Millisecond)
			answer = in.ask("open")
		}
		assert.Equal(t, "error ENOTCONN", answer)
		assert.Equal(t, "ok", in.ask("fill %s", fd))
		assert.Equal(t, "ok", in.ask("close %s", fd))
		assert.Equal(t, "error ENOSYS", in.ask("alloc"))
		assert.Equal(t, 5, in.wait(), "the command's status comes back all the same")
	})
}

// Commands in a pipe do not wait for anything but the command.
func TestRunInAPipe(t *testing.T) {
	legs(t, func(t *testing.T, who leg) {
		r := run(t, who, options{}, "sh", "-c", `printf 'a\nb\n' | "$0" run -- cat | wc -l`, site.heapfs)
		assert.Equal(t, "2", strings.TrimSpace(r.stdout))
		r = run(t, who, options{}, "sh", "-c", `"$0" run -- yes | head -n 1`, site.heapfs)
		assert.Equal(t, "y\n", r.stdout)
	})
}

// Many runs one after the other and at once leave nothing; TestMain looks.
func TestManyRuns(t *testing.T) {
	legs(t, func(t *testing.T, who leg) {
		r := run(t, who, options{timeout: 2 * time.Minute}, "sh", "-c",
			`for i in 1 2 3 4 5; do for j in 1 2 3 4; do "$0" run -- "$1" & done; wait; done`, site.heapfs, client("maps"))
		assert.Equal(t, strings.Repeat("maps: ok\n", 20), r.stdout)
	})
}
