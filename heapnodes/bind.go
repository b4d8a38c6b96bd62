package heapnodes

import (
	"context"
	"log/slog"

	"github.com/heapfs/heapfs/uapi"
)

// Binding is a real device node that stands for a device of the board: what its driver is given must suit the device.
type Binding struct {
	// Node is the real one's path.
	Node string
	dev  *Device
}

// Bind makes the node stand for a device, or gives nil if there is no such device.
func (h *Heaps) Bind(node, device string) *Binding {
	d := h.Device(device)
	if d == nil {
		return nil
	}
	return &Binding{Node: node, dev: d}
}

// Imports is whether a command gives a buffer to a driver, by its type and number.
func Imports(cmd uapi.Cmd) bool {
	nr := cmd.TypeNR()
	return nr == uapi.VIDIOCQBuf.TypeNR() || nr == uapi.DRMPrimeFDToHandle.TypeNR()
}

// plane is a buffer in a call, and how much of it the driver will use; 0 for all of it.
type plane struct {
	fd   int32
	need uint32
}

// Ioctl judges the buffers of this instance in a VIDIOC_QBUF or DRM_IOCTL_PRIME_FD_TO_HANDLE: a *attach.Refusal if one does not suit the
// device, and in any other case ErrKernel. So what can't be read, or is none of ours, is the driver's affair.
//
// The driver reads the argument once more. A caller that changes it meanwhile deceives itself only.
func (b *Binding) Ioctl(_ context.Context, c Caller, cmd uapi.Cmd, arg uint64) error {
	planes, err := importedPlanes(c, cmd, arg)
	if err != nil {
		slog.Debug("what a driver is given was not seen", "node", b.Node, "error", err)
		return ErrKernel
	}
	for _, p := range planes {
		buf, err := b.dev.heaps.callersBuffer(c, uint32(p.fd))
		if err != nil {
			continue
		}
		if err := b.dev.dev.Check(&buf.importable, uint64(p.need)); err != nil {
			b.dev.refused(c, buf, err)
			return err
		}
	}
	return ErrKernel
}

// importedPlanes finds the descriptors in the argument of a call.
func importedPlanes(c Caller, cmd uapi.Cmd, arg uint64) ([]plane, error) {
	if cmd.TypeNR() == uapi.DRMPrimeFDToHandle.TypeNR() {
		var data [12]byte
		n := min(cmd.In(), len(data))
		if err := c.Read(data[:n], arg); err != nil {
			return nil, err
		}
		if fd, ok := uapi.DecodePrime(data[:n]); ok {
			return []plane{{fd: fd}}, nil
		}
		return nil, nil
	}
	var data [uapi.MaxQBufSize]byte
	if cmd.In() > len(data) {
		return nil, nil
	}
	if err := c.Read(data[:cmd.In()], arg); err != nil {
		return nil, err
	}
	q, ok := uapi.DecodeQBuf(data[:cmd.In()])
	if !ok {
		return nil, nil
	}
	if q.NPlanes == 0 {
		return []plane{{q.FD, q.Length}}, nil
	}
	var text [uapi.MaxPlanes * uapi.MaxPlaneSize]byte
	in := text[:q.NPlanes*q.PlaneSize]
	if err := c.Read(in, q.Planes); err != nil {
		return nil, err
	}
	all := make([]plane, q.NPlanes)
	for i := range all {
		all[i].fd, all[i].need = q.Plane(in, i)
	}
	return all, nil
}
