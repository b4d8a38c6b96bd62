package fuzz

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

func (p *proc) doSyncFile(op *Op, r *Result) {
	fd := p.fd(op.Ref, r)
	switch op.Sub {
	case syncExport:
		addr, mem := p.place(op.Ptr, 8)
		p.put64(mem, op.A[0]&0xffffffff|op.A[1]<<32)
		p.syncIoctl(op, r, fd, cmdExport, addr, mem, 4)
	case syncImport:
		addr, mem := p.place(op.Ptr, 8)
		var other Result
		p.put64(mem, op.A[0]&0xffffffff|uint64(uint32(p.fd(op.Ref2, &other)))<<32)
		r.V[1] = uint64(other.Target)
		r.Code = ioctl(fd, cmdImport, addr)
		r.V[0] = p.left()
	case syncInfo:
		p.doFileInfo(op, r, fd)
	case syncMerge:
		addr, mem := p.place(op.Ptr, 48)
		var in [48]byte
		copy(in[:], "merged")
		var other Result
		binary.LittleEndian.PutUint32(in[32:], uint32(p.fd(op.Ref2, &other)))
		binary.LittleEndian.PutUint32(in[40:], uint32(op.A[0]))
		binary.LittleEndian.PutUint32(in[44:], uint32(op.A[1]))
		copy(mem, in[:])
		p.syncIoctl(op, r, fd, cmdMerge, addr, mem, 36)
		r.V[3] = uint64(other.Target)
	case syncDeadline:
		addr, mem := p.place(op.Ptr, 16)
		var in [16]byte
		binary.LittleEndian.PutUint64(in[0:], op.A[0])
		binary.LittleEndian.PutUint64(in[8:], op.A[1])
		copy(mem, in[:])
		r.Code = ioctl(fd, cmdDeadline, addr)
		r.V[0] = p.left()
	}
}

// syncIoctl is an ioctl that writes a new sync file's number at field.
func (p *proc) syncIoctl(op *Op, r *Result, fd int32, cmd uint64, addr uintptr, mem []byte, field int) {
	low := p.lowest()
	r.Code = ioctl(fd, cmd, addr)
	r.V[0] = p.left()
	if low < fileLimit && isOpen(low) {
		r.FD, r.V[2] = low, flagFD(low)
		p.opened(op.ID, low, register{target: targetSync})
	}
	if r.Code == 0 && len(mem) >= field+4 {
		r.V[1] = uint64(binary.LittleEndian.Uint32(mem[field:]))
	}
}

// doFileInfo asks a sync file for its fences. When the fence signalled is no answer that two kernels' calls could share.
func (p *proc) doFileInfo(op *Op, r *Result, fd int32) {
	const infoBytes, room = 56, 64
	addr, mem := p.place(op.Ptr, infoBytes)
	fences := p.area[pageSize : pageSize+room+2*fenceBytes]
	fill(fences)
	pointer := uint64(address(fences) + room)
	if op.A[3] != 0 {
		pointer = uint64(address(p.area) + areaBytes - 8)
	}
	var in [infoBytes]byte
	binary.LittleEndian.PutUint32(in[36:], uint32(op.A[0]))
	binary.LittleEndian.PutUint32(in[40:], uint32(op.A[1]))
	binary.LittleEndian.PutUint32(in[44:], uint32(op.A[2]))
	binary.LittleEndian.PutUint64(in[48:], pointer)
	copy(mem, in[:])
	r.Code = ioctl(fd, cmdFileInfo, addr)
	for i := 48; i < len(mem); i++ {
		mem[i] = 0 // addresses differ
	}
	r.V[0] = p.left()
	if r.Code == 0 && op.A[1] != 0 {
		for i := range 8 {
			fences[room+72+i] = 0
		}
	}
	r.V[1] = sum(fences)
}

func (p *proc) doPoll(op *Op, r *Result) {
	fd := p.fd(op.Ref, r)
	if op.Sub == pollPoll {
		code, revents := poll(fd, int16(op.A[0]))
		r.Code, r.V[0] = code, uint64(uint16(revents))
		return
	}
	set := call(unix.SYS_EPOLL_CREATE1, unix.EPOLL_CLOEXEC, 0, 0, 0, 0, 0)
	if set < 0 {
		r.Code = set
		return
	}
	r.Code = epollAdd(int32(set), fd, uint32(op.A[0]))
	r.V[1] = 1 // the set could be made
	if r.Code == 0 {
		_, events := epollReady(int32(set))
		r.V[0] = uint64(events)
	}
	closeFD(int32(set))
}
