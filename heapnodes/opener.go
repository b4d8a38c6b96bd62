package heapnodes

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/attach"
	"github.com/heapfs/heapfs/heapnodes/events"
	"github.com/heapfs/heapfs/uapi"
)

// maxAttachments is how many attachments an open device file has at the most. Each keeps a buffer's memory.
const maxAttachments = 1024

// Attachment is a buffer that a device has.
type Attachment struct {
	ID     uint64 // from 1, not reused
	Device *Device
	Buffer *Buffer
	Owner  Identity // who attached it

	door   string
	opener *Opener

	mapping *attach.Mapping // nil while it is attached only; this and dir are under Opener.mu until the end
	dir     uapi.Direction
}

// DMA gives the first address that the device sees, and how many segments: 0, 0 while the attachment is not mapped.
func (a *Attachment) DMA() (addr uint64, segments int) {
	a.opener.mu.Lock()
	defer a.opener.mu.Unlock()
	addr, n := a.dma()
	return addr, int(n)
}

// Opener is an open device file: whoever opened it plays the device's driver.
type Opener struct {
	dev *Device

	mu       sync.Mutex // of what follows
	attached map[uint64]*Attachment
	closed   bool
}

// Open begins a use of the device, until Close.
func (d *Device) Open() *Opener {
	o := &Opener{dev: d, attached: map[uint64]*Attachment{}}
	d.heaps.mu.Lock()
	defer d.heaps.mu.Unlock()
	d.heaps.openers[o] = struct{}{}
	return o
}

// Close ends all attachments. It may be called more than once.
func (o *Opener) Close(reason string) {
	h := o.dev.heaps
	h.mu.Lock()
	delete(h.openers, o)
	h.mu.Unlock()
	o.mu.Lock()
	o.closed = true
	all := o.attached
	o.attached = map[uint64]*Attachment{}
	o.mu.Unlock()
	for _, a := range all {
		a.end(reason)
	}
}

// closeOpeners ends the use of all devices.
func (h *Heaps) closeOpeners() {
	h.mu.Lock()
	all := make([]*Opener, 0, len(h.openers))
	for o := range h.openers {
		all = append(all, o)
	}
	h.mu.Unlock()
	for _, o := range all {
		o.Close("the instance ends")
	}
}

// Ioctl is a call on an open device file (include/heapfs.h). The Caller must be a Filer.
func (o *Opener) Ioctl(_ context.Context, c Caller, cmd uapi.Cmd, arg uint64) error {
	switch cmd {
	case uapi.HeapfsAttach:
		return o.attach(c, arg)
	case uapi.HeapfsDetach:
		return o.detach(c, arg)
	case uapi.HeapfsMap:
		return o.mapAgain(c, arg)
	default:
		return ErrNotTTY
	}
}

// attach does as dma_buf_get, dma_buf_attach and dma_buf_map_attachment do in a driver (drivers/dma-buf/dma-buf.c), and as the driver's
// own judgement.
func (o *Opener) attach(c Caller, arg uint64) error {
	var data [uapi.HeapfsAttachSize]byte
	if err := c.Read(data[:], arg); err != nil {
		return err
	}
	req := uapi.DecodeAttach(data[:])
	if err := req.Check(); err != nil {
		return err
	}
	a := &Attachment{Device: o.dev, Owner: c.Identity(), door: c.Door(), opener: o, dir: req.Dir}
	if err := o.take(c, a, req); err != nil {
		o.dev.refused(c, a.Buffer, err)
		return err
	}
	req.AttachID = a.ID
	req.DMAAddr, req.NSegs = a.dma()
	req.Put(data[:])
	if err := c.Write(data[:], arg); err != nil {
		if o.forget(a.ID) != nil {
			a.end("not delivered: " + err.Error())
		}
		return err
	}
	return nil
}

// take makes the attachment of a caller's descriptor, or changes nothing. It names the buffer in any case, if it is one.
func (o *Opener) take(c Caller, a *Attachment, req uapi.AttachArg) error {
	b, err := o.dev.heaps.callersBuffer(c, req.FD)
	if err != nil {
		return err
	}
	a.Buffer = b
	// Before anybody else sees it. The id of an attachment that is refused later is not used again.
	if a.ID = o.dev.heaps.nextAttachment.Add(1); a.ID > uapi.HeapfsMaxAttachID {
		return fmt.Errorf("%w: the ids are used up", ErrAttachments)
	}
	if err := o.dev.heaps.attachTo(b.file, a); err != nil {
		return err
	}
	if req.Flags&uapi.HeapfsAttachOnly == 0 {
		m, err := o.dev.dev.Map(&a.Buffer.importable, 0)
		if err != nil {
			o.dev.heaps.detachFrom(a)
			return err
		}
		o.mu.Lock()
		a.mapping = m
		o.mu.Unlock()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.closed:
		err = ErrGone
	case len(o.attached) >= maxAttachments:
		err = fmt.Errorf("%w: %d", ErrAttachments, maxAttachments)
	default:
		o.attached[a.ID] = a
		o.dev.heaps.cfg.Events.Emit(a.event(events.Attach))
		return nil
	}
	a.release()
	return err
}

