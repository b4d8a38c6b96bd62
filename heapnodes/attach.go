package heapnodes

import (
	"errors"
	"fmt"
	"slices"

	"github.com/heapfs/heapfs/attach"
	"github.com/heapfs/heapfs/backing"
	"github.com/heapfs/heapfs/devices"
	"github.com/heapfs/heapfs/devices/board"
	"github.com/heapfs/heapfs/internal/sys"
)

// Device is a device that buffers can be attached to.
type Device struct {
	board.Importer
	heaps *Heaps
	dev   *attach.Device
}

// home is what a device is told of where a pool's buffers come from.
type home struct {
	whole     backing.Extent
	chunk     uint64
	coherency []devices.Coherency
}

// addImporters takes over the devices, and what they have to know of the pools.
func (h *Heaps) addImporters() error {
	plain := make([]devices.Importer, len(h.cfg.Importers))
	for i := range h.cfg.Importers {
		plain[i] = h.cfg.Importers[i].Importer
	}
	var err error
	if h.importers, err = attach.New(plain); err != nil {
		return err
	}
	for i, d := range h.importers.Devices() {
		h.devices = append(h.devices, &Device{Importer: h.cfg.Importers[i], heaps: h, dev: d})
	}
	known := map[string]*devices.Heap{}
	for i := range h.cfg.Platform.Heaps {
		known[h.cfg.Platform.Heaps[i].Name] = &h.cfg.Platform.Heaps[i]
	}
	h.homes = map[string]home{}
	for _, n := range h.nodes {
		cfg := n.heap.pool.Config()
		at := home{whole: backing.Extent{Addr: cfg.Base, Len: cfg.Size}}
		if cfg.Kind == backing.Scatter {
			at.chunk = cfg.PageSize // larger chunks are a matter of luck
		}
		// A pool that no heap is declared over goes by the first node over it.
		for _, name := range []string{n.Heap, n.Name} {
			if of := known[name]; of != nil {
				at.coherency = of.Coherency
				break
			}
		}
		if _, ok := h.homes[n.Pool]; !ok || at.coherency != nil {
			h.homes[n.Pool] = at
		}
	}
	return nil
}

// Devices are the devices that buffers can be attached to, in the board's order. The slice must not be changed.
func (h *Heaps) Devices() []*Device { return h.devices }

// Device finds one of Devices by its name, or nil.
func (h *Heaps) Device(name string) *Device {
	for _, d := range h.devices {
		if d.Name == name {
			return d
		}
	}
	return nil
}

// mapOwn maps a new buffer for the device whose view its node is, where that has addresses of its own. That the buffer does not suit
// the device in other ways is told when it is attached: the board may give a device a heap that does not serve it.
func (b *Buffer) mapOwn() error {
	h, n := b.node.heaps, b.node
	at := h.homes[n.Pool]
	b.importable = attach.Buffer{
		ID: b.ID, Len: b.Len, Extents: b.Extents, Protected: n.Kind == board.KindProtected,
		Home: at.whole, Chunk: at.chunk, Coherency: at.coherency,
	}
	if n.Device == "" {
		return nil
	}
	d := h.importers.Device(n.Device)
	if d == nil || !d.Translated() {
		return nil
	}
	m, err := d.Map(&b.importable, 0)
	var r *attach.Refusal
	switch {
	case err == nil:
		b.own = m
	case errors.As(err, &r) && r.Constraint == attach.Aperture:
		return fmt.Errorf("%w: %v", ErrNoMemory, err)
	}
	return nil
}

// DMA gives the first address of the buffer as the device sees it whose view its node is, and the number of segments: 0, 0 where that
// device sees physical addresses.
func (b *Buffer) DMA() (addr uint64, segments int) {
	if b.own == nil {
		return 0, 0
	}
	return b.own.Addr, b.own.Segments
}

// Attachments are those of the buffer, oldest first.
func (b *Buffer) Attachments() []*Attachment {
	h := b.node.heaps
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]*Attachment(nil), b.attached...)
}

// attachTo finds the live buffer of a file and adds an attachment to it, in one step: from then on the buffer does not end.
func (h *Heaps) attachTo(id sys.FileID, a *Attachment) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.buffers[id]
	switch {
	case h.closed:
		return errEnded
	case b == nil:
		return fmt.Errorf("%w: not a buffer of this heapfs", ErrInvalid)
	}
	a.Buffer = b
	b.attached = append(b.attached, a)
	return nil
}

// detachFrom takes an attachment from its buffer. If a device was the last to hold that, the buffer has ended.
func (h *Heaps) detachFrom(a *Attachment) {
	b := a.Buffer
	h.mu.Lock()
	for i, other := range b.attached {
		if other == a {
			b.attached = slices.Delete(b.attached, i, i+1)
			break
		}
	}
	_, kept := h.kept[b]
	last := kept && len(b.attached) == 0
	if last {
		delete(h.kept, b)
	}
	h.mu.Unlock()
	if last {
		b.gone("")
	}
}

// removeUnlessAttached takes a buffer out of the account, once, for its end. A buffer that a device has stays: its file is gone, and
// the memory is the device's alone.
func (h *Heaps) removeUnlessAttached(b *Buffer) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, kept := h.kept[b]; kept && h.closed {
		delete(h.kept, b)
		return true
	}
	if h.buffers[b.file] != b {
		return false
	}
	delete(h.buffers, b.file)
	if len(b.attached) > 0 {
		h.kept[b] = struct{}{}
		return false
	}
	return true
}
