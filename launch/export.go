package launch

import (
	"fmt"

	"github.com/heapfs/heapfs/backing"
	"github.com/heapfs/heapfs/devices/board"
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

// newExporter starts the exporter that the plan names.
func (in *instance) newExporter() (heapnodes.Exporter, error) {
	if in.plan.Export == string(board.ExportUdmabuf) {
		var err error
		in.udmabufs, err = backing.NewUdmabufs(in.plan.Pools)
		return udmabufs{in.udmabufs}, err
	}
	m, err := backing.NewMemfds()
	return memfds{m}, err
}
