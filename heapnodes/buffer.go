package heapnodes

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/heapfs/heapfs/attach"
	"github.com/heapfs/heapfs/backing"
	"github.com/heapfs/heapfs/heapnodes/events"
	"github.com/heapfs/heapfs/internal/sys"
	"github.com/heapfs/heapfs/uapi"
)

// Buffer is a live buffer.
type Buffer struct {
	ID      uint64 // from 1, not reused
	Len     uint64 // bytes, a multiple of the page size
	Extents []backing.Extent
	Owner   Identity // who allocated it
	Created time.Time

	HeapFlags uint64 // that it was asked for with

	node   *Node
	export Export
	file   sys.FileID
	name   atomic.Pointer[string]

	importable attach.Buffer   // what a device is told of it
	own        *attach.Mapping // for the device whose view the node is; nil if there is nothing to map
	attached   []*Attachment   // under Heaps.mu
}

// Node is the node through which the buffer was allocated.
func (b *Buffer) Node() *Node { return b.node }

// Name is what SET_NAME said last, or "".
func (b *Buffer) Name() string {
	if s := b.name.Load(); s != nil {
		return *s
	}
	return ""
}

// end takes the buffer out of the account. It does nothing the second time.
func (b *Buffer) end(reason string) {
	if !b.node.heaps.removeUnlessAttached(b) {
		return
	}
	b.gone(reason)
}

// gone tells of the end of a buffer that is out of the account.
func (b *Buffer) gone(reason string) {
	// In this order: whoever gets the extents next has an alloc event behind this free.
	b.emitFree(reason)
	b.giveBack()
}

func (b *Buffer) emitFree(reason string) {
	e := b.event(events.Free, "")
	e.Reason = reason
	b.node.heaps.cfg.Events.Emit(e)
}

func (b *Buffer) event(kind, door string) events.Event {
	e := events.Event{
		Event: kind, Door: door, Heap: b.node.Name, Buffer: b.ID,
		PID: b.Owner.PID, TID: b.Owner.TID, UID: events.UID(b.Owner.UID), Comm: b.Owner.Comm,
		Len: b.Len, Name: b.Name(), Extents: b.Extents,
	}
	if kind == events.Alloc {
		e.HeapFlags = b.HeapFlags
	}
	if b.own != nil && kind == events.Alloc {
		e.Device, e.DMAAddr, e.Segments = b.node.Device, b.own.Addr, b.own.Segments
	}
	return e
}

// Ioctl is a call on a buffer: it mirrors dma_buf_ioctl (drivers/dma-buf/dma-buf.c), which compares whole commands. ErrKernel says that
// the kernel is to answer.
func (b *Buffer) Ioctl(_ context.Context, c Caller, cmd uapi.Cmd, arg uint64) error {
	if b.node.heaps.cfg.KernelBuffers {
		return b.note(c, cmd, arg)
	}
	switch cmd {
	case uapi.BufIoctlSync:
		var in [8]byte
		if err := c.Read(in[:], arg); err != nil {
			return err
		}
		// The memory is coherent, so there is nothing to do but to judge the flags.
		return uapi.CheckSync(in[:])
	case uapi.BufIoctlSetNameA, uapi.BufIoctlSetNameB:
		return b.setName(c, arg)
	case uapi.BufIoctlExportSyncFile:
		return b.exportSyncFile(c, arg)
	case uapi.BufIoctlImportSyncFile:
		return b.importSyncFile(c, arg)
	default:
		return ErrNotTTY
	}
}

// note takes down what a call does that the kernel answers: a name, if it is a good one. The kernel reads it again, so that its own
// may differ where the caller changes it meanwhile.
func (b *Buffer) note(c Caller, cmd uapi.Cmd, arg uint64) error {
	if cmd == uapi.BufIoctlSetNameA || cmd == uapi.BufIoctlSetNameB {
		if err := b.setName(c, arg); err != nil && !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrFault) {
			slog.Debug("a buffer's name was not seen", "buffer", b.ID, "error", err)
		}
	}
	return ErrKernel
}

// setName reads at most NameLen bytes and no page beyond the one with the NUL: the argument is the string itself, and it may end
// where the caller's memory ends (strndup_user).
func (b *Buffer) setName(c Caller, arg uint64) error {
	var buf [uapi.NameLen]byte
	first := min(uapi.NameLen, int(uapi.PageSize-arg%uapi.PageSize))
	if err := c.Read(buf[:first], arg); err != nil {
		return err
	}
	name, ok := uapi.BufName(buf[:first])
	if !ok && first < len(buf) {
		if err := c.Read(buf[first:], arg+uint64(first)); err != nil {
			return err
		}
		name, ok = uapi.BufName(buf[:])
	}
	if !ok {
		return ErrInvalid
	}
	if err := c.Check(); err != nil {
		return err
	}
	b.name.Store(&name)
	e := b.event(events.SetName, c.Door())
	e.Extents = nil
	b.node.heaps.cfg.Events.Emit(e)
	return nil
}

// exportSyncFile gives a sync file that has signalled: no device works on the buffer.
func (b *Buffer) exportSyncFile(c Caller, arg uint64) error {
	var data [8]byte
	if err := c.Read(data[:], arg); err != nil {
		return err
	}
	req := uapi.DecodeSyncFile(data[:])
	if err := req.Check(); err != nil {
		return err
	}
	// As for an ALLOC: find out that the answer can be written before a descriptor is in the caller.
	if err := c.Write(data[:], arg); err != nil {
		return err
	}
	fd, err := installSyncFile(b.node.heaps.cfg.Sync, c, "")
	if err != nil {
		return err
	}
	binary.LittleEndian.PutUint32(data[4:], uint32(fd))
	return c.Write(data[4:], arg+4)
}

// importSyncFile takes a fence that has signalled already: there is nothing to wait for.
func (b *Buffer) importSyncFile(c Caller, arg uint64) error {
	var data [8]byte
	if err := c.Read(data[:], arg); err != nil {
		return err
	}
	req := uapi.DecodeSyncFile(data[:])
	if err := req.Check(); err != nil {
		return err
	}
	if !isSyncFile(b.node.heaps.cfg.Sync, c, req.FD) {
		return ErrInvalid
	}
	return nil
}
