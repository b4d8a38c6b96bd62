package heapnodes

import (
	"context"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/devices"
	"github.com/heapfs/heapfs/devices/board"
	"github.com/heapfs/heapfs/heapnodes/events"
	"github.com/heapfs/heapfs/internal/sys"
	"github.com/heapfs/heapfs/uapi"
)

const codec = "38300000.video-codec"

// withImporters gives the fake board a codec without an IOMMU, and two devices behind one; one has a node of its own.
func withImporters(c *Config) {
	mmu := &devices.Domain{Name: "mmu", Granule: 4096, Base: 0x1000_0000, Size: 64 * kib}
	importer := func(name string, cs devices.Constraints, dom *devices.Domain) board.Importer {
		return board.Importer{Importer: devices.Importer{Name: name, Class: devices.DefaultDriverClass(&cs, dom != nil), Constraints: cs, Domain: dom}}
	}
	c.Importers = []board.Importer{
		importer(codec, devices.Constraints{Contiguous: true}, nil), importer("vop", devices.Constraints{}, mmu), importer("isp", devices.Constraints{}, mmu),
	}
	c.Nodes = append(c.Nodes, board.Node{Name: "vop", Device: "vop", Pool: "ram", Heap: "system", Kind: board.KindScatter})
}

// fileCaller is a fakeCaller that has descriptors.
type fileCaller struct {
	*fakeCaller
	fds map[int32]sys.FileID
}

func (c fileCaller) File(fd int32) (sys.FileID, error) {
	id, ok := c.fds[fd]
	if !ok {
		return id, ErrBadFD
	}
	return id, nil
}

// driver plays the driver of a device.
type driver struct {
	*Opener
	t   *testing.T
	fds map[int32]sys.FileID
}

func (s *site) driver(name string) *driver {
	s.t.Helper()
	d := s.Device(name)
	require.NotNil(s.t, d, name)
	return &driver{d.Open(), s.t, map[int32]sys.FileID{}}
}

// knows makes a buffer descriptor fd of the caller.
func (d *driver) knows(fd int32, b *Buffer) *driver {
	d.fds[fd] = b.file
	return d
}

func (d *driver) call(cmd uapi.Cmd, data []byte) syscall.Errno {
	return Errno(d.Ioctl(context.Background(), fileCaller{newCaller(data), d.fds}, cmd, argument))
}

func (d *driver) attach(a uapi.AttachArg) (uapi.AttachArg, syscall.Errno) {
	var data [uapi.HeapfsAttachSize]byte
	a.Put(data[:])
	errno := d.call(uapi.HeapfsAttach, data[:])
	return uapi.DecodeAttach(data[:]), errno
}

func (d *driver) detach(id uint64) syscall.Errno {
	return d.call(uapi.HeapfsDetach, []byte{byte(id), byte(id >> 8), 0, 0, 0, 0, 0, 0})
}

func (d *driver) mapIt(m uapi.MapArg) (uapi.MapArg, syscall.Errno) {
	var data [uapi.HeapfsMapSize]byte
	m.Put(data[:])
	errno := d.call(uapi.HeapfsMap, data[:])
	return uapi.DecodeMap(data[:]), errno
}

func TestADeviceRefusesWhatIsNoBuffer(t *testing.T) {
	s := newSite(t, withImporters)
	d := s.driver(codec)
	d.fds[4] = sys.FileID{Dev: 1, Ino: 1}
	for _, r := range []struct {
		arg   uapi.AttachArg
		errno syscall.Errno
	}{
		{uapi.AttachArg{FD: 3}, syscall.EBADF},
		{uapi.AttachArg{FD: 1<<32 - 1}, syscall.EBADF},
		{uapi.AttachArg{FD: 4}, syscall.EINVAL},
	} {
		_, errno := d.attach(r.arg)
		assert.Equal(t, r.errno, errno)
		e := s.events()
		require.Len(t, e, 1)
		assert.Equal(t, events.AttachFailed, e[0].Event)
		assert.Equal(t, codec, e[0].Device)
		assert.NotEmpty(t, e[0].Reason)
	}
	for _, a := range []uapi.AttachArg{{FD: 3, Dir: 3}, {FD: 3, Flags: 2}} {
		_, errno := d.attach(a)
		assert.Equal(t, syscall.EINVAL, errno)
	}
	assert.Equal(t, syscall.EFAULT, d.call(uapi.HeapfsAttach, make([]byte, 31)))
	assert.Equal(t, syscall.EFAULT, d.call(uapi.HeapfsDetach, make([]byte, 7)))
	assert.Equal(t, syscall.EFAULT, d.call(uapi.HeapfsMap, make([]byte, 31)))
	for _, cmd := range []uapi.Cmd{0, 0x6801, 0xC0186801, 0xC0206804, uapi.HeapIoctlAlloc, uapi.BufIoctlSync} {
		assert.Equal(t, syscall.ENOTTY, d.call(cmd, make([]byte, 64)), "command %#x", uint32(cmd))
	}
	assert.Equal(t, syscall.EINVAL, d.detach(1))
	_, errno := d.mapIt(uapi.MapArg{AttachID: 1})
	assert.Equal(t, syscall.EINVAL, errno)
	_, errno = d.mapIt(uapi.MapArg{AttachID: 1, Flags: 1})
	assert.Equal(t, syscall.EINVAL, errno)
	assert.Empty(t, s.events())
}

