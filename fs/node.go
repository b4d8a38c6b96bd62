package fs

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/heapfs/heapfs/heapnodes"
	"github.com/heapfs/heapfs/uapi"
)

// node is a heap node. It is a regular file: FUSE never sees the open of a character device, the kernel takes that to a driver.
type node struct {
	fs.Inode
	tree *Tree
	heap *heapnodes.Node
}

var (
	_ fs.NodeGetattrer = (*node)(nil)
	_ fs.NodeOpener    = (*node)(nil)
	_ fs.NodeReader    = (*node)(nil)
	_ fs.NodeWriter    = (*node)(nil)
	_ fs.NodeIoctler   = (*node)(nil)
	_ fs.NodeSetattrer = (*node)(nil)
	_ fs.NodeFsyncer   = (*node)(nil)
	_ fs.NodeAllocater = (*node)(nil)

	_ fs.NodeGetxattrer    = (*node)(nil)
	_ fs.NodeSetxattrer    = (*node)(nil)
	_ fs.NodeRemovexattrer = (*node)(nil)
	_ fs.NodeListxattrer   = (*node)(nil)
)

func (n *node) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.attr(out)
	return fs.OK
}

func (n *node) attr(out *fuse.AttrOut) {
	n.tree.file(out, n.heap.Mode, n.heap.UID, n.heap.GID)
}

// Setattr changes nothing. A kernel's node can be opened with O_TRUNC and touched by its owner, so that much succeeds; mode and
// owner are the board's, and ftruncate is EINVAL as on any device.
func (n *node) Setattr(_ context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	switch {
	case in.Valid&(fuse.FATTR_MODE|fuse.FATTR_UID|fuse.FATTR_GID) != 0:
		return syscall.EPERM
	case in.Valid&fuse.FATTR_SIZE != 0 && in.Valid&fuse.FATTR_FH != 0:
		return syscall.EINVAL
	}
	n.attr(out)
	// go-fuse fills this in for Getattr only, and the kernel would keep a 0: by this number a caller's descriptor is known.
	out.Ino = n.StableAttr().Ino
	return fs.OK
}

// Fsync is EINVAL: the kernel's node has no such operation.
func (n *node) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno { return syscall.EINVAL }

// Allocate is ENODEV: the kernel's node is no regular file.
func (n *node) Allocate(context.Context, fs.FileHandle, uint64, uint64, uint32) syscall.Errno {
	return syscall.ENODEV
}

// Open takes any access mode: each may allocate. A stream has no position (lseek: ESPIPE, as nonseekable_open gives); direct I/O
// keeps shared mappings out (mmap: ENODEV) and brings reads and writes here. Nothing is to be flushed: a close asks nobody, whoever
// makes it.
func (n *node) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if flags&syscall.O_DIRECT != 0 {
		return nil, 0, syscall.EINVAL // a device without pages of its own (do_dentry_open)
	}
	return nil, fuse.FOPEN_DIRECT_IO | fuse.FOPEN_NONSEEKABLE | fuse.FOPEN_NOFLUSH, fs.OK
}

// Getxattr, Setxattr, Removexattr and Listxattr are as on a device: it has no attributes, and user attributes are for files and
// directories only (xattr_permission in fs/xattr.c).

// Getxattr finds nothing.
func (n *node) Getxattr(context.Context, string, []byte) (uint32, syscall.Errno) {
	return 0, syscall.ENODATA
}

// Setxattr is not permitted.
func (n *node) Setxattr(context.Context, string, []byte, uint32) syscall.Errno { return syscall.EPERM }

// Removexattr is not permitted.
func (n *node) Removexattr(context.Context, string) syscall.Errno { return syscall.EPERM }

// Listxattr finds nothing.
func (n *node) Listxattr(context.Context, []byte) (uint32, syscall.Errno) { return 0, fs.OK }

// Read is EINVAL: the kernel's node has no read operation.
func (n *node) Read(context.Context, fs.FileHandle, []byte, int64) (fuse.ReadResult, syscall.Errno) {
	return nil, syscall.EINVAL
}

// Write is EINVAL: the kernel's node has no write operation.
func (n *node) Write(context.Context, fs.FileHandle, []byte, int64) (uint32, syscall.Errno) {
	return 0, syscall.EINVAL
}

// Ioctl is a call that no filter trapped: under run a number from 1, or number 0 of a type that is not ours; under mount any.
func (n *node) Ioctl(ctx context.Context, _ fs.FileHandle, cmd uint32, arg uint64, input, output []byte) (int32, syscall.Errno) {
	// The reply's buffer is a recycled one.
	clear(output)
	// Only number 0 can need what FUSE can't do.
	if n.tree.Door != nil && uapi.Cmd(cmd).NR() == 0 {
		r := newRequest(ctx, n.tree.device, n.tree.uniques.of(ctx.Done()), n.StableAttr().Ino, uapi.Cmd(cmd), arg, input, output)
		return throughDoor(ctx, n.tree.Door, r, func(ctx context.Context, c heapnodes.Caller) error {
			return n.heap.Ioctl(ctx, c, uapi.Cmd(cmd), arg)
		})
	}
	c := &caller{arg: arg, in: input, out: output, id: identity(ctx)}
	errno := heapnodes.Errno(n.heap.Ioctl(ctx, c, uapi.Cmd(cmd), arg))
	return outcome(errno, c.wrote)
}

// door names the way in, for events.
const door = "fuse"

// caller is a FUSE ioctl: the kernel has copied the argument in and will copy it out.
type caller struct {
	arg     uint64
	in, out []byte
	wrote   bool // out is to be copied out, also beside an error
	id      heapnodes.Identity
}

var _ heapnodes.Caller = (*caller)(nil)

func (c *caller) Door() string                 { return door }
func (c *caller) Identity() heapnodes.Identity { return c.id }

func (c *caller) Read(p []byte, addr uint64) error {
	if addr != c.arg || len(p) > len(c.in) {
		return heapnodes.ErrFault
	}
	copy(p, c.in)
	return nil
}

func (c *caller) Write(p []byte, addr uint64) error {
	off := addr - c.arg
	if off > uint64(len(c.out)) || uint64(len(p)) > uint64(len(c.out))-off {
		return heapnodes.ErrFault
	}
	copy(c.out[off:], p)
	c.wrote = true
	return nil
}

// Install can't: a FUSE reply carries bytes only.
func (c *caller) Install(int, bool) (int, error) {
	return -1, fmt.Errorf("%w: no filter trapped the command", heapnodes.ErrNoInstaller)
}

// Check: the kernel keeps the caller of a FUSE request waiting, or interrupts the request.
func (c *caller) Check() error { return nil }

func (c *caller) Describe(fd int32) (string, []byte, error) {
	return "", nil, fmt.Errorf("%w %d", heapnodes.ErrBadFD, fd)
}

// identity reads the caller of a FUSE request; its pid is a thread's.
func identity(ctx context.Context) heapnodes.Identity {
	who, ok := fuse.FromContext(ctx)
	if !ok {
		return heapnodes.Identity{UID: -1}
	}
	id := heapnodes.Identity{PID: int(who.Pid), TID: int(who.Pid), UID: int(who.Uid)}
	if comm, err := os.ReadFile("/proc/" + strconv.Itoa(id.TID) + "/comm"); err == nil {
		id.Comm = strings.TrimSuffix(string(comm), "\n")
	}
	return id
}
