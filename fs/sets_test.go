package fs

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/devices"
	"github.com/heapfs/heapfs/devices/board"
	"github.com/heapfs/heapfs/heapnodes"
	"github.com/heapfs/heapfs/heapnodes/events"
)

// withSets gives the tree sets of four devices, one of which no heap serves, and a node with a + in its name.
func withSets(c *heapnodes.Config) {
	c.Platform = devices.Platform{
		Heaps: []devices.Heap{{Name: "linux,cma", Base: 1 << 30, Size: 1 << 20}},
		Devices: []devices.Device{
			{Name: "a"}, {Name: "b"}, {Name: "c"}, {Name: "tee", Constraints: devices.Constraints{Protected: devices.ProtectedRequires}},
		},
	}
	c.Nodes = append(c.Nodes[:len(c.Nodes):len(c.Nodes)], board.Node{Name: "a+own", Pool: "ram", Heap: "a+own", Kind: board.KindScatter, Mode: 0o600})
}

func mountedSets(t *testing.T) *site {
	t.Helper()
	return mounted(t, withSets)
}

func (s *site) stat(t *testing.T, name string) unix.Stat_t {
	t.Helper()
	var st unix.Stat_t
	require.NoError(t, unix.Stat(filepath.Join(s.dir, name), &st), name)
	return st
}

func TestWhatIsNoSetIsNotFoundHoweverOften(t *testing.T) {
	s := mountedSets(t)
	for _, name := range []string{"a+", "+", "a+a", "a+nosuch", "a+system", "a+tee"} {
		for range 2 {
			var st unix.Stat_t
			assert.Equal(t, unix.ENOENT, unix.Stat(filepath.Join(s.dir, name), &st), name)
			all := s.events()
			require.Len(t, all, 1, "each look-up is told: %s", name)
			assert.Equal(t, []any{events.LookupFailed, name, "fuse", "ENOENT"}, []any{all[0].Event, all[0].Heap, all[0].Door, all[0].Errno})
			assert.NotEmpty(t, all[0].Reason)
			assert.NotZero(t, all[0].PID)
		}
	}
	var st unix.Stat_t
	assert.Equal(t, unix.ENOENT, unix.Stat(filepath.Join(s.dir, "nosuch"), &st))
	assert.Empty(t, s.events(), "no set was meant")
}

func TestASetIsOneNodeInAnyOrder(t *testing.T) {
	s := mountedSets(t)
	before := s.list(t)
	st := s.stat(t, "b+a")
	assert.EqualValues(t, unix.S_IFREG|0o444, st.Mode, "mode and owner are the heap's")
	for _, name := range []string{"a+b", "b+a"} {
		assert.Equal(t, st.Ino, s.stat(t, name).Ino, name)
	}
	n := s.tree.NodeByIno(st.Ino)
	require.NotNil(t, n)
	assert.Equal(t, "a+b", n.Name)
	for _, name := range []string{"c+b+a", "a+b+c", "a+c+b"} {
		assert.NotEqual(t, st.Ino, s.stat(t, name).Ino, name)
		assert.Equal(t, "a+b+c", s.tree.NodeByIno(s.stat(t, name).Ino).Name)
	}
	assert.Equal(t, before, s.list(t), "no set is listed")
	assert.Len(t, s.tree.Children(), len(before)+2, "one name is remembered for all orders")
	assert.Nil(t, s.tree.NodeByIno(setIno+2))
	assert.Nil(t, s.tree.NodeByIno(setIno-1))
	assert.Equal(t, "a+own", s.tree.NodeByIno(s.stat(t, "a+own").Ino).Name, "a node of the board is no set")
	assert.Empty(t, s.events())

	// It behaves like any node.
	fd := s.open(t, "b+a", unix.O_RDWR|unix.O_TRUNC)
	assert.Equal(t, unix.EINVAL, ioctl(fd, 0x4801, make([]byte, 24)))
	assert.Equal(t, unix.EPERM, unix.Unlink(filepath.Join(s.dir, "b+a")))
	assert.Equal(t, st.Ino, s.stat(t, "a+b").Ino)
}

func TestATreeWithoutSetsHasNone(t *testing.T) {
	s := newTree(t)
	s.tree.Sets = nil
	inode, errno := s.tree.Lookup(t.Context(), "a+b", &fuse.EntryOut{})
	assert.Nil(t, inode)
	assert.Equal(t, unix.ENOENT, errno)
	assert.Nil(t, s.tree.NodeByIno(setIno))
}

func TestManyLookUpsAtOnceGiveOneInode(t *testing.T) {
	s := mountedSets(t)
	inos := make([]uint64, 24)
	var wg sync.WaitGroup
	for i := range inos {
		wg.Go(func() {
			var st unix.Stat_t
			if err := unix.Stat(fmt.Sprintf("%s/%s", s.dir, []string{"a+b+c", "c+a+b", "b+c+a"}[i%3]), &st); err == nil {
				inos[i] = st.Ino
			}
		})
	}
	wg.Wait()
	for _, ino := range inos {
		assert.EqualValues(t, setIno, ino)
	}
}
