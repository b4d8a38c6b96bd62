package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"syscall"

	"github.com/heapfs/heapfs/devices/board"
	"github.com/heapfs/heapfs/heapnodes"
	"github.com/heapfs/heapfs/uapi"
)

const (
	// flagOnePiece in heap_flags asks for one physically contiguous piece, of any heap.
	flagOnePiece = 1 << 0

	// Offsets in the part of the struct that the proposal adds.
	atMaxPieces = 0 // u32, 0 for any number
	atPieces    = 4 // u32, written back: the least number of pieces that the heap gives

	// nrInfo is the number of the command that tells the largest buffer of one piece, a u64 in bytes.
	nrInfo = 1

	largestPiece = 1 << 20 // of the system heap, in bytes
)

// proposal is what heap nodes do beyond today's interface.
type proposal struct{}

var _ heapnodes.Extension = proposal{}

// Alloc refuses with E2BIG what the heap could give in too many pieces only.
func (proposal) Alloc(_ context.Context, n *heapnodes.Node, _ heapnodes.Identity, req uapi.AllocRequest, extra []byte) error {
	pieces := uint32(1)
	if n.Kind == board.KindScatter {
		pieces = uint32((req.Len + largestPiece - 1) / largestPiece)
	}
	limit := uint32(0)
	if len(extra) > atMaxPieces+4 {
		limit = binary.LittleEndian.Uint32(extra[atMaxPieces:])
	}
	if req.HeapFlags&flagOnePiece != 0 {
		limit = 1
	}
	if limit != 0 && pieces > limit {
		return &heapnodes.ExtensionError{Errno: syscall.E2BIG, Reason: fmt.Sprintf("%d pieces at the least, %d at the most are asked for", pieces, limit)}
	}
	if len(extra) >= atPieces+4 {
		binary.LittleEndian.PutUint32(extra[atPieces:], pieces)
	}
	return nil
}

// Ioctl answers the command of the proposal.
func (proposal) Ioctl(_ context.Context, n *heapnodes.Node, _ heapnodes.Identity, cmd uapi.Cmd, data []byte, _ uint64) error {
	if cmd.NR() != nrInfo || cmd.Out() < 8 {
		return heapnodes.ErrInvalid
	}
	_, pool := n.PoolStats()
	longest := pool.LargestRun
	if n.Kind == board.KindScatter {
		longest = min(longest, largestPiece)
	}
	binary.LittleEndian.PutUint64(data, longest)
	return nil
}
