package uapi

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestCommandNumbersAreTheKernels(t *testing.T) {
	rows := []struct {
		name string
		made Cmd
		want uint32
	}{
		{"DMA_HEAP_IOCTL_ALLOC", IOWR(HeapMagic, 0, 24), 0xC0184800},
		{"ALLOC without heap_flags", IOWR(HeapMagic, 0, 16), 0xC0104800},
		{"ALLOC of a longer struct", IOWR(HeapMagic, 0, 48), 0xC0304800},
		{"HeapIoctlAlloc", HeapIoctlAlloc, 0xC0184800},
		{"DMA_BUF_IOCTL_SYNC", IOW(BufMagic, 0, 8), uint32(BufIoctlSync)},
		{"DMA_BUF_SET_NAME_A", IOW(BufMagic, 1, 4), uint32(BufIoctlSetNameA)},
		{"DMA_BUF_SET_NAME_B", IOW(BufMagic, 1, 8), uint32(BufIoctlSetNameB)},
		{"DMA_BUF_IOCTL_EXPORT_SYNC_FILE", IOWR(BufMagic, 2, 8), uint32(BufIoctlExportSyncFile)},
		{"DMA_BUF_IOCTL_IMPORT_SYNC_FILE", IOW(BufMagic, 3, 8), uint32(BufIoctlImportSyncFile)},
		{"SYNC_IOC_MERGE", IOWR(SyncMagic, 3, 48), uint32(SyncIoctlMerge)},
		{"SYNC_IOC_FILE_INFO", IOWR(SyncMagic, 4, 56), uint32(SyncIoctlFileInfo)},
	}
	for _, r := range rows {
		assert.Equal(t, Cmd(r.want), r.made, r.name)
	}
}

func TestCommandIsTakenApartByDirectionAndSize(t *testing.T) {
	rows := []struct {
		name          string
		cmd           Cmd
		nr, typ       byte
		size, in, out int
	}{
		{"zero", 0, 0, 0, 0, 0, 0},
		{"no direction keeps its size", 0x00184800, 0, 'H', 24, 0, 0},
		{"write only", 0x40184800, 0, 'H', 24, 24, 0},
		{"read only", 0x80184800, 0, 'H', 24, 0, 24},
		{"both", 0xC0184800, 0, 'H', 24, 24, 24},
		{"the longest argument", 0xFFFF4800, 0, 'H', MaxSize, MaxSize, MaxSize},
		{"TCGETS", 0x5401, 1, 'T', 0, 0, 0},
		{"all bits", 0xFFFFFFFF, 0xFF, 0xFF, MaxSize, MaxSize, MaxSize},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			assert.Equal(t, r.nr, r.cmd.NR())
			assert.Equal(t, r.typ, r.cmd.Type())
			assert.Equal(t, r.size, r.cmd.Size())
			assert.Equal(t, r.in, r.cmd.In())
			assert.Equal(t, r.out, r.cmd.Out())
			assert.Equal(t, uint16(r.typ)<<8|uint16(r.nr), r.cmd.TypeNR())
		})
	}
}

func FuzzCmd(f *testing.F) {
	for _, seed := range []uint32{0, 0xC0184800, 0xC0104800, 0xC0304800, 0x40086200, 0x5401, 0xFFFFFFFF} {
		f.Add(seed)
	}
	// A command is made of its parts and of nothing else.
	f.Fuzz(func(t *testing.T, raw uint32) {
		c := Cmd(raw)
		assert.Equal(t, c, IOC(raw>>dirShift, c.Type(), c.NR(), uint32(c.Size())))
		assert.LessOrEqual(t, c.In(), c.Size())
		assert.LessOrEqual(t, c.Out(), c.Size())
	})
}
