package heapnodes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/devices/board"
	"github.com/heapfs/heapfs/heapnodes/events"
	"github.com/heapfs/heapfs/uapi"
)

// smallArg is the size in bytes up to which an argument is kept without an allocation (dma-heap.c has a stack buffer of this
// size for the same reason).
const smallArg = 128

// Ioctl is a call on a heap node, whole: it mirrors dma_heap_ioctl and what it calls (drivers/dma-buf/dma-heap.c). Errno
// turns its error into what the caller gets.
func (n *Node) Ioctl(ctx context.Context, c Caller, cmd uapi.Cmd, arg uint64) error {
	// Only the number counts: type, size and direction are not compared, so that a SYNC sent to a heap is an ALLOC.
	if cmd.NR() >= 1 {
		return n.extended(ctx, c, cmd, arg)
	}
	var small [smallArg]byte
	data := small[:]
	if size := max(cmd.Size(), n.heaps.cfg.AllocSize); size > len(data) {
		data = make([]byte, size)
	}
	if err := c.Read(data[:cmd.In()], arg); err != nil {
		n.refused(c, uapi.AllocRequest{}, err)
		return err
	}
	req := uapi.DecodeAlloc(data[:cmd.In()])
	err := n.alloc(ctx, c, req, n.extra(data), data[:cmd.Out()], arg)
	if err == nil {
		return nil
	}
	n.refused(c, req, err)
	return err
}

// alloc makes a buffer and puts it into the caller, or changes nothing. out is the argument as it will be copied out, extra its part
// that a proposal has added.
func (n *Node) alloc(ctx context.Context, c Caller, req uapi.AllocRequest, extra, out []byte, arg uint64) error {
	size, err := req.CheckFlags(uapi.ValidHeapFlags | n.heaps.cfg.HeapFlags)
	if err != nil {
		return err
	}
	if x := n.heaps.cfg.Extension; x != nil {
		if err := x.Alloc(ctx, n, c.Identity(), req, extra); err != nil {
			return err
		}
	}
	if err := n.fault(ctx, c); err != nil {
		return err
	}
	h := n.heaps
	if h.ended() {
		return errEnded
	}
	extents, err := n.take(size)
	if err != nil {
		return err
	}
	b := &Buffer{
		ID: h.nextID.Add(1), Len: size, Extents: extents, Owner: c.Identity(), Created: now(), HeapFlags: req.HeapFlags,
		node: n,
	}
	if err := b.mapOwn(); err != nil {
		b.giveBack()
		return err
	}
	if b.export, err = n.export(b, req); err != nil {
		b.giveBack()
		return err
	}
	b.file = b.export.ID()

	from, to := uapi.AllocFDRange(len(out))
	guess := nextFD(c)
	uapi.PutAllocFD(out, uint32(guess))
	fd, err := n.deliver(c, b, req, out, arg)
	if err != nil {
		if guess != 0 { // nothing is copied out after an error
			uapi.PutAllocFD(out, 0)
			_ = c.Write(out[from:to], arg+uint64(from)) // where that is impossible, nothing was written before
		}
		return err
	}
	if fd != guess {
		uapi.PutAllocFD(out, uint32(fd))
		// Should this fail, then because another thread unmapped the page since: the buffer stays with the caller, as on
		// kernels up to 6.18.
		err = c.Write(out[from:to], arg+uint64(from))
	}
	b.export.Delivered()
	return err
}

// nextFD is a guess at the number that the caller's descriptor will get, 0 for none. It is written together with the probe of the
// argument, and if it holds nothing is left to be written afterwards.
func nextFD(c Caller) int {
	if g, ok := c.(Guesser); ok {
		return g.NextFD()
	}
	return 0
}

// deliver puts the file of a buffer into the caller and gives its number there. If it can't, it takes the buffer back.
func (n *Node) deliver(c Caller, b *Buffer, req uapi.AllocRequest, out []byte, arg uint64) (int, error) {
	h := n.heaps
	// A page that can't take the answer must be found out before the descriptor is in the caller: it could not be taken back.
	if err := c.Write(out, arg); err != nil {
		b.export.Discard()
		b.giveBack()
		return -1, err
	}
	// From here on other threads of the caller may use the buffer.
	if !h.add(b) {
		b.export.Discard()
		b.giveBack()
		return -1, errEnded
	}
	h.cfg.Events.Emit(b.event(events.Alloc, c.Door()))
	fd, err := c.Install(b.export.FD(), req.FDFlags&unix.O_CLOEXEC != 0)
	if err != nil {
		if h.remove(b) {
			b.export.Discard()
			b.emitFree("not delivered: " + err.Error())
			b.giveBack()
		}
		return -1, err
	}
	return fd, nil
}

// export makes the buffer's file. What the server lacks for it may be held by buffers that nobody holds any more.
func (n *Node) export(b *Buffer, req uapi.AllocRequest) (Export, error) {
	x := n.heaps.cfg.Exporter
	want := ExportRequest{
		Pool: n.Pool, Extents: b.Extents, Size: b.Len, AccMode: int(req.FDFlags & unix.O_ACCMODE),
		CPU: n.Kind != board.KindProtected, Gone: func() { b.end("") },
	}
	e, err := x.Export(want)
	if err != nil {
		x.Sweep()
		e, err = x.Export(want)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrExport, err)
	}
	return e, nil
}

// delaySlice is how long a delay goes on without asking whether somebody still waits for its end.
const delaySlice = 100 * time.Millisecond

// fault lets the faults on demand act.
func (n *Node) fault(ctx context.Context, c Caller) error {
	for _, f := range n.faults {
		for left := f.Delay; left > 0; left -= delaySlice {
			select {
			case <-time.After(min(left, delaySlice)):
			case <-ctx.Done():
				return ErrGone
			}
			if err := c.Check(); err != nil {
				return err
			}
		}
		if err := f.strike(); err != nil {
			return err
		}
	}
	return nil
}

// Refused tells of a call that a door answered with err before the transaction could.
func (n *Node) Refused(c Caller, err error) { n.refused(c, uapi.AllocRequest{}, err) }

// refused tells of an ALLOC that failed. Nobody was refused anything where nobody waits.
func (n *Node) refused(c Caller, req uapi.AllocRequest, err error) {
	if errors.Is(err, ErrGone) || c.Check() != nil {
		return
	}
	id := c.Identity()
	n.heaps.cfg.Events.Emit(events.Event{
		Event: events.AllocFailed, Door: c.Door(), Heap: n.Name, PID: id.PID, TID: id.TID, UID: events.UID(id.UID), Comm: id.Comm,
		Len: req.Len, HeapFlags: req.HeapFlags, Errno: unix.ErrnoName(Errno(err)), Reason: err.Error(),
	})
}

func (b *Buffer) giveBack() {
	if b.own != nil {
		b.own.End()
	}
	if err := b.node.heap.giveBack(b.Extents, b.Len); err != nil {
		slog.Error("extents could not be freed", "heap", b.node.Name, "buffer", b.ID, "error", err)
	}
}
