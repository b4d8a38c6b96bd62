package integration

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The parts of the JSON answers that the tests look at. Fields are part of the command line's contract.
type (
	lsAnswer struct {
		Instance struct {
			ID     string `json:"id"`
			PID    int    `json:"pid"`
			Board  string `json:"board"`
			Export string `json:"export"`
			Door   string `json:"door"`
			Socket string `json:"socket"`
		} `json:"instance"`
		Heaps []struct {
			Name     string `json:"name"`
			Pool     string `json:"pool"`
			Kind     string `json:"kind"`
			Alias    bool   `json:"alias"`
			PoolSize uint64 `json:"pool_size"`
			PoolUsed uint64 `json:"pool_used"`
			Buffers  int    `json:"buffers"`
		} `json:"heaps"`
	}
	extent struct {
		Addr uint64 `json:"addr"`
		Len  uint64 `json:"len"`
	}
	bufferAnswer struct {
		ID      uint64   `json:"id"`
		Heap    string   `json:"heap"`
		Name    string   `json:"name"`
		Len     uint64   `json:"len"`
		PID     int      `json:"pid"`
		UID     int      `json:"uid"`
		Comm    string   `json:"comm"`
		Extents []extent `json:"extents"`
	}
	eventLine struct {
		V        int       `json:"v"`
		Seq      uint64    `json:"seq"`
		Time     time.Time `json:"time"`
		Event    string    `json:"event"`
		Instance string    `json:"instance"`
		Door     string    `json:"door"`
		Heap     string    `json:"heap"`
		Buffer   uint64    `json:"buffer"`

		Device     string `json:"device"`
		Attachment uint64 `json:"attachment"`
		DMAAddr    uint64 `json:"dma_addr"`
		Segments   int    `json:"segments"`

		PID     int      `json:"pid"`
		TID     int      `json:"tid"`
		UID     *int     `json:"uid"`
		Comm    string   `json:"comm"`
		Len     uint64   `json:"len"`
		Errno   string   `json:"errno"`
		Reason  string   `json:"reason"`
		Name    string   `json:"name"`
		Extents []extent `json:"extents"`
	}
)

// instance is a heapfs run with a client that holds buffers, and its socket.
type instance struct {
	*process
	who     leg
	socket  string
	buffers []int // descriptors in the client
}

// hold starts `heapfs run FLAGS -- hold HEAP SIZE COUNT` with a socket of the test's own.
func hold(t *testing.T, who leg, flags []string, heap string, size, count int) *instance {
	t.Helper()
	in := &instance{who: who, socket: filepath.Join(ownDir(t), "s.sock")}
	args := append([]string{site.heapfs, "run", "--socket", in.socket}, flags...)
	args = append(args, "--", client("hold"), heap, strconv.Itoa(size), strconv.Itoa(count))
	in.process = start(t, who, options{}, args...)
	for _, line := range in.until("ready") {
		fd, ok := strings.CutPrefix(line, "buffer ")
		require.True(t, ok, line)
		n, err := strconv.Atoi(fd)
		require.NoError(t, err)
		in.buffers = append(in.buffers, n)
	}
	return in
}

// ownDir is a new directory that belongs to the ordinary user, who is in it what root is in the other leg. Its path is short:
// a socket's path has 107 bytes.
func ownDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(site.dir, "t")
	require.NoError(t, err)
	if os.Geteuid() == 0 && strings.HasSuffix(t.Name(), "/"+string(asUser)) {
		require.NoError(t, os.Chown(dir, ordinaryUID, ordinaryUID))
	}
	return dir
}

// outside runs a command on the instance from outside of it.
func (in *instance) outside(t *testing.T, into any, command string) {
	t.Helper()
	r := heapfs(t, in.who, options{}, command, "--socket", in.socket, "--json")
	require.Equal(t, 0, r.status)
	require.NoError(t, json.Unmarshal([]byte(r.stdout), into), r.stdout)
}

func uidOf(who leg) int {
	if who == asUser && os.Geteuid() == 0 {
		return ordinaryUID
	}
	return os.Geteuid()
}

func TestWithoutAnInstanceThereIsNoState(t *testing.T) {
	legs(t, func(t *testing.T, who leg) {
		for _, command := range []string{"ls", "buffers", "events"} {
			r := heapfs(t, who, options{stderrWanted: true}, command, "--socket", filepath.Join(site.dir, "no.sock"))
			assert.NotEqual(t, 0, r.status)
			assert.Contains(t, oneLine(t, r.stderr), "no.sock")
			assert.Empty(t, r.stdout)
		}
	})
}

