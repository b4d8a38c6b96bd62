package fs

import (
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/heapnodes"
	"github.com/heapfs/heapfs/internal/sys"
)

const (
	// storeName shows in this process's own descriptors only.
	storeName = "heapfs-store"

	// storeSeals keep the size what it was asked to be.
	storeSeals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL

	// bufferMode is what fstat shows of a dma-buf.
	bufferMode = 0o600
)

// Handles of a buffer's opens.
const (
	callerHandle = 1 // the one that the caller is given
	leaseHandle  = 2 // our own, for asking whether the other one is still there
)

// bufferFile is one buffer: an inode of Buffers. It is opened by this process, once for the caller and, without passthrough, once for
// reading only for itself; nobody else ever opens it.
type bufferFile struct {
	of   *Buffers
	ino  uint64
	size uint64
	cpu  bool
	gone func()

	// opening is the handle that the next open gets, 0 for none: an open that was not announced is somebody's by /proc.
	opening atomic.Uint64

	// With passthrough:
	memory  heapnodes.Export // nil without
	backing int32            // as registered with the kernel; of use during the open only

	handed atomic.Bool // only the caller's side holds the caller's open

	mu     sync.RWMutex // of what follows; descriptors are used with it held for reading
	caller int          // the caller's open, -1 after Delivered
	// Without passthrough:
	store int // a memfd, -1 when the buffer is gone
	lease int // -1 if the kernel does not count the caller's open, and after the end
}

var _ heapnodes.Export = (*bufferFile)(nil)

// Export makes a buffer's file and its caller's open of it, or takes one that lies ready.
func (b *Buffers) Export(r heapnodes.ExportRequest) (heapnodes.Export, error) {
	if b.ready != nil && r.AccMode == unix.O_RDWR && r.CPU {
		if f, ok := b.ready.Take(r.Size); ok {
			f.gone = r.Gone
			return f, nil
		}
	}
	f, err := b.make(r)
	if err != nil && b.ready != nil && b.ready.Drop() > 0 {
		// What lies ready for another size holds what is needed more here.
		f, err = b.make(r)
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (b *Buffers) make(r heapnodes.ExportRequest) (*bufferFile, error) {
	f := &bufferFile{
		of: b, ino: b.last.Add(1), size: r.Size, cpu: r.CPU, gone: r.Gone, store: -1, lease: -1, caller: -1,
	}
	if !r.CPU {
		// A file that is open for writing only can't be mapped.
		r.AccMode = unix.O_WRONLY
	}
	var err error
	if b.files != nil {
		err = f.passThrough(r)
	} else {
		err = f.cache(r)
	}
	if err != nil {
		b.forget(f)
		f.close()
		return nil, err
	}
	return f, nil
}

// passThrough makes the buffer a file of memory in the kernel's eyes.
func (f *bufferFile) passThrough(r heapnodes.ExportRequest) error {
	of := r
	// The kernel opens the memory anew, as the buffer is opened. This open is only to be registered.
	of.AccMode, of.Gone = unix.O_RDWR, f.end
	var err error
	if f.memory, err = f.of.files.Export(of); err != nil {
		return err
	}
	id, errno := f.of.server.RegisterBackingFd(&fuse.BackingMap{Fd: int32(f.memory.FD())})
	if errno != 0 {
		return fmt.Errorf("FUSE passthrough: register: %w", errno)
	}
	// An inode that is open keeps what it passes through to, and there is no second open.
	defer f.of.unregister(id)
	f.backing = id
	f.of.add(f)
	f.caller, err = f.open(r.AccMode, callerHandle)
	return err
}

// cache makes the buffer a file of the page cache.
func (f *bufferFile) cache(r heapnodes.ExportRequest) error {
	if f.of.count() >= f.of.limit {
		return fmt.Errorf("the server's limit of open files (ulimit -Hn) is reached: %d live buffers", f.of.limit)
	}
	if int64(r.Size) < 0 {
		return fmt.Errorf("%d bytes: %w", r.Size, unix.EFBIG)
	}
	var err error
	if f.store, err = sys.Memfd(storeName); err != nil {
		return err
	}
	if err := sys.Truncate(f.store, int64(r.Size)); err != nil {
		return err
	}
	if err := sys.AddSeals(f.store, storeSeals); err != nil {
		return err
	}
	f.of.add(f)
	// The kernel does not count an open that can neither read nor write.
	if r.AccMode != unix.O_ACCMODE {
		if f.lease, err = f.open(unix.O_RDONLY, leaseHandle); err != nil {
			return err
		}
	}
	f.caller, err = f.open(r.AccMode, callerHandle)
	return err
}

// open opens the buffer by its name. That asks this very process, on another thread: so it is a system call that the Go runtime knows
// may wait, and no os.Open, which asks the runtime's poller and may do so with the only processor in its hands.
func (f *bufferFile) open(accMode int, handle uint64) (int, error) {
	f.opening.Store(handle)
	fd, err := unix.Openat(f.of.root, fileName(bufferKind, f.ino), accMode|unix.O_CLOEXEC, 0)
	f.opening.Store(0)
	if err != nil {
		return -1, os.NewSyscallError("open a buffer's file", err)
	}
	return fd, nil
}

// ID names the file.
func (f *bufferFile) ID() sys.FileID { return sys.FileID{Dev: f.of.device, Ino: f.ino} }

// FD is the caller's open.
func (f *bufferFile) FD() int { return f.caller }

// Delivered leaves the buffer to the caller.
func (f *bufferFile) Delivered() {
	f.mu.Lock()
	fd := f.caller
	f.caller = -1
	f.mu.Unlock()
	f.handed.Store(true)
	// If the caller is done with it already, this is the last close, and the end comes while it is made.
	sys.Close(fd)
	if f.memory != nil {
		f.memory.Delivered()
	}
}

// Discard gives the buffer up.
func (f *bufferFile) Discard() {
	f.of.forget(f)
	f.close()
}

// end is called when nobody holds the buffer any more.
func (f *bufferFile) end() {
	f.of.ending.RLock()
	defer f.of.ending.RUnlock()
	if !f.of.forget(f) {
		return
	}
	if f.memory == nil {
		f.close()
	}
	f.gone()
}

// close closes all that is open. After the end of memory there is nothing. The descriptors are closed when nobody uses them any more, and
// without the lock: the last close of a file waits for its pages to be written back, which takes the lock.
func (f *bufferFile) close() {
	f.mu.Lock()
	open := [...]int{f.caller, f.lease, f.store}
	f.caller, f.lease, f.store = -1, -1, -1
	f.mu.Unlock()
	for _, fd := range open {
		sys.Close(fd)
	}
	if f.memory != nil {
		f.memory.Discard()
	}
}

// Sweep asks of every buffer whether somebody holds it. When it returns, the gone of each that nobody held before has been called.
func (b *Buffers) Sweep() {
	if b.files != nil {
		b.files.Sweep()
	} else {
		for _, f := range b.all() {
			f.check()
		}
	}
	b.ending.Lock()
	//nolint:staticcheck // Empty on purpose: it waits for those who are at it.
	b.ending.Unlock()
}

// check ends a buffer that nobody holds, where the kernel's word of that is still on its way.
func (f *bufferFile) check() {
	if !f.handed.Load() {
		return
	}
	f.mu.RLock()
	unheld, err := false, error(nil)
	if f.lease >= 0 {
		unheld, err = sys.Unheld(f.lease)
	}
	f.mu.RUnlock()
	switch {
	case err != nil:
		slog.Error("can't ask whether a buffer is held", "error", err)
	case unheld:
		f.end()
	}
}

func (b *Buffers) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.live)
}