func TestACallerThatCannotTellDescriptorsIsDenied(t *testing.T) {
	s := newSite(t, withImporters)
	err := s.Device(codec).Open().Ioctl(context.Background(), newCaller(make([]byte, 32)), uapi.HeapfsAttach, argument)
	assert.ErrorIs(t, err, ErrDenied)
}

func TestAScatteredBufferIsRefusedEveryTime(t *testing.T) {
	s := newSite(t, withImporters)
	scattered, contiguous := s.live("system", 128*kib), s.live("linux,cma", 64*kib)
	d := s.driver(codec).knows(3, scattered).knows(4, contiguous)
	s.events()
	for range 5 {
		_, errno := d.attach(uapi.AttachArg{FD: 3})
		assert.Equal(t, syscall.EFAULT, errno)
		e := s.events()
		require.Len(t, e, 1)
		assert.Equal(t, events.AttachFailed, e[0].Event)
		assert.Equal(t, "EFAULT", e[0].Errno)
		assert.Equal(t, scattered.ID, e[0].Buffer)
		assert.Contains(t, e[0].Reason, "contiguous")
	}
	assert.Empty(t, scattered.Attachments())
	// A refused attachment has used an id up.
	a, errno := d.attach(uapi.AttachArg{FD: 4, Dir: uapi.ToDevice})
	require.Zero(t, errno)
	assert.Equal(t, uapi.AttachArg{FD: 4, Dir: uapi.ToDevice, AttachID: 6, DMAAddr: contiguous.Extents[0].Addr, NSegs: 1}, a)
	e := s.events()
	require.Len(t, e, 1)
	assert.Equal(t, events.Attach, e[0].Event)
	assert.Equal(t, contiguous.Extents[0].Addr, e[0].DMAAddr)
	assert.Equal(t, 1, e[0].Segments)
	require.Len(t, contiguous.Attachments(), 1)
	addr, n := contiguous.Attachments()[0].DMA()
	assert.Equal(t, contiguous.Extents[0].Addr, addr)
	assert.Equal(t, 1, n)
	require.Zero(t, d.detach(a.AttachID))
	assert.Equal(t, []string{events.Detach}, s.kinds())
	assert.Equal(t, syscall.EINVAL, d.detach(a.AttachID))
}

func TestAnAttachmentKeepsTheBuffer(t *testing.T) {
	for name, end := range map[string]func(*driver){
		"until DETACH": func(d *driver) { assert.Zero(d.t, d.detach(1)) },
		"until CLOSE":  func(d *driver) { d.Close("closed"); d.Close("closed") },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, withImporters)
			b := s.live("linux,cma", 64*kib)
			d, other := s.driver(codec).knows(3, b), s.driver(codec)
			_, errno := d.attach(uapi.AttachArg{FD: 3})
			require.Zero(t, errno)
			s.events()
			s.exporter.made[0].gone()
			assert.Empty(t, s.events())
			assert.Equal(t, []*Buffer{b}, s.Buffers())
			assert.Nil(t, s.Buffer(b.file), "its file is gone")
			_, errno = other.knows(5, b).attach(uapi.AttachArg{FD: 5})
			assert.Equal(t, syscall.EINVAL, errno)
			assert.Equal(t, syscall.EINVAL, other.detach(1), "another open device file's")
			other.Close("")
			s.events()
			end(d)
			assert.Equal(t, []string{events.Detach, events.Free}, s.kinds())
			assert.Empty(t, s.Buffers())
			s.untouched()
		})
	}
}

func TestTheEndOfTheInstanceEndsAttachments(t *testing.T) {
	s := newSite(t, withImporters)
	held, kept := s.live("linux,cma", 32*kib), s.live("vop", 4*kib)
	d := s.driver("isp").knows(3, held).knows(4, kept)
	for _, fd := range []uint32{3, 4} {
		_, errno := d.attach(uapi.AttachArg{FD: fd})
		require.Zero(t, errno)
	}
	s.exporter.made[1].gone()
	s.events()
	s.Close()
	kinds := s.kinds()
	assert.ElementsMatch(t, []string{events.Detach, events.Detach, events.Free, events.Free}, kinds)
	s.untouched()
	_, errno := d.attach(uapi.AttachArg{FD: 3})
	assert.NotZero(t, errno)
	d.Close("after the end")
	assert.NotContains(t, s.kinds(), events.Detach)
}