func TestLsShowsInstanceAndHeaps(t *testing.T) {
	legs(t, func(t *testing.T, who leg) {
		in := hold(t, who, nil, "linux,cma", 1<<20, 3)
		var ls lsAnswer
		in.outside(t, &ls, "ls")
		assert.Equal(t, "generic", ls.Instance.Board)
		assert.Equal(t, "memfd", ls.Instance.Export)
		assert.Equal(t, in.socket, ls.Instance.Socket)
		assert.True(t, alive(ls.Instance.PID))
		names := map[string]int{}
		for i, heap := range ls.Heaps {
			names[heap.Name] = i
		}
		require.Len(t, names, 3)
		cma, legacy, system := ls.Heaps[names["default_cma_region"]], ls.Heaps[names["linux,cma"]], ls.Heaps[names["system"]]
		assert.Equal(t, "contiguous", cma.Kind)
		assert.Equal(t, "scatter", system.Kind)
		assert.EqualValues(t, 256<<20, cma.PoolSize)
		assert.EqualValues(t, 3<<20, cma.PoolUsed, "both names show the one pool")
		assert.EqualValues(t, 3<<20, legacy.PoolUsed)
		assert.Equal(t, cma.Pool, legacy.Pool)
		assert.True(t, legacy.Alias)
		assert.Zero(t, system.PoolUsed)

		r := heapfs(t, who, options{}, "ls", "--socket", in.socket)
		for _, name := range []string{"system", "default_cma_region", "linux,cma"} {
			assert.Contains(t, r.stdout, name)
		}
		assert.Equal(t, 0, in.wait())
	})
}

func TestBuffersShowsWhoHoldsWhat(t *testing.T) {
	legs(t, func(t *testing.T, who leg) {
		in := hold(t, who, nil, "system", 3<<20+5, 2)
		require.Equal(t, "ok", in.ask("name %d decoder-input", in.buffers[1]))
		var buffers []bufferAnswer
		in.outside(t, &buffers, "buffers")
		require.Len(t, buffers, 2)
		names := map[string]bool{}
		for _, b := range buffers {
			names[b.Name] = true
			assert.Equal(t, "system", b.Heap)
			assert.EqualValues(t, 3<<20+4096, b.Len)
			assert.Equal(t, uidOf(who), b.UID)
			assert.Equal(t, "hold", b.Comm)
			assert.True(t, alive(b.PID))
			var sum uint64
			for _, e := range b.Extents {
				sum += e.Len
			}
			assert.Equal(t, b.Len, sum, "the extents make up the buffer")
			assert.Greater(t, len(b.Extents), 1)
		}
		assert.True(t, names["decoder-input"], "%v", names)
		assert.Contains(t, heapfs(t, who, options{}, "buffers", "--socket", in.socket).stdout, "decoder-input")

		require.Equal(t, "ok", in.ask("close %d", in.buffers[0]))
		in.outside(t, &buffers, "buffers") // what was closed before the question is not in the answer
		require.Len(t, buffers, 1)
		assert.Equal(t, "decoder-input", buffers[0].Name)
		assert.Equal(t, 0, in.wait())
	})
}

func TestStateIsSeenFromInside(t *testing.T) {
	script := `"$1" system 65536 1 </dev/null >/dev/null && "$0" ls --json && "$0" buffers && "$0" events --follow=false`
	legs(t, func(t *testing.T, who leg) {
		r := heapfs(t, who, options{}, "run", "--", "sh", "-c", script, site.heapfs, client("hold"))
		assert.Equal(t, 0, r.status)
		var ls lsAnswer
		decoder := json.NewDecoder(strings.NewReader(r.stdout))
		require.NoError(t, decoder.Decode(&ls))
		assert.Equal(t, "generic", ls.Instance.Board)
		for _, kind := range []string{"start", "alloc", "free"} {
			assert.Contains(t, r.stdout, `"event":"`+kind+`"`)
		}
	})
}

// Without --socket the commands find the only instance of their user, and list several to choose from.
func TestCommandsFindTheInstance(t *testing.T) {
	// The ordinary user's directory is the test's own; root's may hold instances of others.
	runtime := ownDir(t)
	require.NoError(t, os.Chmod(runtime, 0o700))
	who := asUser
	if os.Geteuid() == 0 {
		require.NoError(t, os.Chown(runtime, ordinaryUID, ordinaryUID))
	}
	o := options{env: []string{"XDG_RUNTIME_DIR=" + runtime, "TMPDIR=" + runtime}, stderrWanted: true}

	r := heapfs(t, who, o, "ls")
	assert.NotEqual(t, 0, r.status)
	assert.Contains(t, oneLine(t, r.stderr), "heapfs run")

	args := []string{site.heapfs, "run", "--", client("hold"), "system", "4096", "1"}
	first := start(t, who, o, args...)
	first.until("ready")
	r = heapfs(t, who, o, "ls")
	assert.Equal(t, 0, r.status)
	assert.Empty(t, r.stderr)

	second := start(t, who, o, args...)
	second.until("ready")
	r = heapfs(t, who, o, "ls")
	assert.NotEqual(t, 0, r.status)
	assert.Equal(t, 2, strings.Count(oneLine(t, r.stderr), ".sock"), r.stderr)
	assert.Equal(t, 0, first.wait())
	assert.Equal(t, 0, second.wait())
	left, err := filepath.Glob(filepath.Join(runtime, "heapfs", "*.sock"))
	require.NoError(t, err)
	assert.Eventually(t, func() bool {
		left, _ = filepath.Glob(filepath.Join(runtime, "heapfs", "*.sock"))
		return len(left) == 0
	}, 30*time.Second, 50*time.Millisecond, "sockets are removed at the end: %v", left)
}

