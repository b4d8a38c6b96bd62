package fs

import (
	"context"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/heapnodes"
	"github.com/heapfs/heapfs/internal/sys"
	"github.com/heapfs/heapfs/uapi"
)

// bufferOps answers the kernel. The rules are those of a dma-buf (drivers/dma-buf/dma-buf.c), as far as FUSE asks.
type bufferOps struct {
	fuse.RawFileSystem // ENOSYS, and what has no answer
	*Buffers
}

// String names the file system in go-fuse's messages.
func (o bufferOps) String() string { return "heapfs-buffers" }

func (o bufferOps) attr(a *fuse.Attr, ino, size uint64, mode uint32) {
	a.Ino, a.Size, a.Mode, a.Nlink, a.Owner = ino, size, mode, 1, o.owner
	a.Blocks = size / 512
	a.SetTimes(&o.made, &o.made, &o.made)
}

// inode gives what buffers and sync files have in common; nil for what is neither.
func (o bufferOps) inode(ino uint64) (opening *atomic.Uint64, size uint64) {
	if f := o.find(ino); f != nil {
		return &f.opening, f.size
	}
	if s := o.findSync(ino); s != nil {
		return &s.opening, 0
	}
	return nil, 0
}

// fileName is an inode's name, by which it is opened, and which the link in /proc/PID/fd shows behind a slash. Tools that look for
// dma-bufs know them by the beginning of that. A number follows: two files of a directory can't have one name.
func fileName(kind string, ino uint64) string { return kind + ":" + strconv.FormatUint(ino, 10) }

// Kinds of inodes.
const (
	bufferKind = "dmabuf"
	syncKind   = "sync_file"
)

// Lookup finds a buffer that is being opened by us.
func (o bufferOps) Lookup(_ <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	_, number, _ := strings.Cut(name, ":")
	ino, err := strconv.ParseUint(number, 10, 64)
	if err != nil || in.NodeId != fuse.FUSE_ROOT_ID {
		return fuse.ENOENT
	}
	opening, size := o.inode(ino)
	if opening == nil || opening.Load() == 0 {
		return fuse.ENOENT
	}
	out.NodeId = ino
	o.attr(&out.Attr, ino, size, fuse.S_IFREG|bufferMode)
	out.SetAttrTimeout(keep)
	o.past.known.Add(1)
	return fuse.OK
}

// Forget: a buffer's end does not depend on what the kernel remembers.
func (o bufferOps) Forget(_, lookups uint64) { o.past.known.Add(-int64(lookups)) }

// GetAttr of the root or a buffer.
func (o bufferOps) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	if in.NodeId == fuse.FUSE_ROOT_ID {
		o.attr(&out.Attr, rootIno, 0, fuse.S_IFDIR|0o700)
		out.SetTimeout(keep)
		return fuse.OK
	}
	opening, size := o.inode(in.NodeId)
	if opening == nil {
		return fuse.Status(unix.ESTALE)
	}
	o.attr(&out.Attr, in.NodeId, size, fuse.S_IFREG|bufferMode)
	out.SetTimeout(keep)
	return fuse.OK
}

// SetAttr: ftruncate of a dma-buf is EINVAL. The rest succeeds there, and here without a change: nothing depends on a buffer's mode,
// and nobody else shall be able to take it away from the others.
func (o bufferOps) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	opening, size := o.inode(in.NodeId)
	if opening == nil || in.Valid&fuse.FATTR_SIZE != 0 {
		return fuse.EINVAL
	}
	o.attr(&out.Attr, in.NodeId, size, fuse.S_IFREG|bufferMode)
	out.SetTimeout(keep)
	return fuse.OK
}

// GetXAttr, ListXAttr, SetXAttr and RemoveXAttr: a dma-buf has no attributes and takes none.

// GetXAttr finds nothing.
func (o bufferOps) GetXAttr(<-chan struct{}, *fuse.InHeader, string, []byte) (uint32, fuse.Status) {
	return 0, fuse.ENODATA
}

// ListXAttr finds nothing.
func (o bufferOps) ListXAttr(<-chan struct{}, *fuse.InHeader, []byte) (uint32, fuse.Status) {
	return 0, fuse.OK
}

// SetXAttr is EPERM.
func (o bufferOps) SetXAttr(<-chan struct{}, *fuse.SetXAttrIn, string, []byte) fuse.Status {
	return fuse.EPERM
}

// RemoveXAttr is EPERM.
func (o bufferOps) RemoveXAttr(<-chan struct{}, *fuse.InHeader, string) fuse.Status {
	return fuse.EPERM
}

// Open gives this process what it announced. All others come by /proc/PID/fd, and a dma-buf can't be opened again: ENXIO. The kernel
// itself opens a file, with no flags at all, to ask for what chattr(1) shows, which is ENOTTY.
//
// Nothing is to be flushed at a close. With passthrough, direct I/O counts for read(2) and write(2) alone: they come here, to be
// refused, and mappings are the memory's own.
func (o bufferOps) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	opening, _ := o.inode(in.NodeId)
	if opening == nil {
		return fuse.Status(unix.ENXIO)
	}
	if out.Fh = opening.Swap(0); out.Fh == 0 {
		if in.Flags == 0 {
			return fuse.Status(unix.ENOTTY)
		}
		return fuse.Status(unix.ENXIO)
	}
	out.OpenFlags = fuse.FOPEN_NOFLUSH
	f := o.find(in.NodeId)
	switch {
	case f == nil: // a sync file has no memory and no position
		out.OpenFlags |= fuse.FOPEN_DIRECT_IO | fuse.FOPEN_NONSEEKABLE
	case f.memory != nil:
		out.OpenFlags |= fuse.FOPEN_PASSTHROUGH | fuse.FOPEN_DIRECT_IO
		out.BackingID = f.backing
	case !f.cpu:
		out.OpenFlags |= fuse.FOPEN_DIRECT_IO
	default:
		out.OpenFlags |= fuse.FOPEN_KEEP_CACHE
	}
	return fuse.OK
}