func TestSegmentsAreRead(t *testing.T) {
	s := newSite(t, withImporters)
	b := s.live("system", 96*kib) // 64 KiB and 8 pages
	d := s.driver("vop").knows(3, b)
	buf := make([]byte, 4096)
	_, err := d.Segments(buf, 0)
	assert.ErrorIs(t, err, ErrInvalid)
	a, errno := d.attach(uapi.AttachArg{FD: 3, Flags: uapi.HeapfsAttachOnly})
	assert.Equal(t, uint32(0), a.NSegs)
	require.Zero(t, errno)
	_, err = d.Segments(buf, 1<<32)
	assert.ErrorIs(t, err, ErrInvalid, "it is not mapped")
	m, errno := d.mapIt(uapi.MapArg{AttachID: 1, Dir: uapi.FromDevice})
	assert.Equal(t, syscall.EINVAL, errno, "the aperture has no room for 96 KiB")
	assert.Zero(t, m.NSegs)
	small := s.live("system", 32*kib)
	d.knows(4, small)
	a, errno = d.attach(uapi.AttachArg{FD: 4})
	require.Zero(t, errno)
	assert.Equal(t, uint32(1), a.NSegs)
	base := int64(a.AttachID) << uapi.HeapfsSegmentShift
	n, err := d.Segments(buf, base)
	require.NoError(t, err)
	want := make([]byte, 16)
	uapi.PutSegment(want, a.DMAAddr, 32*kib)
	assert.Equal(t, want, buf[:n])
	n, err = d.Segments(buf, base+16)
	assert.NoError(t, err)
	assert.Zero(t, n)
	n, err = d.Segments(buf[:15], base)
	assert.NoError(t, err)
	assert.Zero(t, n)
	_, err = d.Segments(buf, base+1)
	assert.ErrorIs(t, err, ErrInvalid)
	m, errno = d.mapIt(uapi.MapArg{AttachID: a.AttachID})
	assert.Zero(t, errno)
	assert.Equal(t, a.DMAAddr, m.DMAAddr)
	_, errno = d.mapIt(uapi.MapArg{AttachID: a.AttachID, Dir: uapi.ToDevice})
	assert.Equal(t, syscall.EINVAL, errno)
}

func TestADeviceNodeMapsForItsDevice(t *testing.T) {
	s := newSite(t, withImporters)
	b := s.live("vop", 32*kib)
	addr, n := b.DMA()
	assert.Equal(t, uint64(0x1000_0000), addr)
	assert.Equal(t, 1, n)
	e := s.events()
	require.Len(t, e, 1)
	assert.Equal(t, addr, e[0].DMAAddr)
	assert.Equal(t, "vop", e[0].Device)

	// The other device of the domain sees it at the same place, and keeps it there.
	isp := s.driver("isp").knows(3, b)
	a, errno := isp.attach(uapi.AttachArg{FD: 3})
	require.Zero(t, errno)
	assert.Equal(t, addr, a.DMAAddr)

	// Nothing is left of an ALLOC for which the aperture has no room.
	s.events()
	assert.Equal(t, syscall.ENOMEM, Errno(s.alloc("vop", 64*kib)))
	e = s.events()
	require.Len(t, e, 1)
	assert.Contains(t, e[0].Reason, `IOMMU "mmu"`)

	s.exporter.made[0].gone()
	isp.Close("")
	s.untouched()
	require.NoError(t, s.alloc("vop", 32*kib))
	addr, n = s.Buffers()[0].DMA()
	assert.Equal(t, uint64(0x1000_0000), addr)
	assert.Equal(t, 1, n)
	plain := s.live("system", 4*kib)
	addr, n = plain.DMA()
	assert.Zero(t, addr)
	assert.Zero(t, n)
}

func TestAnOpenDeviceFileHasSoManyAttachments(t *testing.T) {
	s := newSite(t, withImporters)
	d := s.driver(codec).knows(3, s.live("linux,cma", 4*kib))
	for range maxAttachments {
		_, errno := d.attach(uapi.AttachArg{FD: 3})
		require.Zero(t, errno)
	}
	_, errno := d.attach(uapi.AttachArg{FD: 3})
	assert.Equal(t, syscall.ENOMEM, errno)
	assert.Len(t, s.Buffers()[0].Attachments(), maxAttachments)
	d.Close("")
	s.exporter.made[0].gone()
	s.untouched()
}

func TestAnAnswerThatCannotBeWrittenLeavesNothing(t *testing.T) {
	s := newSite(t, withImporters)
	b := s.live("linux,cma", 4*kib)
	d := s.driver(codec).knows(3, b)
	var data [uapi.HeapfsAttachSize]byte
	uapi.AttachArg{FD: 3}.Put(data[:])
	c := newCaller(data[:])
	c.writes = func(int) error { return ErrFault }
	err := d.Ioctl(context.Background(), fileCaller{c, d.fds}, uapi.HeapfsAttach, argument)
	assert.ErrorIs(t, err, ErrFault)
	assert.Empty(t, b.Attachments())
}