// callersBuffer is the live buffer behind a caller's descriptor: dma_buf_get.
func (h *Heaps) callersBuffer(c Caller, fd uint32) (*Buffer, error) {
	if fd > math.MaxInt32 {
		return nil, fmt.Errorf("%w %d", ErrBadFD, int32(fd))
	}
	f, ok := c.(Filer)
	if !ok {
		return nil, fmt.Errorf("%w: this way in does not tell descriptors", ErrDenied)
	}
	id, err := f.File(int32(fd))
	if err != nil {
		return nil, err
	}
	if b := h.Buffer(id); b != nil {
		return b, nil
	}
	return nil, fmt.Errorf("%w: descriptor %d is no buffer of this heapfs", ErrInvalid, fd)
}

func (o *Opener) detach(c Caller, arg uint64) error {
	var data [uapi.HeapfsDetachSize]byte
	if err := c.Read(data[:], arg); err != nil {
		return err
	}
	a := o.forget(uapi.DecodeDetach(data[:]))
	if a == nil {
		return ErrInvalid
	}
	a.end("")
	return nil
}

// forget takes an attachment out of the open file's account, or nil.
func (o *Opener) forget(id uint64) *Attachment {
	o.mu.Lock()
	defer o.mu.Unlock()
	a := o.attached[id]
	delete(o.attached, id)
	return a
}

// mapAgain maps what is attached only, and tells of what is mapped already.
func (o *Opener) mapAgain(c Caller, arg uint64) error {
	var data [uapi.HeapfsMapSize]byte
	if err := c.Read(data[:], arg); err != nil {
		return err
	}
	req := uapi.DecodeMap(data[:])
	if err := req.Check(); err != nil {
		return err
	}
	if b, err := o.mapped(&req); err != nil {
		if b != nil {
			o.dev.refused(c, b, err)
		}
		return err
	}
	req.Put(data[:])
	return c.Write(data[:], arg)
}

// mapped answers a MAP, and names the buffer where the device did not take it.
func (o *Opener) mapped(req *uapi.MapArg) (refused *Buffer, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	a := o.attached[req.AttachID]
	switch {
	case a == nil:
		return nil, ErrInvalid
	case a.mapping != nil && a.dir != req.Dir:
		return nil, fmt.Errorf("%w: it is mapped already, %v", ErrInvalid, a.dir)
	case a.mapping == nil:
		m, err := o.dev.dev.Map(&a.Buffer.importable, 0)
		if err != nil {
			return a.Buffer, err
		}
		a.mapping, a.dir = m, req.Dir
	}
	req.DMAAddr, req.NSegs = a.dma()
	return nil, nil
}

// Segments reads the segments of an attachment into p, as many as fit: uapi.HeapfsSegmentSize bytes each, those of attachment N from
// offset N << uapi.HeapfsSegmentShift on. ErrInvalid: no such attachment, or it is not mapped, or an offset between segments.
func (o *Opener) Segments(p []byte, offset int64) (int, error) {
	id, at := uint64(offset)>>uapi.HeapfsSegmentShift, uint64(offset)&(1<<uapi.HeapfsSegmentShift-1)
	o.mu.Lock()
	defer o.mu.Unlock()
	a := o.attached[id]
	if a == nil || a.mapping == nil || at%uapi.HeapfsSegmentSize != 0 {
		return 0, ErrInvalid
	}
	n, skip := 0, at/uapi.HeapfsSegmentSize
	for s := range a.mapping.All {
		if skip > 0 {
			skip--
			continue
		}
		if len(p)-n < uapi.HeapfsSegmentSize {
			break
		}
		uapi.PutSegment(p[n:], s.Addr, s.Len)
		n += uapi.HeapfsSegmentSize
	}
	return n, nil
}

// dma is what a mapped attachment tells its driver.
func (a *Attachment) dma() (addr uint64, segments uint32) {
	if a.mapping == nil {
		return 0, 0
	}
	return a.mapping.Addr, uint32(a.mapping.Segments)
}

// end tells of the end of an attachment that is out of the open file's account, and ends it.
func (a *Attachment) end(reason string) {
	e := a.event(events.Detach)
	e.Reason = reason
	a.Device.heaps.cfg.Events.Emit(e)
	a.release()
}

func (a *Attachment) release() {
	if a.mapping != nil {
		a.mapping.End()
	}
	a.Device.heaps.detachFrom(a)
}

func (a *Attachment) event(kind string) events.Event {
	addr, segments := a.dma()
	return events.Event{
		Event: kind, Door: a.door, Device: a.Device.Name, Attachment: a.ID, DMAAddr: addr, Segments: int(segments),
		Heap: a.Buffer.node.Name, Buffer: a.Buffer.ID, Len: a.Buffer.Len,
		PID: a.Owner.PID, TID: a.Owner.TID, UID: events.UID(a.Owner.UID), Comm: a.Owner.Comm,
	}
}

// refused tells of a buffer that the device did not take; b may be nil. Nobody was refused anything where nobody waits.
func (d *Device) refused(c Caller, b *Buffer, err error) {
	if errors.Is(err, ErrGone) || c.Check() != nil {
		return
	}
	id := c.Identity()
	e := events.Event{
		Event: events.AttachFailed, Door: c.Door(), Device: d.Name, PID: id.PID, TID: id.TID, UID: events.UID(id.UID), Comm: id.Comm,
		Errno: unix.ErrnoName(Errno(err)), Reason: err.Error(),
	}
	if b != nil {
		e.Heap, e.Buffer, e.Len = b.node.Name, b.ID, b.Len
	}
	d.heaps.cfg.Events.Emit(e)
}
