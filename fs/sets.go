package fs

import (
	"context"
	"strings"

	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/heapfs/heapfs/devices"
	"github.com/heapfs/heapfs/heapnodes"
)

// setIno is the first inode number of a set's node: behind those of all nodes that a board can have.
const setIno = 1 << 16

// Sets makes the nodes of sets of devices, "a+b".
type Sets interface {
	// Set gives the node of a set, always the same one; an error for a name that has none, which has been told then.
	Set(name, door string, who func() heapnodes.Identity) (*heapnodes.Node, error)
	// CanonicalSet gives the name that stands for all orders of a set's devices, and false for what is no set.
	CanonicalSet(name string) (string, bool)
}

var _ Sets = (*heapnodes.Heaps)(nil)

// setNodes are the nodes of sets that have been looked up. They are in no listing.
type setNodes struct {
	mu    sync.Mutex
	inode map[*heapnodes.Node]*fs.Inode

	// byIno is what inode numbers from setIno on stand for. It is read in the path of every ALLOC, so it is replaced and never
	// changed.
	byIno atomic.Pointer[[]*heapnodes.Node]
}

func (s *setNodes) byNumber(i uint64) *heapnodes.Node {
	if all := s.byIno.Load(); all != nil && i < uint64(len(*all)) {
		return (*all)[i]
	}
	return nil
}

var (
	_ fs.NodeLookuper  = (*Tree)(nil)
	_ fs.NodeReaddirer = (*Tree)(nil)
)

// Lookup finds the nodes of the listing, and those of sets.
func (t *Tree) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	child := t.listed[name]
	if child == nil {
		if child = t.lookupSet(ctx, name); child == nil {
			if strings.Contains(name, devices.SetSeparator) {
				// The kernel must not answer the next one from its cache: whoever looks up a set in vain finds the reason in the events.
				out.SetEntryTimeout(time.Nanosecond)
			}
			return nil, syscall.ENOENT
		}
	}
	var attr fuse.AttrOut
	child.Operations().(entry).attr(&attr)
	out.Attr = attr.Attr
	return child, fs.OK
}

func (t *Tree) lookupSet(ctx context.Context, name string) *fs.Inode {
	if t.Sets == nil || !strings.Contains(name, devices.SetSeparator) {
		return nil
	}
	n, err := t.Sets.Set(name, door, func() heapnodes.Identity { return identity(ctx) })
	if err != nil {
		return nil
	}
	s := &t.sets
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inode[n] == nil {
		var all []*heapnodes.Node
		if old := s.byIno.Load(); old != nil {
			all = append(all, *old...)
		}
		ino := setIno + uint64(len(all))
		all = append(all, n)
		if s.inode == nil {
			s.inode = map[*heapnodes.Node]*fs.Inode{}
		}
		s.inode[n] = t.NewPersistentInode(ctx, &node{tree: t, heap: n}, fs.StableAttr{Mode: fuse.S_IFREG, Ino: ino})
		s.byIno.Store(&all)
	}
	return s.inode[n]
}

// entry is what the directory has: a node or a link.
type entry interface{ attr(out *fuse.AttrOut) }

var (
	_ entry = (*node)(nil)
	_ entry = (*link)(nil)
)

// Readdir lists the board's nodes, in its order, and then the links.
func (t *Tree) Readdir(context.Context) (fs.DirStream, syscall.Errno) {
	list := make([]fuse.DirEntry, len(t.nodes))
	for i, n := range t.nodes {
		list[i] = fuse.DirEntry{Mode: fuse.S_IFREG, Name: n.Name, Ino: rootIno + 1 + uint64(i)}
	}
	for i, l := range t.links {
		list = append(list, fuse.DirEntry{Mode: fuse.S_IFLNK, Name: l.name, Ino: linkIno + uint64(i)})
	}
	return fs.NewListDirStream(list), fs.OK
}
