package fs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
)

func TestServeOfWhatIsNoMountIsAnError(t *testing.T) {
	fd, err := sys.Memfd("no FUSE device")
	require.NoError(t, err)
	_, err = Serve(fd, newTree(t).tree)
	assert.ErrorContains(t, err, "FUSE")
	_, err = unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	assert.Equal(t, unix.EBADF, err, "the descriptor belonged to Serve")
}

func TestOnlyHeapNodesAreFound(t *testing.T) {
	s := mounted(t)
	for _, name := range []string{"nosuch", ".hidden", "System", "system,", "linux", "linux,cma/x", "system/..", "memory@42000000+system"} {
		_, err := os.Lstat(s.dir + "/" + name)
		assert.Error(t, err, name)
	}
	assert.ElementsMatch(t, []string{"system", "linux,cma", "memory@42000000"}, s.list(t))
	for _, n := range fakeNodes {
		_, err := os.Lstat(filepath.Join(s.dir, n.Name))
		assert.NoError(t, err, n.Name)
	}
}

func TestTheTreeCantBeChanged(t *testing.T) {
	s := mounted(t)
	before := s.list(t)
	at, node := filepath.Join(s.dir, "new"), filepath.Join(s.dir, "system")
	fd, err := unix.Open(at, unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	assert.Error(t, err, "create")
	if err == nil {
		sys.Close(fd)
	}
	assert.Error(t, unix.Mkdir(at, 0o755), "mkdir")
	assert.Error(t, unix.Mknod(at, unix.S_IFIFO|0o600, 0), "mknod")
	assert.Error(t, unix.Symlink("system", at), "symlink")
	assert.Error(t, unix.Link(node, at), "link")
	assert.Equal(t, unix.EPERM, unix.Rename(node, at), "rename")
	assert.Equal(t, unix.EPERM, unix.Rename(node, filepath.Join(s.dir, "linux,cma")), "rename over another")
	assert.Equal(t, unix.EPERM, unix.Unlink(node), "unlink")
	assert.Error(t, unix.Setxattr(node, "user.x", []byte("y"), 0), "setxattr")
	assert.Equal(t, unix.EPERM, unix.Chmod(node, 0o777), "chmod")
	assert.Equal(t, unix.EPERM, unix.Chown(node, 0, 0), "chown")
	assert.ElementsMatch(t, before, s.list(t))
	var st unix.Stat_t
	require.NoError(t, unix.Stat(node, &st))
	assert.EqualValues(t, unix.S_IFREG|0o600, st.Mode)
}

func TestATouchedNodeIsStillTheNode(t *testing.T) {
	s := mounted(t)
	path := filepath.Join(s.dir, "system")
	require.NoError(t, unix.UtimesNano(path, []unix.Timespec{{Sec: 1}, {Sec: 1}}))
	s.open(t, "system", unix.O_RDWR|unix.O_TRUNC)
	id, err := sys.StatAt(unix.AT_FDCWD, path)
	require.NoError(t, err)
	assert.Same(t, s.heaps.Nodes()[0], s.tree.NodeByIno(id.Ino))
}

func TestModesAndOwnersAreTheBoards(t *testing.T) {
	s := newTree(t)
	s.tree.owner = Owner{UID: 1000, GID: 1001}
	for i, want := range []struct{ mode, uid, gid uint32 }{
		{0o600, 1000, 1001},
		{0o444, 1000, 0},
		{0o660, 0, 1001},
	} {
		n := &node{tree: s.tree, heap: s.heaps.Nodes()[i]}
		var out fuseAttr
		n.attr(&out)
		assert.EqualValues(t, unix.S_IFREG|want.mode, out.Mode, fakeNodes[i].Name)
		assert.Equal(t, []uint32{want.uid, want.gid}, []uint32{out.Uid, out.Gid}, fakeNodes[i].Name)
	}

	m := mounted(t)
	var st unix.Stat_t
	require.NoError(t, unix.Stat(m.dir, &st))
	assert.EqualValues(t, unix.S_IFDIR|0o755, st.Mode)
	for i, n := range fakeNodes {
		require.NoError(t, unix.Stat(filepath.Join(m.dir, n.Name), &st))
		assert.Equal(t, unix.S_IFREG|n.Mode, st.Mode, n.Name)
		assert.EqualValues(t, 1, st.Nlink)
		assert.Zero(t, st.Size)
		assert.Same(t, m.heaps.Nodes()[i], m.tree.NodeByIno(st.Ino), "a node is found by what statx says")
	}
}

func TestOnlyInodesOfNodesHaveOne(t *testing.T) {
	s := newTree(t)
	for _, ino := range []uint64{0, rootIno, 2 + uint64(len(fakeNodes)), 1 << 32, 1<<64 - 1} {
		assert.Nil(t, s.tree.NodeByIno(ino), "inode %d", ino)
	}
	for i, n := range s.heaps.Nodes() {
		assert.Same(t, n, s.tree.NodeByIno(2+uint64(i)))
	}
}
