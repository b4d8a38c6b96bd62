package fs

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/heapnodes"
	"github.com/heapfs/heapfs/internal/sys"
	"github.com/heapfs/heapfs/uapi"
)

// SyncFiles are sync files for callers whose ioctls come by FUSE alone. Those that the kernel knows are of's; where of has only stand-ins,
// whose ioctls would come to nobody, they are files of a Buffers. Such a file polls as readable; as writable too, as any file of FUSE
// without a poll of its own.
type SyncFiles struct {
	heapnodes.SyncFiles
	in *Buffers

	mount  int // of the buffers, as fdinfo shows it
	choose sync.Once
	own    bool // there are stand-ins only
}

var _ heapnodes.SyncFiles = (*SyncFiles)(nil)

// NewSyncFiles makes sync files in b.
func NewSyncFiles(b *Buffers, of heapnodes.SyncFiles) (*SyncFiles, error) {
	info, err := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(b.root))
	if err != nil {
		return nil, err
	}
	return &SyncFiles{SyncFiles: of, in: b, mount: int(infoNumber(info, "mnt_id"))}, nil
}

// infoNumber is a number of a fdinfo, 0 if it is not there. The first line of a name counts: what a file adds of its own stands below
// the kernel's lines.
func infoNumber(fdinfo []byte, key string) uint64 {
	for line := range bytes.Lines(fdinfo) {
		name, value, _ := strings.Cut(string(line), ":")
		if name == key {
			base := 10
			if key == "flags" {
				base = 8
			}
			n, _ := strconv.ParseUint(strings.TrimSpace(value), base, 64) // 0 is no number of a mount or an inode
			return n
		}
	}
	return 0
}

// syncFile is an inode.
type syncFile struct {
	opening atomic.Uint64 // as of bufferFile
	name    string
}

// Make gives a new sync file.
func (s *SyncFiles) Make(name string) (int, error) {
	s.choose.Do(func() { s.own = s.onlyStandIns() })
	if !s.own {
		return s.SyncFiles.Make(name)
	}
	if name == "" {
		name = sys.SignalledFence().File
	}
	f := &syncFile{name: name}
	ino := s.in.last.Add(1)
	s.in.mu.Lock()
	s.in.syncs[ino] = f
	s.in.mu.Unlock()
	f.opening.Store(callerHandle)
	fd, err := unix.Openat(s.in.root, fileName(syncKind, ino), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	f.opening.Store(0)
	if err != nil {
		s.in.dropSync(ino)
		return -1, os.NewSyscallError("open a sync file", err)
	}
	return fd, nil
}

// onlyStandIns is what a first file shows.
func (s *SyncFiles) onlyStandIns() bool {
	fd, err := s.SyncFiles.Make("")
	if err != nil {
		return true
	}
	defer sys.Close(fd)
	link, err := os.Readlink(sys.FDPath(fd))
	if err != nil {
		return true
	}
	info, err := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(fd))
	return err != nil || s.SyncFiles.StandIn(link, info)
}

// find gives the sync file that a descriptor is, nil for another one: O_PATH makes one that is not open.
func (s *SyncFiles) find(fdinfo []byte) *syncFile {
	if int(infoNumber(fdinfo, "mnt_id")) != s.mount || infoNumber(fdinfo, "flags")&unix.O_PATH != 0 {
		return nil
	}
	return s.in.findSync(infoNumber(fdinfo, "ino"))
}

// Recognise takes ours too, by the mount and the inode number that fdinfo shows.
func (s *SyncFiles) Recognise(link string, fdinfo []byte) bool {
	return s.find(fdinfo) != nil || s.SyncFiles.Recognise(link, fdinfo)
}

// StandIn takes ours.
func (s *SyncFiles) StandIn(link string, fdinfo []byte) bool {
	return s.find(fdinfo) != nil || s.SyncFiles.StandIn(link, fdinfo)
}

// Name of one of ours.
func (s *SyncFiles) Name(fdinfo []byte) string {
	if f := s.find(fdinfo); f != nil {
		return f.name
	}
	return s.SyncFiles.Name(fdinfo)
}

// describe is the fdinfo of an inode of ours, as far as find looks at it.
func (s *SyncFiles) describe(ino uint64) []byte {
	return fmt.Appendf(nil, "mnt_id:\t%d\nino:\t%d\n", s.mount, ino)
}

func (b *Buffers) findSync(ino uint64) *syncFile {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.syncs[ino]
}

func (b *Buffers) dropSync(ino uint64) {
	b.mu.Lock()
	_, ok := b.syncs[ino]
	delete(b.syncs, ino)
	b.mu.Unlock()
	if ok {
		b.gone(syncKind, ino, 0)
	}
}

// syncIoctl is a sync file's.
func (o bufferOps) syncIoctl(ctx context.Context, in *fuse.IoctlIn, inbuf []byte, out *fuse.IoctlOut, outbuf []byte) fuse.Status {
	file := o.Heaps.SyncFile("", o.Sync.describe(in.NodeId))
	if file == nil || o.Door == nil {
		return fuse.Status(unix.ENOTTY)
	}
	cmd := uapi.Cmd(in.Cmd)
	r := newRequest(ctx, o.dev, in.Unique, in.NodeId, cmd, in.Arg, inbuf, outbuf)
	result, errno := throughDoor(ctx, o.Door, r, func(ctx context.Context, c heapnodes.Caller) error {
		return file.Ioctl(ctx, c, cmd, in.Arg)
	})
	out.Result = result
	return fuse.Status(errno)
}
