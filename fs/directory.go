package fs

import (
	"context"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// directory is what the roots of our file systems have in common: files that are there for everybody as long as the instance is.
type directory struct {
	fs.Inode
	owner Owner
	made  time.Time
}

var (
	_ fs.NodeGetattrer = (*directory)(nil)
	_ fs.NodeUnlinker  = (*directory)(nil)
	_ fs.NodeRmdirer   = (*directory)(nil)
	_ fs.NodeRenamer   = (*directory)(nil)
)

// Getattr of the directory.
func (d *directory) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	d.attr(&out.Attr, fuse.S_IFDIR|dirMode, d.owner)
	out.Nlink = 2
	out.SetTimeout(keep)
	return fs.OK
}

// Unlink, Rmdir and Rename are EPERM. (go-fuse allows the first two where they are not defined; it refuses to make anything.)

// Unlink removes nothing.
func (d *directory) Unlink(context.Context, string) syscall.Errno { return syscall.EPERM }

// Rmdir removes nothing.
func (d *directory) Rmdir(context.Context, string) syscall.Errno { return syscall.EPERM }

// Rename moves nothing.
func (d *directory) Rename(context.Context, string, fs.InodeEmbedder, string, uint32) syscall.Errno {
	return syscall.EPERM
}

func (d *directory) attr(a *fuse.Attr, mode uint32, owner Owner) {
	a.Mode = mode
	a.Nlink = 1
	a.Owner = fuse.Owner{Uid: owner.UID, Gid: owner.GID}
	a.SetTimes(&d.made, &d.made, &d.made)
}

// file fills in what is known of a file of it: its permissions, and its user and group where those are not -1, the directory's.
func (d *directory) file(out *fuse.AttrOut, mode uint32, uid, gid int) {
	owner := d.owner
	if uid >= 0 {
		owner.UID = uint32(uid)
	}
	if gid >= 0 {
		owner.GID = uint32(gid)
	}
	d.attr(&out.Attr, fuse.S_IFREG|mode, owner)
	out.SetTimeout(keep)
}
