package fs

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// linkIno is the inode number of the first symbolic link: behind those of all sets.
const linkIno = 1 << 20

// link is a symbolic link to a heap node, as a udev rule makes it.
type link struct {
	fs.Inode
	tree *Tree
	name string
	to   string
}

var (
	_ fs.NodeGetattrer  = (*link)(nil)
	_ fs.NodeReadlinker = (*link)(nil)
	_ fs.NodeSetattrer  = (*link)(nil)
)

// Readlink gives the name of the node.
func (l *link) Readlink(context.Context) ([]byte, syscall.Errno) { return []byte(l.to), fs.OK }

// Getattr of the link itself.
func (l *link) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	l.attr(out)
	return fs.OK
}

// Setattr changes nothing.
func (l *link) Setattr(context.Context, fs.FileHandle, *fuse.SetAttrIn, *fuse.AttrOut) syscall.Errno {
	return syscall.EPERM
}

func (l *link) attr(out *fuse.AttrOut) {
	l.tree.attr(&out.Attr, fuse.S_IFLNK|0o777, l.tree.owner)
	out.Size = uint64(len(l.to))
	out.SetTimeout(keep)
}

// addLinks fills the directory with the links to its nodes.
func (t *Tree) addLinks(ctx context.Context) {
	for _, n := range t.nodes {
		for _, name := range n.Links {
			l := &link{tree: t, name: name, to: n.Name}
			child := t.NewPersistentInode(ctx, l, fs.StableAttr{Mode: fuse.S_IFLNK, Ino: linkIno + uint64(len(t.links))})
			t.AddChild(name, child, false)
			t.listed[name] = child
			t.links = append(t.links, l)
		}
	}
}
