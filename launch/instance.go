package launch

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/heapfs/heapfs/backing"
	"github.com/heapfs/heapfs/control"
	"github.com/heapfs/heapfs/fs"
	"github.com/heapfs/heapfs/heapnodes"
	"github.com/heapfs/heapfs/heapnodes/events"
)

// instance is a running heapfs: heaps, events, control socket.
type instance struct {
	plan    *plan
	started time.Time
	events  *events.Stream
	// udmabufs is nil where another export was chosen.
	udmabufs *backing.Udmabufs
	// buffers is nil where buffers are no files of FUSE.
	buffers *fs.Buffers
	sync    *backing.SyncFiles
	heaps   *heapnodes.Heaps

	stopControl context.CancelFunc
	control     sync.WaitGroup
}

func newInstance(p *plan) (*instance, error) {
	in := &instance{plan: p, started: time.Now(), events: events.NewStream(events.Config{Instance: fmt.Sprint(p.Front)})}
	if p.Events >= 0 {
		in.events.AddSink(os.NewFile(uintptr(p.Events), "events"))
	}
	exporter, err := in.newExporter()
	if err != nil {
		return nil, err
	}
	if in.sync, err = backing.NewSyncFiles(); err != nil {
		return nil, err
	}
	var files heapnodes.SyncFiles = in.sync
	if in.buffers != nil {
		if in.buffers.Sync, err = fs.NewSyncFiles(in.buffers, in.sync); err != nil {
			return nil, err
		}
		files = in.buffers.Sync
	}
	faults := make([]heapnodes.Fault, len(p.Faults))
	for i, spec := range p.Faults {
		if faults[i], err = heapnodes.ParseFault(spec); err != nil {
			return nil, err
		}
	}
	in.heaps, err = heapnodes.New(heapnodes.Config{
		Nodes: p.Nodes, Pools: p.Pools, Platform: p.Platform, Importers: p.Importers, Faults: faults, Exporter: exporter, KernelBuffers: in.udmabufs != nil,
		Sync: files, Events: in.events, HeapFlags: uint64(p.UAPI.HeapFlags), AllocSize: int(p.UAPI.AllocSize), Extension: extension,
	})
	if err != nil {
		return nil, err
	}
	if in.buffers != nil {
		in.buffers.Heaps = in.heaps
	}
	if p.Socket != "" {
		if err := in.serveControl(); err != nil {
			return nil, err
		}
	}
	in.events.Emit(events.Event{Event: events.Start, Reason: fmt.Sprintf("board %s, export %s", p.Board, p.Export)})
	return in, nil
}

func (in *instance) serveControl() error {
	ln, err := control.Listen(in.plan.Socket)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	in.stopControl = stop
	in.control.Go(func() {
		if err := control.Serve(ctx, ln, in); err != nil {
			slog.Error("the control socket ended", "error", err)
		}
	})
	return nil
}

// end closes the account: every free event, then exit, then the socket.
func (in *instance) end(reason string) {
	in.heaps.Close()
	in.events.Emit(events.Event{Event: events.Exit, Reason: reason})
	in.events.Close()
	if in.stopControl != nil {
		in.stopControl()
		in.control.Wait()
	}
	if err := in.events.SinkErr(); err != nil {
		slog.Error("events are missing in the file", "error", err)
	}
}
