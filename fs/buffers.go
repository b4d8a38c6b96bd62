package fs

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/heapnodes"
	"github.com/heapfs/heapfs/internal/stock"
	"github.com/heapfs/heapfs/internal/sys"
)

const (
	// otherFiles are the descriptors that are kept for all but buffers, where the limit of open files allows.
	otherFiles = 512
	// cachedFiles is how many descriptors of ours a buffer without passthrough has: the store and an own open.
	cachedFiles = 2

	// maxWrite is how many bytes a request carries at the most: what a buffer without passthrough is read and written back by.
	maxWrite = fuse.MAX_KERNEL_WRITE

	// maxBackground is how many requests that nobody waits for the kernel may have under way; the end of a buffer is one of them.
	maxBackground = 256

	// maxReady is how many buffers of the size that was asked for last lie ready at the most. The kernel asks this file system twice to
	// make one, on the processors that ALLOCs need: it is better done for many at a time.
	maxReady = 128
	// readyShare of the limit of open files is what it may be where that is small; each has three descriptors.
	readyShare = 64
)

// noexecSince is the kernel from which on a dma-buf can't be mapped for execution (drivers/dma-buf/dma-buf.c); 6.18 allows it.
var noexecSince = [2]int{7, 0}

// Buffers is the file system of buffers: a second superblock, attached nowhere, whose inodes are buffers. It is a heapnodes.Exporter.
//
// With passthrough the kernel maps the memory's own file in the place of the buffer's, and the end of a buffer is that of the memory.
// Without, the bytes are in the page cache of this file system and, as far as they were written back, in a store; then the kernel tells
// of the end (RELEASE), which comes exactly when the last descriptor and the last mapping are gone.
//
// The fields must not change once a buffer is exported.
type Buffers struct {
	// Heaps answers ioctls on buffers.
	Heaps *heapnodes.Heaps
	// Sync makes sync files in this file system; nil: there are none here.
	Sync *SyncFiles
	// Door makes the Callers of ioctls that need more than FUSE gives: nil has none.
	Door Door

	files heapnodes.Exporter        // makes the memory that the kernel passes through to; nil: no passthrough
	ready *stock.Sized[*bufferFile] // with passthrough: buffers that need nothing more but an owner

	server *fuse.Server
	dev    int    // the open /dev/fuse
	root   int    // the root of the detached mount
	device uint64 // of the superblock, as stat shows it
	done   chan struct{}
	owner  fuse.Owner
	made   time.Time
	limit  int // live buffers without passthrough

	// ending is held for reading while a buffer is taken out of the account and its end is told, so that a Sweep can wait for it.
	ending sync.RWMutex

	past past

	last atomic.Uint64 // inode number
	mu   sync.Mutex    // of what follows
	live map[uint64]*bufferFile
	// syncs are open sync files by their inode number.
	syncs map[uint64]*syncFile
}

var _ heapnodes.Exporter = (*Buffers)(nil)

// NewBuffers mounts the file system behind dev, an open /dev/fuse, which belongs to it from now on, and serves it. Nobody finds the
// mount: only this process has a descriptor of it.
func NewBuffers(dev int) (*Buffers, error) {
	root, err := mountDetached(dev)
	if err != nil {
		sys.Close(dev)
		return nil, err
	}
	b := &Buffers{
		dev: dev, root: root, done: make(chan struct{}), live: map[uint64]*bufferFile{}, syncs: map[uint64]*syncFile{}, made: time.Now(),
		past:  past{max: maxPast, maxBytes: maxPastBytes},
		owner: fuse.Owner{Uid: uint32(os.Geteuid()), Gid: uint32(os.Getegid())},
	}
	files := sys.FileLimit()
	b.limit = max(files-otherFiles, files/2) / cachedFiles
	b.last.Store(rootIno)
	b.server, err = fuse.NewServer(bufferOps{fuse.NewDefaultRawFileSystem(), b}, fmt.Sprintf("/dev/fd/%d", dev), &fuse.MountOptions{
		Name: "heapfs", DisableReadDirPlus: true, ExplicitDataCacheControl: true, DisableSplice: true,
		MaxBackground: maxBackground, MaxWrite: maxWrite,
		Logger: libraryLog(),
	})
	if err != nil {
		sys.Close(root)
		return nil, fmt.Errorf("FUSE: %w", err)
	}
	go func() {
		defer close(b.done)
		b.server.Serve()
		b.past.end()
	}()
	id, _, err := sys.Stat(root)
	if err != nil {
		b.Close()
		return nil, fmt.Errorf("FUSE: root of the buffers: %w", err)
	}
	b.device = id.Dev
	b.allowDirty()
	return b, nil
}

// allowDirty lets pages be written to without being written back before they are unmapped. The kernel trusts FUSE with hardly any: by
// itself it would write a large buffer back again and again while it is filled, and stop the writer meanwhile. The settings are
// those of this file system alone (Linux 6.2; before, the share of memory only). Where /sys is read-only, as in most containers,
// large buffers are slow.
func (b *Buffers) allowDirty() {
	dir := fmt.Sprintf("/sys/class/bdi/%d:%d/", unix.Major(b.device), unix.Minor(b.device))
	for _, s := range []struct{ name, value string }{{"strict_limit", "0"}, {"max_ratio", "100"}} {
		if err := os.WriteFile(dir+s.name, []byte(s.value), 0); err != nil {
			slog.Debug("pages of buffers are written back early", "error", err)
		}
	}
}

