package launch

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/heapfs/heapfs/backing"
	"github.com/heapfs/heapfs/devices/board"
	"github.com/heapfs/heapfs/doctor"
	"github.com/heapfs/heapfs/fs"
	"github.com/heapfs/heapfs/heapnodes"
)

// memfds gives heapnodes the memfds that backing makes.
type memfds struct{ *backing.Memfds }

var _ heapnodes.Exporter = memfds{}

// Export makes a buffer's file.
func (e memfds) Export(r heapnodes.ExportRequest) (heapnodes.Export, error) {
	f, err := e.New(r.Size, r.AccMode, r.CPU, r.Gone)
	if err != nil {
		return nil, err // not f: a nil pointer in an interface is not nil
	}
	return f, nil
}

// udmabufs gives heapnodes the dma-bufs that backing makes.
type udmabufs struct{ *backing.Udmabufs }

var _ heapnodes.Exporter = udmabufs{}

// Export makes a buffer's dma-buf, of the memory that its extents name. Its access mode is O_RDWR, whatever was asked for.
func (e udmabufs) Export(r heapnodes.ExportRequest) (heapnodes.Export, error) {
	f, err := e.New(r.Pool, r.Extents, r.CPU, r.Gone)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// exportCached is the FUSE export without passthrough. A board can't ask for it: it is what the FUSE export falls back to.
const exportCached = "fuse-cached"

// checkExport is whether the export works here, as far as that can be told before anything is started.
func checkExport(export string) error {
	if export != string(board.ExportUdmabuf) {
		return nil
	}
	if err := backing.CheckUdmabuf(); err != nil {
		return fmt.Errorf("export %q: %w", export, err)
	}
	return nil
}

// fuseBuffers is whether buffers are files of FUSE.
func (p *plan) fuseBuffers() bool {
	return p.Export == string(board.ExportFUSE) || p.Export == exportCached
}

// newExporter starts the exporter that the plan names.
func (in *instance) newExporter() (heapnodes.Exporter, error) {
	if in.plan.Export == string(board.ExportUdmabuf) {
		var err error
		in.udmabufs, err = backing.NewUdmabufs(in.plan.Pools)
		return udmabufs{in.udmabufs}, err
	}
	if in.plan.fuseBuffers() {
		return in.newBuffers()
	}
	m, err := backing.NewMemfds()
	return memfds{m}, err
}

// newBuffers starts the FUSE export, with passthrough if that is asked for and possible. The plan says afterwards which it is.
func (in *instance) newBuffers() (heapnodes.Exporter, error) {
	dev, err := openFUSE()
	if err != nil {
		return nil, err
	}
	b, err := fs.NewBuffers(dev)
	if err != nil {
		return nil, hint(fmt.Errorf("export %q: %w", in.plan.Export, err), doctor.ExplainUserNamespace(err))
	}
	if in.plan.Export == string(board.ExportFUSE) {
		err := b.CheckPassthrough()
		switch {
		case err == nil:
			m, err := backing.NewPassedMemfds()
			if err != nil {
				b.Close()
				return nil, err
			}
			b.PassThrough(memfds{m})
		case errors.Is(err, fs.ErrNoPassthrough):
			slog.Info("buffers are files of the page cache", "reason", err)
			in.plan.Export = exportCached
		default:
			b.Close()
			return nil, err
		}
	}
	in.buffers = b
	return b, nil
}

// openBuffers lets ioctls on buffers that are files of FUSE through the second door as well.
func (in *instance) openBuffers(second *secondDoor, once *tellOnce) {
	if in.buffers == nil {
		return
	}
	on := &secondDoor{Door: second.Door}
	on.dev.Store(in.buffers.Device())
	in.buffers.Door = tellingDoor{on, once}
}
