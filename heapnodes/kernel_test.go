package heapnodes

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/heapnodes/events"
	"github.com/heapfs/heapfs/uapi"
)

func kernelBuffers(c *Config) { c.KernelBuffers = true }

func TestKernelAnswersOnItsOwnBuffers(t *testing.T) {
	for _, cmd := range []uapi.Cmd{
		uapi.BufIoctlSync, uapi.BufIoctlSetNameA, uapi.BufIoctlSetNameB, uapi.BufIoctlExportSyncFile, uapi.BufIoctlImportSyncFile, 0x6207,
	} {
		b := newSite(t, kernelBuffers).live("system", 4096)
		for _, arg := range [][]byte{nil, make([]byte, 4), append([]byte("a name"), make([]byte, 32)...)} {
			c := newCaller(arg)
			require.ErrorIs(t, b.Ioctl(context.Background(), c, cmd, argument), ErrKernel, "%#x", uint32(cmd))
			assert.Empty(t, c.installed)
			assert.NotContains(t, c.log, "write 8")
		}
	}
}

func TestNameOfAKernelsBufferIsSeenIfItIsAGoodOne(t *testing.T) {
	s := newSite(t, kernelBuffers)
	b := s.live("system", 4096)
	for _, bad := range [][]byte{nil, []byte("no end"), make([]byte, 0)} {
		require.ErrorIs(t, b.Ioctl(context.Background(), newCaller(bad), uapi.BufIoctlSetNameB, argument), ErrKernel)
		assert.Empty(t, b.Name())
	}
	assert.Equal(t, []string{events.Alloc}, s.kinds())
	good := append([]byte("frame"), make([]byte, 32)...)
	require.ErrorIs(t, b.Ioctl(context.Background(), newCaller(good), uapi.BufIoctlSetNameB, argument), ErrKernel)
	assert.Equal(t, "frame", b.Name())
	assert.Equal(t, []string{events.SetName}, s.kinds())
}

func TestExporterIsToldWhereTheBufferLies(t *testing.T) {
	s := newSite(t)
	b := s.live("linux,cma", 8192)
	r := s.exporter.made[0].request
	assert.Equal(t, "cma", r.Pool)
	assert.Equal(t, b.Extents, r.Extents)
	assert.EqualValues(t, 8192, r.Size)
	assert.True(t, r.CPU)
	b = s.live("system", 68*kib)
	r = s.exporter.made[1].request
	assert.Equal(t, "ram", r.Pool)
	assert.Len(t, r.Extents, 2)
	assert.Equal(t, b.Extents, r.Extents)
}