// PassThrough has the kernel map files of memory in the place of those that are exported from now on. Where in a pool a buffer lies must not
// matter to files. CheckPassthrough says beforehand whether that works.
func (b *Buffers) PassThrough(files heapnodes.Exporter) {
	b.files = files
	b.ready = stock.NewSized(min(maxReady, max(2, sys.FileLimit()/readyShare)), func(size uint64) (*bufferFile, error) {
		return b.make(heapnodes.ExportRequest{Size: size, AccMode: unix.O_RDWR, CPU: true})
	}, (*bufferFile).Discard)
}

// Close lets go of the mount. Buffers that somebody holds are served as long as this process lives; Done tells of the last one's end.
func (b *Buffers) Close() {
	if b.ready != nil {
		b.ready.Close()
	}
	sys.Close(b.root)
}

// Done is closed when the mount and all buffers are gone.
func (b *Buffers) Done() <-chan struct{} { return b.done }

// Device is the st_dev of every buffer.
func (b *Buffers) Device() uint64 { return b.device }

// ErrNoPassthrough says why the kernel does not map another file's memory in the place of ours.
var ErrNoPassthrough = errors.New("no FUSE passthrough")

// CheckPassthrough tries to register a file of memory: ErrNoPassthrough where the kernel does not offer that (before 6.9), or refuses
// it (EPERM: it needs CAP_SYS_ADMIN of the first user namespace).
func (b *Buffers) CheckPassthrough() error {
	// Where it was not agreed on, the kernel ignores the flag of an open without a word.
	if b.server.KernelSettings().Flags64()&fuse.CAP_PASSTHROUGH == 0 {
		return fmt.Errorf("%w: the kernel does not offer it (it came with Linux 6.9, CONFIG_FUSE_PASSTHROUGH)", ErrNoPassthrough)
	}
	fd, err := sys.Memfd(storeName)
	if err != nil {
		return err
	}
	defer sys.Close(fd)
	id, errno := b.server.RegisterBackingFd(&fuse.BackingMap{Fd: int32(fd)})
	if errno != 0 {
		return fmt.Errorf("%w: the kernel refuses to register a file (%v); it needs CAP_SYS_ADMIN of the first user namespace", ErrNoPassthrough, errno)
	}
	b.unregister(id)
	return nil
}

func (b *Buffers) unregister(id int32) {
	if errno := b.server.UnregisterBackingFd(id); errno != 0 {
		slog.Error("FUSE passthrough: a file stays registered", "error", errno)
	}
}

// mountDetached makes a mount of the file system behind dev that is attached nowhere, and gives its root.
func mountDetached(dev int) (root int, err error) {
	fsfd, err := unix.Fsopen("fuse", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("fsopen fuse", err)
	}
	defer sys.Close(fsfd)
	options := []struct{ key, value string }{
		{"source", "heapfs-buffers"}, {"fd", strconv.Itoa(dev)}, {"rootmode", "40000"},
		{"user_id", strconv.Itoa(os.Geteuid())}, {"group_id", strconv.Itoa(os.Getegid())},
	}
	for _, o := range options {
		if err := unix.FsconfigSetString(fsfd, o.key, o.value); err != nil {
			return -1, fmt.Errorf("fsconfig %s=%s: %w", o.key, o.value, err)
		}
	}
	// Whoever was given a buffer may use it, whatever user it is.
	if err := unix.FsconfigSetFlag(fsfd, "allow_other"); err != nil {
		return -1, fmt.Errorf("fsconfig allow_other: %w", err)
	}
	if err := unix.FsconfigCreate(fsfd); err != nil {
		return -1, fmt.Errorf("fsconfig create: %w", err)
	}
	attributes := unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV
	if sys.KernelAtLeast(noexecSince[0], noexecSince[1]) {
		attributes |= unix.MOUNT_ATTR_NOEXEC
	}
	root, err = unix.Fsmount(fsfd, unix.FSMOUNT_CLOEXEC, attributes)
	if err != nil {
		return -1, os.NewSyscallError("fsmount", err)
	}
	return root, nil
}

func (b *Buffers) find(ino uint64) *bufferFile {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.live[ino]
}

func (b *Buffers) add(f *bufferFile) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.live[f.ino] = f
}

// forget takes a buffer out of the account; false if it was not in it.
func (b *Buffers) forget(f *bufferFile) bool {
	b.mu.Lock()
	_, ok := b.live[f.ino]
	delete(b.live, f.ino)
	b.mu.Unlock()
	if ok {
		var cached uint64
		if b.files == nil {
			cached = f.size
		}
		b.gone(bufferKind, f.ino, cached)
	}
	return ok
}

func (b *Buffers) all() []*bufferFile {
	b.mu.Lock()
	defer b.mu.Unlock()
	files := make([]*bufferFile, 0, len(b.live))
	for _, f := range b.live {
		files = append(files, f)
	}
	return files
}
