package launch

import (
	"net"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/devices/board"
)

func TestDecideMountExport(t *testing.T) {
	rows := []struct {
		asked string
		board board.Export
		want  string
		err   string
	}{
		{asked: "floppy", err: `export "floppy": unknown; mount takes auto, fuse, fuse-cached, memfd or udmabuf`},
		{asked: "", want: "fuse"},
		{asked: "auto", want: "fuse"},
		{asked: "fuse", board: board.ExportMemfd, want: "fuse"}, // the command line wins
		{asked: "fuse-cached", want: "fuse-cached"},
		{asked: "memfd", want: "memfd"},
		{asked: "udmabuf", want: "udmabuf"},
		{asked: "auto", board: board.ExportMemfd, want: "memfd"},
		{asked: "", board: board.ExportUdmabuf, want: "udmabuf"},
		{asked: "", board: board.ExportAuto, want: "fuse"},
	}
	for _, r := range rows {
		got, err := decideMountExport(r.asked, &board.Board{Export: r.board})
		if r.err != "" {
			assert.EqualError(t, err, r.err)
			continue
		}
		require.NoError(t, err)
		assert.Equal(t, r.want, got)
	}
}

func TestNotify(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	for name, want := range map[string]string{"relative": "neither a path", path: "no such file"} {
		t.Setenv("NOTIFY_SOCKET", name)
		assert.ErrorContains(t, notify("READY=1"), want)
	}
	t.Setenv("NOTIFY_SOCKET", "")
	assert.NoError(t, notify("READY=1"), "nobody asked")
	for _, name := range []string{path, "@heapfs-test-" + filepath.Base(filepath.Dir(path)) + t.Name()} {
		ln, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: name})
		require.NoError(t, err)
		t.Setenv("NOTIFY_SOCKET", name)
		require.NoError(t, notify("STOPPING=1"))
		buf := make([]byte, 100)
		n, err := ln.Read(buf)
		require.NoError(t, err)
		assert.Equal(t, "STOPPING=1", string(buf[:n]))
		require.NoError(t, ln.Close())
	}
}
