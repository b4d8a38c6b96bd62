package launch

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/backing"
	"github.com/heapfs/heapfs/devices/board"
	"github.com/heapfs/heapfs/internal/sys"
)

func TestADamagedPlanIsAnError(t *testing.T) {
	_, err := loadPlan(1 << 20)
	assert.ErrorIs(t, err, unix.ENOENT, "no such descriptor")
	for _, text := range []string{"", "{", "[]", `{"UID":"root"}`, `{"Pools":7}`} {
		fd, err := sys.Memfd("plan")
		require.NoError(t, err)
		_, err = unix.Write(fd, []byte(text))
		require.NoError(t, err)
		_, err = loadPlan(fd)
		assert.ErrorContains(t, err, "plan: ", text)
		sys.Close(fd)
	}
}

func TestAPlanSurvivesItsWay(t *testing.T) {
	b, err := board.Load("imx8mq-evk")
	require.NoError(t, err)
	nodes, err := b.Nodes()
	require.NoError(t, err)
	ps, err := pools(b)
	require.NoError(t, err)
	want := &plan{
		Version: "v0", Board: "imx8mq-evk", Export: "memfd", LogLevel: -4, Nodes: nodes, Pools: ps,
		Faults: []string{"*:delay=5ms"}, Args: []string{"sh", "-c", "echo \"$@\"", "", "\u00fc\n"}, Socket: "/run/x.sock",
		Front: 7, Group: 8, UserNamespace: true, UID: 1000, GID: 1001, Groups: []int{4, 20}, Switch: true, Sock: 9, Events: -1,
	}
	f, err := want.store()
	require.NoError(t, err)
	defer f.Close()
	assert.Equal(t, int(f.Fd()), want.Self)
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0)
	require.NoError(t, err)
	assert.Zero(t, flags, "execve keeps it open")
	for range 2 { // server and stage read the same file
		got, err := loadPlan(want.Self)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
}

func TestAlignOrder(t *testing.T) {
	rows := []struct {
		bytes uint64
		want  int
	}{
		{8 << 10, 1},
		{64 << 10, 4},
		{1 << 20, 8},
		{2 << 20, 9},
		{4096 << backing.MaxAlignOrder, backing.MaxAlignOrder},
		{1 << 40, backing.MaxAlignOrder},
		{1 << 63, backing.MaxAlignOrder},
	}
	for _, r := range rows {
		assert.Equal(t, r.want, alignOrder(r.bytes), "%d bytes", r.bytes)
	}
}

func TestPoolsOfEveryBuiltInBoardAreBackings(t *testing.T) {
	for _, name := range []string{"generic", "imx8mq-evk", "rk3399-rockpro64"} {
		b, err := board.Load(name)
		require.NoError(t, err)
		configs, err := pools(b)
		require.NoError(t, err)
		require.NotEmpty(t, configs)
		for _, c := range configs {
			_, err := backing.NewPool(c)
			assert.NoError(t, err, "%s of %s", c.Name, name)
		}
	}
}

func TestDecideExport(t *testing.T) {
	rows := []struct {
		asked string
		board board.Export
		want  string
		err   string
	}{
		{asked: "fuse", want: "fuse"},
		{asked: "fuse-cached", want: "fuse-cached"},
		{asked: "floppy", err: `export "floppy": unknown`},
		{asked: "auto", board: board.ExportFUSE, want: "fuse"},
		{asked: "", want: "memfd"},
		{asked: "auto", want: "memfd"},
		{asked: "memfd", want: "memfd"},
		{asked: "", board: board.ExportAuto, want: "memfd"},
		{asked: "auto", board: board.ExportMemfd, want: "memfd"},
		{asked: "udmabuf", want: "udmabuf"},
		{asked: "", board: board.ExportUdmabuf, want: "udmabuf"},
		{asked: "memfd", board: board.ExportUdmabuf, want: "memfd"}, // the command line wins
	}
	for _, r := range rows {
		got, err := decideExport(r.asked, &board.Board{Export: r.board})
		assert.Equal(t, r.want, got, "%q on a board with %q", r.asked, r.board)
		if r.err == "" {
			assert.NoError(t, err)
		} else {
			assert.ErrorContains(t, err, r.err)
		}
	}
}

func TestWhatCanBeCheckedIsCheckedBeforeAnythingStarts(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	good := RunConfig{Args: []string{"true"}, Board: "generic", Export: "auto", Socket: "/nowhere.sock"}
	rows := []struct {
		name   string
		change func(*RunConfig)
		want   string
	}{
		{"the board", func(c *RunConfig) { c.Board = "no-such-board" }, "no-such-board"},
		{"a board's file", func(c *RunConfig) { c.Board = "./no-such.yaml" }, "no-such.yaml"},
		{"the export", func(c *RunConfig) { c.Export = "floppy" }, `export "floppy"`},
		{"a fault", func(c *RunConfig) { c.Faults = []string{"*:delay=5ms", "nonsense"} }, `fault "nonsense"`},
		{"the user", func(c *RunConfig) { c.User = "no-such-user" }, `user "no-such-user"`},
		{"the user's number", func(c *RunConfig) { c.User = "4294967296" }, `user "4294967296"`},
	}
	for _, r := range rows {
		cfg := good
		r.change(&cfg)
		_, err := newPlan(cfg)
		require.ErrorContains(t, err, r.want, r.name)
		assert.NotContains(t, strings.TrimSuffix(err.Error(), "\n"), "\n", r.name)
	}
	p, err := newPlan(good)
	require.NoError(t, err)
	assert.Equal(t, os.Geteuid(), p.UID)
	assert.Equal(t, "memfd", p.Export)
	assert.NotEmpty(t, p.Nodes)
	assert.False(t, p.Switch)
}

func TestAnotherUserTakesItsGroupsAlong(t *testing.T) {
	p := &plan{UserNamespace: true}
	assert.ErrorContains(t, p.switchUser("root"), "only root can")
	for _, name := range []string{"root", "0"} {
		p = &plan{UID: 1000, GID: 1000}
		require.NoError(t, p.switchUser(name))
		assert.True(t, p.Switch)
		assert.Equal(t, []int{0, 0}, []int{p.UID, p.GID})
		assert.Contains(t, p.Groups, 0)
	}
}
