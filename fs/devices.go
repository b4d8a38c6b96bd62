package fs

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/heapfs/heapfs/heapnodes"
	"github.com/heapfs/heapfs/uapi"
)

// Devices is the directory of device files: one for each device of the board. It is a file system of its own, because everything in the
// heap directory is taken for a heap.
type Devices struct {
	directory
	devices []*heapnodes.Device
}

var _ fs.NodeOnAdder = (*Devices)(nil)

// NewDevices makes the directory of devices.
func NewDevices(devices []*heapnodes.Device, owner Owner) *Devices {
	return &Devices{directory: directory{owner: owner, made: time.Now()}, devices: devices}
}

// OnAdd fills the directory.
func (t *Devices) OnAdd(ctx context.Context) {
	for i, d := range t.devices {
		child := t.NewPersistentInode(ctx, &device{tree: t, dev: d}, fs.StableAttr{Mode: fuse.S_IFREG, Ino: rootIno + 1 + uint64(i)})
		t.AddChild(d.Name, child, false)
	}
}

// device is a device file.
type device struct {
	fs.Inode
	tree *Devices
	dev  *heapnodes.Device
}

var (
	_ fs.NodeGetattrer = (*device)(nil)
	_ fs.NodeSetattrer = (*device)(nil)
	_ fs.NodeOpener    = (*device)(nil)
)

func (d *device) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	d.tree.file(out, d.dev.Mode, d.dev.UID, d.dev.GID)
	return fs.OK
}

// Setattr is EPERM: mode and owner are the board's, and there is nothing to truncate.
func (d *device) Setattr(context.Context, fs.FileHandle, *fuse.SetAttrIn, *fuse.AttrOut) syscall.Errno {
	return syscall.EPERM
}

// Open takes any access mode. Each open has attachments of its own, as each open of a driver's node has buffers of its own.
func (d *device) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return &openDevice{opener: d.dev.Open()}, fuse.FOPEN_DIRECT_IO | fuse.FOPEN_NOFLUSH, fs.OK
}

// openDevice is an open device file.
type openDevice struct{ opener *heapnodes.Opener }

var (
	_ fs.FileIoctler  = (*openDevice)(nil)
	_ fs.FileReader   = (*openDevice)(nil)
	_ fs.FileReleaser = (*openDevice)(nil)
)

// Ioctl is HEAPFS_ATTACH, HEAPFS_DETACH or HEAPFS_MAP.
func (o *openDevice) Ioctl(ctx context.Context, cmd uint32, arg uint64, input, output []byte) (int32, syscall.Errno) {
	// The reply's buffer is a recycled one.
	clear(output)
	c := &deviceCaller{
		caller: caller{arg: arg, in: input, out: output, id: identity(ctx)}, cmd: uapi.Cmd(cmd), interrupted: ctx.Done(),
	}
	c.id.PID = processOf(c.id.TID)
	errno := heapnodes.Errno(o.opener.Ioctl(ctx, c, uapi.Cmd(cmd), arg))
	return outcome(errno, c.wrote)
}

// Read gives segments.
func (o *openDevice) Read(_ context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n, err := o.opener.Segments(dest, off)
	if errors.Is(err, heapnodes.ErrInvalid) {
		return nil, syscall.EINVAL
	}
	return fuse.ReadResultData(dest[:n]), heapnodes.Errno(err)
}

// Release is the last close of an open device file. The kernel does not wait for it.
func (o *openDevice) Release(context.Context) syscall.Errno {
	o.opener.Close("the device file was closed")
	return fs.OK
}

// ServeDevices answers the directory of device files on the open /dev/fuse descriptor fd, as Serve does for a Tree.
func ServeDevices(fd int, t *Devices) (done <-chan struct{}, err error) {
	timeout := keep
	raw := fs.NewNodeFS(t, &fs.Options{
		EntryTimeout: &timeout, AttrTimeout: &timeout, NegativeTimeout: &timeout,
		RootStableAttr: &fs.StableAttr{Ino: rootIno},
	})
	server, err := fuse.NewServer(raw, fmt.Sprintf("/dev/fd/%d", fd), &fuse.MountOptions{
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
