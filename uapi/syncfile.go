package uapi

import (
	"bytes"
	"encoding/binary"
	"syscall"
)

// The sync_file interface (include/uapi/linux/sync_file.h), as far as a fence that has already signalled needs it.
const (
	SyncMagic = '>'

	SyncIoctlMerge    Cmd = 0xC0303E03
	SyncIoctlFileInfo Cmd = 0xC0383E04
	// SyncIoctlSetDeadline is of Linux 6.6.
	SyncIoctlSetDeadline Cmd = 0x40103E05

	// SyncNameLen is the length in bytes of the names in these structs.
	SyncNameLen = 32
	// SyncMergeFence is the offset in bytes of the new descriptor in struct sync_merge_data.
	SyncMergeFence = 36
	// SyncFenceInfoSize is the size in bytes of struct sync_fence_info.
	SyncFenceInfoSize = 80

	syncSignalled = 1
)

// SyncMerge is struct sync_merge_data, 48 bytes.
type SyncMerge struct {
	Name  string
	FD2   int32
	Flags uint32
	Pad   uint32
}

// DecodeSyncMerge reads the 48 bytes.
func DecodeSyncMerge(in []byte) SyncMerge {
	name := in[:SyncNameLen-1] // the kernel forces the last byte to NUL
	if n := bytes.IndexByte(name, 0); n >= 0 {
		name = name[:n]
	}
	return SyncMerge{
		Name:  string(name),
		FD2:   int32(binary.LittleEndian.Uint32(in[32:])),
		Flags: binary.LittleEndian.Uint32(in[40:]),
		Pad:   binary.LittleEndian.Uint32(in[44:]),
	}
}

// Check refuses flags and padding with EINVAL.
func (m SyncMerge) Check() error {
	if m.Flags != 0 || m.Pad != 0 {
		return syscall.EINVAL
	}
	return nil
}

// CheckSyncDeadline judges the 16 bytes of struct sync_set_deadline: the padding behind the deadline must be 0, else EINVAL.
func CheckSyncDeadline(in []byte) error {
	if binary.LittleEndian.Uint64(in[8:]) != 0 {
		return syscall.EINVAL
	}
	return nil
}

// SyncFileInfo is struct sync_file_info, 56 bytes, on the way in.
type SyncFileInfo struct {
	Flags     uint32
	NumFences uint32
	Pad       uint32
	FencePtr  uint64
}

// DecodeSyncFileInfo reads the 56 bytes.
func DecodeSyncFileInfo(in []byte) SyncFileInfo {
	return SyncFileInfo{
		Flags:     binary.LittleEndian.Uint32(in[36:]),
		NumFences: binary.LittleEndian.Uint32(in[40:]),
		Pad:       binary.LittleEndian.Uint32(in[44:]),
		FencePtr:  binary.LittleEndian.Uint64(in[48:]),
	}
}

// Check refuses flags and padding with EINVAL.
func (i SyncFileInfo) Check() error {
	if i.Flags != 0 || i.Pad != 0 {
		return syscall.EINVAL
	}
	return nil
}

// PutSyncFileInfo fills the 56 bytes for a sync file with one signalled fence. FencePtr keeps what the caller wrote.
func PutSyncFileInfo(out []byte, name string, fencePtr uint64) {
	clear(out[:56])
	copy(out[:SyncNameLen-1], name)
	binary.LittleEndian.PutUint32(out[32:], syncSignalled)
	binary.LittleEndian.PutUint32(out[40:], 1)
	binary.LittleEndian.PutUint64(out[48:], fencePtr)
}

// PutSyncFenceInfo fills one struct sync_fence_info of 80 bytes for a signalled fence; ns is the time of signalling in
// nanoseconds of CLOCK_MONOTONIC.
func PutSyncFenceInfo(out []byte, names FenceNames, ns uint64) {
	clear(out[:SyncFenceInfoSize])
	copy(out[:SyncNameLen-1], names.Timeline)
	copy(out[SyncNameLen:2*SyncNameLen-1], names.Driver)
	binary.LittleEndian.PutUint32(out[64:], syncSignalled)
	binary.LittleEndian.PutUint64(out[72:], ns)
}

// FenceNames are what the kernel's always-signalled fence calls its timeline and its driver (drivers/dma-buf/dma-fence.c), and what a
// sync file made of it is called.
type FenceNames struct{ Timeline, Driver, File string }

// The names: a fence of the stub driver up to Linux 6.16; from 6.17 on a fence that has signalled keeps no driver at all.
var (
	StubFence     = FenceNames{Timeline: "stub", Driver: "stub", File: "stub-stub0-0"}
	DetachedFence = FenceNames{
		Timeline: "signaled-timeline", Driver: "detached-driver", File: "detached-driver-signaled-timeli", // cut at 31 bytes
	}
)
