package launch

import (
	"fmt"
	"os"

	"github.com/heapfs/heapfs/control"
	"github.com/heapfs/heapfs/heapnodes"
	"github.com/heapfs/heapfs/heapnodes/events"
)

var _ control.Source = (*instance)(nil)

// Instance says what runs.
func (in *instance) Instance() control.Instance {
	return control.Instance{
		ID: fmt.Sprint(in.plan.Front), PID: os.Getpid(), Board: in.plan.Board, HeapNames: in.plan.HeapNames,
		Policy: in.plan.Platform.Policy, Export: in.plan.Export, Door: in.plan.Door,
		Version: in.plan.Version, Started: in.started.UTC(), Socket: in.plan.Socket,
	}
}

// Heaps are the nodes with the state of their pools.
func (in *instance) Heaps() []control.Heap {
	live := map[string]int{}
	for _, b := range in.heaps.Buffers() {
		live[b.Node().Name]++
	}
	nodes := in.heaps.Nodes()
	all := make([]control.Heap, len(nodes))
	for i, n := range nodes {
		pool, stats := n.PoolStats()
		all[i] = control.Heap{
			Name: n.Name, ExpName: n.ExpName, Pool: n.Pool, Kind: string(n.Kind), Device: n.Device, Alias: n.Alias,
			Links: n.Links, Uncached: n.Uncached,
			Mode: fmt.Sprintf("%04o", n.Mode), Quota: n.Quota, PoolSize: stats.Size, PoolUsed: stats.Used, PoolFree: stats.Free,
			LargestRun: stats.LargestRun, Base: pool.Base, Buffers: live[n.Name],
		}
	}
	return all
}

// Buffers are the live buffers.
func (in *instance) Buffers() []control.Buffer {
	live := in.heaps.Buffers()
	all := make([]control.Buffer, len(live))
	for i, b := range live {
		n := b.Node()
		all[i] = control.Buffer{
			ID: b.ID, Heap: n.Name, Pool: n.Pool, Kind: string(n.Kind), Name: b.Name(), Len: b.Len,
			PID: b.Owner.PID, TID: b.Owner.TID, UID: b.Owner.UID, Comm: b.Owner.Comm, Created: b.Created, Extents: b.Extents,
			Device: n.Device, Attachments: attachments(b),
		}
		all[i].DMAAddr, _ = b.DMA()
	}
	return all
}

func attachments(b *heapnodes.Buffer) []control.Attachment {
	var all []control.Attachment
	for _, a := range b.Attachments() {
		addr, segments := a.DMA()
		all = append(all, control.Attachment{
			ID: a.ID, Device: a.Device.Name, DMAAddr: addr, Segments: segments, PID: a.Owner.PID, UID: a.Owner.UID, Comm: a.Owner.Comm,
		})
	}
	return all
}

// Phys asks how a buffer's memory lies. Only udmabufs are made of the memory that their extents name.
func (in *instance) Phys(b control.Buffer) control.Phys {
	if in.udmabufs == nil {
		return control.Phys{Error: fmt.Sprintf("export %s: bytes do not lie where the extents say; use run --export udmabuf", in.plan.Export)}
	}
	p, err := in.udmabufs.Phys(b.Pool, b.Extents)
	if err != nil {
		return control.Phys{Error: err.Error()}
	}
	return control.Phys{Phys: p}
}

// Events is the one stream.
func (in *instance) Events() *events.Stream { return in.events }
