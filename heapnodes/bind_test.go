package heapnodes

import (
	"context"
	"encoding/binary"
	"errors"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/heapnodes/events"
	"github.com/heapfs/heapfs/internal/sys"
	"github.com/heapfs/heapfs/uapi"
)

// queued is a struct v4l2_buffer of a 64-bit caller; planes of a multi-planar one follow it.
func queued(typ uint32, fds ...int32) []byte {
	le := binary.LittleEndian
	b := make([]byte, uapi.MaxQBufSize)
	le.PutUint32(b[4:], typ)
	le.PutUint32(b[60:], 4)
	if typ != 9 {
		le.PutUint32(b[64:], uint32(fds[0]))
		return b
	}
	le.PutUint64(b[64:], argument+uapi.MaxQBufSize)
	le.PutUint32(b[72:], uint32(len(fds)))
	for _, fd := range fds {
		p := make([]byte, uapi.MaxPlaneSize)
		le.PutUint32(p[8:], uint32(fd))
		b = append(b, p...)
	}
	return b
}

func prime(fd int32) []byte {
	return binary.LittleEndian.AppendUint32(make([]byte, 8), uint32(fd))
}

func TestABoundNodeRefusesWhatDoesNotSuitItsDevice(t *testing.T) {
	s := newSite(t, withImporters)
	bound := s.Bind("/dev/video0", codec)
	require.NotNil(t, bound)
	assert.Nil(t, s.Bind("/dev/video0", "no such device"))
	scattered, contiguous := s.live("system", 128*kib), s.live("linux,cma", 64*kib)
	fds := map[int32]sys.FileID{3: scattered.file, 4: contiguous.file, 5: {Dev: 1, Ino: 1}}
	tooLong := queued(1, 3)
	binary.LittleEndian.PutUint32(tooLong[72:], 4*kib)
	oneChunk := append([]byte(nil), queued(9, 4, 3)...)
	for _, r := range []struct {
		name string
		cmd  uapi.Cmd
		data []byte
		want error
	}{
		{"scattered", uapi.VIDIOCQBuf, queued(1, 3), syscall.EFAULT},
		{"a scattered plane", uapi.VIDIOCQBuf, oneChunk, syscall.EFAULT},
		{"scattered, DRM", uapi.DRMPrimeFDToHandle, prime(3), syscall.EFAULT},
		{"contiguous", uapi.VIDIOCQBuf, queued(1, 4), ErrKernel},
		{"no more than the page that the heap promises", uapi.VIDIOCQBuf, tooLong, ErrKernel},
		{"contiguous planes", uapi.VIDIOCQBuf, queued(9, 4, 4), ErrKernel},
		{"contiguous, DRM", uapi.DRMPrimeFDToHandle, prime(4), ErrKernel},
		{"another's file", uapi.VIDIOCQBuf, queued(1, 5), ErrKernel},
		{"no descriptor", uapi.VIDIOCQBuf, queued(1, -1), ErrKernel},
		{"another memory", uapi.VIDIOCQBuf, make([]byte, 88), ErrKernel},
		{"memory that ends", uapi.VIDIOCQBuf, queued(1, 3)[:80], ErrKernel},
		{"planes beyond the memory", uapi.VIDIOCQBuf, queued(9, 3, 3)[:160], ErrKernel},
		{"another size", 0xC064560F, make([]byte, 200), ErrKernel},
		{"an argument that is not read", 0x0000560F, nil, ErrKernel},
		{"a DRM argument without descriptor", 0xC008642E, make([]byte, 8), ErrKernel},
	} {
		t.Run(r.name, func(t *testing.T) {
			s.events()
			for range 2 {
				err := bound.Ioctl(context.Background(), fileCaller{newCaller(r.data), fds}, r.cmd, argument)
				assert.ErrorIs(t, err, r.want)
				told := s.events()
				if errors.Is(r.want, ErrKernel) {
					assert.Empty(t, told)
					continue
				}
				assert.Equal(t, r.want, Errno(err))
				require.Len(t, told, 1)
				assert.Equal(t, events.AttachFailed, told[0].Event)
				assert.Equal(t, "EFAULT", told[0].Errno)
				assert.Equal(t, scattered.ID, told[0].Buffer)
			}
		})
	}
	assert.Empty(t, scattered.Attachments())
}

func TestImports(t *testing.T) {
	for _, cmd := range []uapi.Cmd{0xC044560F, uapi.VIDIOCQBuf, uapi.DRMPrimeFDToHandle, 0x560F, 0x642E} {
		assert.True(t, Imports(cmd), "%#x", uint32(cmd))
	}
	for _, cmd := range []uapi.Cmd{0, uapi.HeapIoctlAlloc, uapi.BufIoctlSync, 0xC0585611, 0xC00C642D} {
		assert.False(t, Imports(cmd), "%#x", uint32(cmd))
	}
}