// Release comes when the last descriptor is closed, and without passthrough the last mapping gone too: a mapping holds the file. With
// passthrough it holds the memory's own.
func (o bufferOps) Release(_ <-chan struct{}, in *fuse.ReleaseIn) {
	f := o.find(in.NodeId)
	switch {
	case f == nil:
		o.dropSync(in.NodeId)
	case in.Fh != callerHandle:
	case f.memory == nil:
		f.end()
	default:
		if m, ok := f.memory.(interface{ Closed() }); ok {
			m.Closed()
		}
	}
}

// Flush has nothing to do.
func (o bufferOps) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status { return fuse.OK }

// Read fills the page cache. With passthrough it is a read(2), which a dma-buf does not have: EINVAL.
func (o bufferOps) Read(_ <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	f := o.find(in.NodeId)
	if f == nil || f.memory != nil || !f.cpu {
		return nil, fuse.EINVAL
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	n, err := unix.Pread(f.store, buf, int64(in.Offset))
	if err != nil {
		return nil, fuse.ToStatus(err)
	}
	return fuse.ReadResultData(buf[:n]), fuse.OK
}

// Writev is for others; see Write.
func (o bufferOps) Writev(<-chan struct{}, *fuse.WriteIn, [][]byte) (uint32, fuse.Status) {
	return 0, fuse.ENOSYS
}

// Write takes back pages of the page cache. With passthrough it is a write(2), which a dma-buf does not have: EINVAL. Without, a
// write(2) has changed the pages before it comes here, so that it can't be refused any more.
func (o bufferOps) Write(_ <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	f := o.find(in.NodeId)
	if f == nil || f.memory != nil || !f.cpu {
		return 0, fuse.EINVAL
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	if in.Offset >= f.size || uint64(len(data)) > f.size-in.Offset {
		return 0, fuse.EINVAL
	}
	n, err := unix.Pwrite(f.store, data, int64(in.Offset))
	if err != nil {
		return 0, fuse.ToStatus(err)
	}
	return uint32(n), fuse.OK
}

// Lseek is SEEK_DATA or SEEK_HOLE; the kernel answers the others itself, for any offset.
func (o bufferOps) Lseek(<-chan struct{}, *fuse.LseekIn, *fuse.LseekOut) fuse.Status {
	return fuse.EINVAL
}

// Fsync is EINVAL: a dma-buf has no such operation.
func (o bufferOps) Fsync(<-chan struct{}, *fuse.FsyncIn) fuse.Status { return fuse.EINVAL }

// Fallocate is ENODEV: a dma-buf is no regular file.
func (o bufferOps) Fallocate(<-chan struct{}, *fuse.FallocateIn) fuse.Status {
	return fuse.Status(unix.ENODEV)
}

// CopyFileRange is EINVAL: a dma-buf is no regular file.
func (o bufferOps) CopyFileRange(<-chan struct{}, *fuse.CopyFileRangeIn) (uint32, fuse.Status) {
	return 0, fuse.EINVAL
}

// StatFs has nothing to tell.
func (o bufferOps) StatFs(<-chan struct{}, *fuse.InHeader, *fuse.StatfsOut) fuse.Status {
	return fuse.OK
}

// Ioctl is a dma-buf's or a sync file's.
func (o bufferOps) Ioctl(
	cancel <-chan struct{}, in *fuse.IoctlIn, inbuf []byte, out *fuse.IoctlOut, outbuf []byte,
) fuse.Status {
	// The reply's buffer is a recycled one.
	clear(outbuf)
	ctx := &fuse.Context{Caller: in.Caller, Cancel: cancel}
	if o.findSync(in.NodeId) != nil {
		return o.syncIoctl(ctx, in, inbuf, out, outbuf)
	}
	cmd := uapi.Cmd(in.Cmd)
	buffer := o.Heaps.Buffer(sys.FileID{Dev: o.device, Ino: in.NodeId})
	if buffer == nil {
		return fuse.EINVAL // the instance has ended
	}
	var errno syscall.Errno
	if o.Door != nil && needsDoor(cmd) {
		r := newRequest(ctx, o.dev, in.Unique, in.NodeId, cmd, in.Arg, inbuf, outbuf)
		out.Result, errno = throughDoor(ctx, o.Door, r, func(ctx context.Context, c heapnodes.Caller) error {
			return buffer.Ioctl(ctx, c, cmd, in.Arg)
		})
		return fuse.Status(errno)
	}
	// Who it is matters to no event of these.
	c := &caller{arg: in.Arg, in: inbuf, out: outbuf, id: heapnodes.Identity{UID: -1}}
	errno = heapnodes.Errno(buffer.Ioctl(ctx, c, cmd, in.Arg))
	out.Result, errno = outcome(errno, c.wrote)
	return fuse.Status(errno)
}

// needsDoor is whether FUSE does not give enough for a command: a name lies where the argument says, and a sync file is a descriptor.
func needsDoor(cmd uapi.Cmd) bool {
	switch cmd {
	case uapi.BufIoctlSetNameA, uapi.BufIoctlSetNameB, uapi.BufIoctlExportSyncFile, uapi.BufIoctlImportSyncFile:
		return true
	}
	return false
}