// readEvents reads an --events file once the instance's last line is in it.
func readEvents(t *testing.T, path string) []eventLine {
	t.Helper()
	var lines []eventLine
	require.Eventually(t, func() bool {
		lines = parseEvents(t, path)
		return len(lines) > 0 && lines[len(lines)-1].Event == "exit"
	}, 30*time.Second, 20*time.Millisecond, "%s has no exit line", path)
	return lines
}

func parseEvents(t *testing.T, path string) []eventLine {
	t.Helper()
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(t, err)
	var lines []eventLine
	for line := range bytes.Lines(data) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // being written
		}
		var event eventLine
		decoder := json.NewDecoder(bytes.NewReader(line))
		decoder.DisallowUnknownFields()
		require.NoError(t, decoder.Decode(&event), string(line))
		lines = append(lines, event)
	}
	return lines
}

func count(lines []eventLine, kind string) int {
	n := 0
	for _, line := range lines {
		if line.Event == kind {
			n++
		}
	}
	return n
}

func TestEventsAccountForEveryBuffer(t *testing.T) {
	for _, name := range []string{"threads", "forks", "maps", "passfd", "killed"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			legs(t, func(t *testing.T, who leg) {
				file := filepath.Join(ownDir(t), "events.jsonl")
				args := append([]string{"run", "--events", file, "--"}, clientArgs()[name]...)
				r := heapfs(t, who, options{timeout: 2 * time.Minute}, args...)
				require.Equal(t, 0, r.status)
				checkEvents(t, who, readEvents(t, file))
			})
		})
	}
}

// checkEvents checks what holds for the events of every instance that ended well.
func checkEvents(t *testing.T, who leg, lines []eventLine) {
	t.Helper()
	require.Equal(t, "start", lines[0].Event)
	require.Equal(t, 1, count(lines, "exit"))
	live := map[uint64]eventLine{}
	used := map[uint64]uint64{} // address → buffer
	for i, line := range lines {
		require.Equal(t, 1, line.V)
		require.EqualValues(t, i+1, line.Seq, "no gaps")
		require.Equal(t, lines[0].Instance, line.Instance)
		require.False(t, line.Time.IsZero())
		switch line.Event {
		case "alloc":
			require.NotZero(t, line.Buffer)
			require.NotContains(t, live, line.Buffer)
			require.Equal(t, "seccomp", line.Door)
			require.NotZero(t, line.PID)
			require.NotZero(t, line.TID)
			require.NotNil(t, line.UID)
			require.Equal(t, uidOf(who), *line.UID)
			require.NotEmpty(t, line.Comm)
			var sum uint64
			for _, e := range line.Extents {
				require.Zero(t, used[e.Addr], "an extent is two buffers'")
				used[e.Addr] = line.Buffer
				sum += e.Len
			}
			require.Equal(t, line.Len, sum)
			live[line.Buffer] = line
		case "free":
			require.Contains(t, live, line.Buffer, "free without alloc")
			for _, e := range live[line.Buffer].Extents {
				delete(used, e.Addr)
			}
			delete(live, line.Buffer)
		case "alloc_failed":
			require.NotEmpty(t, line.Errno)
			require.NotEmpty(t, line.Reason)
		}
	}
	assert.Empty(t, live, "every alloc has its free before exit")
	assert.Positive(t, count(lines, "alloc"))
}

// The line is in the file before the caller can do anything with its buffer.
func TestAllocIsWrittenBeforeTheCallerSeesIt(t *testing.T) {
	legs(t, func(t *testing.T, who leg) {
		file := filepath.Join(ownDir(t), "events.jsonl")
		in := hold(t, who, []string{"--events", file}, "system", 10000, 1)
		for i := range 50 {
			require.Regexp(t, `^buffer \d+$`, in.ask("alloc"))
			assert.Equal(t, i+2, count(parseEvents(t, file), "alloc"))
		}
		require.Equal(t, 0, in.wait())
		checkEvents(t, who, readEvents(t, file))
	})
}

// Followers get the stream over the socket: the same lines, to the end.
func TestEventsAreFollowedFromOutside(t *testing.T) {
	legs(t, func(t *testing.T, who leg) {
		in := hold(t, who, nil, "system", 4096, 2)
		follower := start(t, who, options{}, site.heapfs, "events", "--socket", in.socket, "--json")
		next := func() eventLine {
			var event eventLine
			line := follower.line()
			require.NoError(t, json.Unmarshal([]byte(line), &event), line)
			return event
		}
		for _, want := range []string{"start", "alloc", "alloc"} { // what was before is told too
			assert.Equal(t, want, next().Event)
		}
		require.Equal(t, "ok", in.ask("name %d x", in.buffers[0]))
		assert.Equal(t, "set_name", next().Event)
		require.Equal(t, "ok", in.ask("close %d", in.buffers[0]))
		assert.Equal(t, 0, in.wait())
		assert.Equal(t, "free", next().Event)
		assert.Equal(t, "free", next().Event)
		assert.Equal(t, "exit", next().Event)
		assert.Equal(t, 0, follower.wait())
	})
}
