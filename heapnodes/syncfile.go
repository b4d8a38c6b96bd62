package heapnodes

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/heapfs/heapfs/internal/sys"
	"github.com/heapfs/heapfs/uapi"
)

// SyncFile is a sync file of ours in a caller: a stand-in that the kernel does not know as one.
type SyncFile struct {
	files SyncFiles
	name  string
}

// SyncFile is the target of calls on the descriptor that link and fdinfo describe, or nil if it is none of ours.
func (h *Heaps) SyncFile(link string, fdinfo []byte) *SyncFile {
	if !h.cfg.Sync.StandIn(link, fdinfo) {
		return nil
	}
	return &SyncFile{files: h.cfg.Sync, name: h.cfg.Sync.Name(fdinfo)}
}

// Ioctl mirrors sync_file_ioctl (drivers/dma-buf/sync_file.c) for a fence that has signalled.
func (s *SyncFile) Ioctl(_ context.Context, c Caller, cmd uapi.Cmd, arg uint64) error {
	switch cmd {
	case uapi.SyncIoctlMerge:
		return s.merge(c, arg)
	case uapi.SyncIoctlFileInfo:
		return s.fileInfo(c, arg)
	case uapi.SyncIoctlSetDeadline:
		var in [16]byte
		if err := c.Read(in[:], arg); err != nil {
			return err
		}
		// There is nothing to hurry: the fence has signalled.
		return uapi.CheckSyncDeadline(in[:])
	default:
		return ErrNotTTY
	}
}

func (s *SyncFile) merge(c Caller, arg uint64) error {
	var data [48]byte
	if err := c.Read(data[:], arg); err != nil {
		return err
	}
	req := uapi.DecodeSyncMerge(data[:])
	if err := req.Check(); err != nil {
		return err
	}
	if !isSyncFile(s.files, c, req.FD2) {
		return ErrNoEntry
	}
	if err := c.Write(data[:], arg); err != nil {
		return err
	}
	fd, err := installSyncFile(s.files, c, req.Name)
	if err != nil {
		return err
	}
	binary.LittleEndian.PutUint32(data[uapi.SyncMergeFence:], uint32(fd))
	return c.Write(data[uapi.SyncMergeFence:uapi.SyncMergeFence+4], arg+uapi.SyncMergeFence)
}

func (s *SyncFile) fileInfo(c Caller, arg uint64) error {
	var data [56]byte
	if err := c.Read(data[:], arg); err != nil {
		return err
	}
	req := uapi.DecodeSyncFileInfo(data[:])
	if err := req.Check(); err != nil {
		return err
	}
	// A caller that announces no room asks for the number only.
	if req.NumFences != 0 {
		var fence [uapi.SyncFenceInfoSize]byte
		uapi.PutSyncFenceInfo(fence[:], sys.SignalledFence(), s.files.Signalled())
		if err := c.Write(fence[:], req.FencePtr); err != nil {
			return err
		}
	}
	uapi.PutSyncFileInfo(data[:], s.name, req.FencePtr)
	return c.Write(data[:], arg)
}

func isSyncFile(files SyncFiles, c Caller, fd int32) bool {
	link, fdinfo, err := c.Describe(fd)
	return err == nil && files.Recognise(link, fdinfo)
}

func installSyncFile(files SyncFiles, c Caller, name string) (int, error) {
	own, err := files.Make(name)
	if err != nil {
		return -1, fmt.Errorf("%w: sync file: %v", ErrExport, err)
	}
	defer sys.Close(own)
	return c.Install(own, true)
}
