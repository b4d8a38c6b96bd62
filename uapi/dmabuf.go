package uapi

import (
	"bytes"
	"encoding/binary"
	"syscall"
)

// The buffer's interface (include/uapi/linux/dma-buf.h). The kernel compares whole commands here.
const (
	BufMagic = 'b'

	BufIoctlSync           Cmd = 0x40086200
	BufIoctlSetNameA       Cmd = 0x40046201
	BufIoctlSetNameB       Cmd = 0x40086201
	BufIoctlExportSyncFile Cmd = 0xC0086202
	BufIoctlImportSyncFile Cmd = 0x40086203

	// NameLen is DMA_BUF_NAME_LEN in bytes, the terminating NUL included.
	NameLen = 32

	syncRead  = 1
	syncWrite = 2
	syncEnd   = 4
	syncRW    = syncRead | syncWrite
)

// CheckSync judges the u64 of DMA_BUF_IOCTL_SYNC. Unpaired calls are not detected, as on a kernel (dma_buf_ioctl).
func CheckSync(in []byte) error {
	flags := binary.LittleEndian.Uint64(in)
	if flags&^uint64(syncRW|syncEnd) != 0 || flags&syncRW == 0 {
		return syscall.EINVAL
	}
	return nil
}

// SyncFileArg is struct dma_buf_export_sync_file and struct dma_buf_import_sync_file.
type SyncFileArg struct {
	Flags uint32
	FD    int32
}

// DecodeSyncFile reads the 8 bytes of an export or import argument.
func DecodeSyncFile(in []byte) SyncFileArg {
	return SyncFileArg{
		Flags: binary.LittleEndian.Uint32(in),
		FD:    int32(binary.LittleEndian.Uint32(in[4:])),
	}
}

// Check wants a non-empty subset of READ and WRITE, else EINVAL.
func (a SyncFileArg) Check() error {
	if a.Flags&^uint32(syncRW) != 0 || a.Flags&syncRW == 0 {
		return syscall.EINVAL
	}
	return nil
}

// Put writes the struct into 8 bytes.
func (a SyncFileArg) Put(out []byte) {
	binary.LittleEndian.PutUint32(out, a.Flags)
	binary.LittleEndian.PutUint32(out[4:], uint32(a.FD))
}

// BufName is the name in what was read at the pointer of SET_NAME: up to NameLen bytes. ok is false when no NUL is among them:
// EINVAL if all NameLen bytes could be read, EFAULT if the memory ended before.
func BufName(b []byte) (name string, ok bool) {
	n := bytes.IndexByte(b, 0)
	if n < 0 {
		return "", false
	}
	return string(b[:n]), true
}
