package fs

import (
	"path/filepath"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/devices/board"
	"github.com/heapfs/heapfs/heapnodes"
)

// withLinks gives the first node two symbolic links.
func withLinks(c *heapnodes.Config) {
	c.Nodes = append([]board.Node{}, c.Nodes...)
	c.Nodes[0].Links = []string{"vidbuf_cached", "other"}
}

func TestALinkCantBeChanged(t *testing.T) {
	s := mounted(t, withLinks)
	path := filepath.Join(s.dir, "vidbuf_cached")
	assert.ErrorIs(t, unix.Unlink(path), unix.EPERM)
	assert.Error(t, unix.Rename(path, filepath.Join(s.dir, "new")))
	assert.Error(t, unix.Lchown(path, 1, 1))
	assert.Error(t, unix.Symlink("system", filepath.Join(s.dir, "more")))
	_, err := unix.Readlink(filepath.Join(s.dir, "system"), make([]byte, 100))
	assert.ErrorIs(t, err, unix.EINVAL, "a node is no link")
}

func TestALinkLeadsToItsNode(t *testing.T) {
	s := mounted(t, withLinks)
	assert.Equal(t, []string{"system", "linux,cma", "memory@42000000", "vidbuf_cached", "other"}, s.list(t))
	path := filepath.Join(s.dir, "vidbuf_cached")
	buf := make([]byte, 100)
	n, err := unix.Readlink(path, buf)
	require.NoError(t, err)
	assert.Equal(t, "system", string(buf[:n]))

	var st unix.Stat_t
	require.NoError(t, unix.Lstat(path, &st))
	assert.Equal(t, uint32(fuse.S_IFLNK|0o777), st.Mode)
	assert.Equal(t, int64(len("system")), st.Size)
	assert.Nil(t, s.tree.NodeByIno(st.Ino), "an open of the link itself is no open of a node")
	node := s.stat(t, "system")
	assert.Equal(t, node.Ino, s.stat(t, "vidbuf_cached").Ino)
	require.NotNil(t, s.tree.NodeByIno(node.Ino))
	s.open(t, "other", unix.O_RDONLY)
}
