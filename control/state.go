package control

import (
	"time"

	"github.com/heapfs/heapfs/backing"
	"github.com/heapfs/heapfs/heapnodes/events"
)

// Source is what the API shows. Its methods are called by several goroutines
// at once, and what they return must not change afterwards.
type Source interface {
	Instance() Instance
	Heaps() []Heap
	Buffers() []Buffer
	Events() *events.Stream
	// Phys is how the memory of one of Buffers really lies.
	Phys(b Buffer) Phys
}

// Instance describes one running heapfs.
type Instance struct {
	// ID is the instance field of its events.
	ID  string `json:"id"`
	PID int    `json:"pid"`
	// Board is the name or the path that --board was given.
	Board string `json:"board"`
	// HeapNames is the set of names that the heaps go by, empty for the board's own.
	HeapNames string `json:"heap_names,omitempty"`
	// Policy says which heap serves a usage, as the board has it.
	Policy map[string]string `json:"policy,omitempty"`
	// Export is the decided one, never "auto".
	Export  string    `json:"export"`
	Door    string    `json:"door"`
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	// Socket is the path of the control socket.
	Socket string `json:"socket"`
}

// Heap describes one heap node. Sizes are bytes; those of the pool are shared
// by all nodes over the same pool.
type Heap struct {
	Name string `json:"name"`
	// ExpName is the exporter name that the buffers carry.
	ExpName string `json:"exp_name"`
	Pool    string `json:"pool"`
	// Kind is that of the pool: contiguous, scatter, coherent or protected.
	Kind string `json:"kind"`
	// Device is the device whose view this node is, empty for a type heap.
	Device string `json:"device,omitempty"`
	// Alias is true for another name of a heap, such as a legacy name.
	Alias bool `json:"alias"`
	// Links are symbolic links to the node.
	Links []string `json:"links,omitempty"`
	// Uncached is true for a heap whose mappings the board calls uncached.
	Uncached bool `json:"uncached,omitempty"`
	// Mode is the permission bits of the node, in octal.
	Mode string `json:"mode"`
	// Quota is the most that live buffers of this heap may hold, 0 for no quota.
	Quota    uint64 `json:"quota"`
	PoolSize uint64 `json:"pool_size"`
	PoolUsed uint64 `json:"pool_used"`
	PoolFree uint64 `json:"pool_free"`
	// LargestRun is the longest free range of the pool.
	LargestRun uint64 `json:"largest_run"`
	// Base is the first physical address of the pool.
	Base uint64 `json:"base"`
	// Buffers counts the live buffers of this heap.
	Buffers int `json:"buffers"`
}

// Buffer describes one live buffer and the caller that asked for it.
type Buffer struct {
	ID   uint64 `json:"id"`
	Heap string `json:"heap"`
	Pool string `json:"pool"`
	Kind string `json:"kind"`
	// Name is the name given by DMA_BUF_SET_NAME. It may hold any bytes.
	Name string `json:"name"`
	// Len is in bytes.
	Len uint64 `json:"len"`
	// PID and TID are those of the caller as the server saw them at ALLOC; the
	// process may have ended since, and others may hold the buffer.
	PID int `json:"pid"`
	TID int `json:"tid"`
	UID int `json:"uid"`
	// Comm is the caller's command name. It may hold any bytes.
	Comm    string           `json:"comm"`
	Created time.Time        `json:"created"`
	Extents []backing.Extent `json:"extents"`
	// Device is the device that Heap is a view of, and DMAAddr the first address
	// of the buffer in the device's IOMMU domain, where that maps it at ALLOC.
	Device  string `json:"device,omitempty"`
	DMAAddr uint64 `json:"dma_addr,omitempty"`
	// Attachments are the devices that have the buffer, oldest first.
	Attachments []Attachment `json:"attachments,omitempty"`
	// Phys is there only if it was asked for.
	Phys *Phys `json:"phys,omitempty"`
}

// Attachment is a device that has a buffer.
type Attachment struct {
	ID     uint64 `json:"id"`
	Device string `json:"device"`
	// DMAAddr is the first address that the device sees, and Segments how many
	// segments; both are 0 while nothing is mapped.
	DMAAddr  uint64 `json:"dma_addr"`
	Segments int    `json:"segments"`
	// PID, UID and Comm are those of the process that attached it.
	PID  int    `json:"pid"`
	UID  int    `json:"uid"`
	Comm string `json:"comm"`
}

// Phys is how a buffer lies in the memory of the machine, or why that can't be told.
type Phys struct {
	backing.Phys
	Error string `json:"error,omitempty"`
}
