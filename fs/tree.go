package fs

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/heapfs/heapfs/devices"
	"github.com/heapfs/heapfs/heapnodes"
)

const (
	// rootIno is the directory's inode number; the nodes follow in the board's order.
	rootIno = 1

	// keep is how long the kernel may answer from its cache. What is in the tree stays as it is.
	keep = time.Hour

	dirMode = 0o755
)

// Owner is whose the nodes are, when the board does not say.
type Owner struct{ UID, GID uint32 }

// Tree is the heap directory of an instance: the heap nodes, symbolic links to them, and nothing else. Clients that iterate the directory take every entry for
// a heap. A node of a set of devices is found by name only.
type Tree struct {
	directory

	// Sets finds the nodes of sets; nil has none. It must not change once the tree is served.
	Sets Sets
	// Door makes the Callers of ALLOCs by FUSE; nil has none. Like Sets.
	Door Door

	nodes  []*heapnodes.Node
	listed map[string]*fs.Inode // filled by OnAdd, as is
	links  []*link
	sets   setNodes

	device  int // the open /dev/fuse, once it is served
	uniques uniques
}

var _ fs.NodeOnAdder = (*Tree)(nil)

// NewTree makes the directory of nodes.
func NewTree(nodes []*heapnodes.Node, owner Owner) *Tree {
	return &Tree{directory: directory{owner: owner, made: time.Now()}, nodes: nodes}
}

// NodeByIno is the node of an inode of this tree's file system, or nil.
func (t *Tree) NodeByIno(ino uint64) *heapnodes.Node {
	if i := ino - rootIno - 1; ino > rootIno && i < uint64(len(t.nodes)) {
		return t.nodes[i]
	}
	if ino >= setIno {
		return t.sets.byNumber(ino - setIno)
	}
	return nil
}

// OnAdd fills the directory.
func (t *Tree) OnAdd(ctx context.Context) {
	t.listed = make(map[string]*fs.Inode, len(t.nodes))
	for i, n := range t.nodes {
		child := t.NewPersistentInode(ctx, &node{tree: t, heap: n}, fs.StableAttr{Mode: fuse.S_IFREG, Ino: rootIno + 1 + uint64(i)})
		t.AddChild(n.Name, child, false)
		t.listed[n.Name] = child
	}
	t.addLinks(ctx)
}

// Serve answers the file system on the open /dev/fuse descriptor fd, which belongs to it from now on, once the kernel's first
// request is answered. It returns when that is done; done is closed when the file system is unmounted everywhere.
func Serve(fd int, t *Tree) (done <-chan struct{}, err error) {
	timeout := keep
	t.device = fd
	raw := fs.NewNodeFS(t, &fs.Options{
		EntryTimeout: &timeout, AttrTimeout: &timeout, NegativeTimeout: &timeout,
		RootStableAttr: &fs.StableAttr{Ino: rootIno},
	})
	server, err := fuse.NewServer(treeOps{raw, t}, fmt.Sprintf("/dev/fd/%d", fd), &fuse.MountOptions{
		Name: "heapfs", DisableReadDirPlus: true,
		Logger: libraryLog(),
	})
	if err != nil {
		return nil, fmt.Errorf("FUSE: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		server.Serve()
	}()
	return ended, nil
}

// treeOps is what the library's nodes leave to be done.
type treeOps struct {
	fuse.RawFileSystem
	tree *Tree
}

// Lookup asks for the canonical name of a set: all orders of its devices are one file. A library that remembers a name for each look-up would
// remember 40,320 of them for a set of 8 devices.
func (o treeOps) Lookup(cancel <-chan struct{}, header *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	t := o.tree
	if header.NodeId == fuse.FUSE_ROOT_ID && t.Sets != nil && t.listed[name] == nil && strings.Contains(name, devices.SetSeparator) {
		if canonical, ok := t.Sets.CanonicalSet(name); ok {
			name = canonical
		}
	}
	return o.RawFileSystem.Lookup(cancel, header, name, out)
}

// Ioctl notes the number of a request that a door may answer.
func (o treeOps) Ioctl(cancel <-chan struct{}, in *fuse.IoctlIn, inbuf []byte, out *fuse.IoctlOut, outbuf []byte) fuse.Status {
	if o.tree.Door != nil {
		o.tree.uniques.begin(cancel, in.Unique)
		defer o.tree.uniques.end(cancel)
	}
	return o.RawFileSystem.Ioctl(cancel, in, inbuf, out, outbuf)
}
