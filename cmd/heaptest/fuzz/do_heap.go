package fuzz

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// maxAsk keeps a mistake in the generator from asking the kernel's heap for more than the machine has: it would be killed.
const maxAsk = 16 << 20

func (p *proc) doOpen(op *Op, r *Result) {
	name := "system"
	as := register{target: targetNode, access: uint8(op.A[0] & unix.O_ACCMODE)}
	if op.Sub == openOther {
		name = otherPaths[op.A[1]%uint64(len(otherPaths))]
		as.target = targetOther
	}
	n := 0
	if name == "" || name[0] != '/' {
		n = copy(p.path, p.dir)
	}
	n += copy(p.path[n:], name)
	p.path[n] = 0
	if op.A[0]&unix.O_PATH != 0 {
		as.target = targetOther
	}
	at := unix.AT_FDCWD
	r.Code = call(unix.SYS_OPENAT, uintptr(at), address(p.path), uintptr(op.A[0]), 0, 0, 0)
	if r.Code >= 0 {
		r.FD, r.Code = int32(r.Code), 0
		p.opened(op.ID, r.FD, as)
		r.V[0] = flagFD(r.FD)
	}
}

// alloc fields of Op.A
const (
	allocLen = iota
	allocFD  // fd, and fd_flags in the upper half
	allocHeapFlags
	allocCmd // with whatever the upper half of the register is to hold
)

func (p *proc) doAlloc(op *Op, r *Result) {
	fd := p.fd(op.Ref, r)
	cmd := op.A[allocCmd]
	addr, mem := p.place(op.Ptr, cmdSize(cmd))
	var head [allocBytes]byte
	binary.LittleEndian.PutUint64(head[0:], op.A[allocLen])
	binary.LittleEndian.PutUint64(head[8:], op.A[allocFD])
	binary.LittleEndian.PutUint64(head[16:], op.A[allocHeapFlags])
	copy(mem, head[:])
	access := uint8(0)
	if cmdIn(cmd) >= 16 {
		access = uint8(op.A[allocFD] >> 32 & unix.O_ACCMODE)
	}
	p.heapIoctl(op, r, fd, cmd, addr, mem, access)
}

// heapIoctl is an ioctl that may install a descriptor whose number the caller is not told, because its struct is too short or can't be
// written.
func (p *proc) heapIoctl(op *Op, r *Result, fd int32, cmd uint64, addr uintptr, mem []byte, access uint8) {
	length := allocLength(cmd, mem)
	if length > maxAsk && r.Target == targetNode && cmdNR(cmd) == 0 {
		r.Code = codeSkipped
		return
	}
	low := p.lowest()
	r.Code = ioctl(fd, cmd, addr)
	r.V[0] = p.left()
	field := int32(-1)
	if len(mem) >= 12 && r.Code == 0 {
		field = int32(binary.LittleEndian.Uint32(mem[8:]))
	}
	r.V[1] = uint64(uint32(field))
	if low >= fileLimit || !isOpen(low) {
		low = -1
	}
	if low < 0 && r.Code == 0 && cmdOut(cmd) >= 12 && field >= 0 && isOpen(field) {
		low = field // not the lowest: the judge will say so
	}
	if low >= 0 {
		r.FD, r.V[2] = low, flagFD(low)
		if r.Code != 0 { // nobody was told of it
			closeFD(low)
			return
		}
		p.opened(op.ID, low, register{target: targetBuffer, access: access, size: length})
	}
}

// allocLength is the length that the kernel would find in an argument, rounded up; 0 if that wraps.
func allocLength(cmd uint64, mem []byte) uint64 {
	var b [8]byte
	copy(b[:], mem[:min(len(mem), cmdIn(cmd), 8)])
	return (binary.LittleEndian.Uint64(b[:]) + pageSize - 1) &^ (pageSize - 1)
}

func (p *proc) doSync(op *Op, r *Result) {
	fd := p.fd(op.Ref, r)
	addr, mem := p.place(op.Ptr, 8)
	p.put64(mem, op.A[0])
	if r.Target == targetNode {
		p.heapIoctl(op, r, fd, op.A[1], addr, mem, 0) // a SYNC sent to a heap is an ALLOC
		return
	}
	r.Code = ioctl(fd, op.A[1], addr)
	r.V[0] = p.left()
}

func (p *proc) put64(mem []byte, v uint64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	copy(mem, b[:])
}

// doName names a buffer with A[0] letters and a NUL, which ptrCross puts out of reach.
func (p *proc) doName(op *Op, r *Result) {
	fd := p.fd(op.Ref, r)
	letters := int(min(op.A[0], 200))
	addr, mem := p.place(op.Ptr, letters+1)
	for i := range mem {
		mem[i] = 'a' + byte((uint64(i)+op.A[1])%26)
		if i == letters {
			mem[i] = 0
		}
	}
	r.Code = ioctl(fd, op.A[2], addr)
	r.V[0] = p.left()
}

func (p *proc) doForeign(op *Op, r *Result) {
	fd := p.fd(op.Ref, r)
	cmd := op.A[0]
	addr, mem := p.place(op.Ptr, max(8, cmdSize(cmd)))
	for i := range mem {
		mem[i] = 0 // whatever takes it for an ALLOC finds length 0
	}
	if cmdIn(cmd) >= 8 {
		p.put64(mem, op.A[1])
	}
	if r.Target != targetNode || cmdNR(cmd) != 0 {
		r.Code = ioctl(fd, cmd, addr)
		if isFileCommand(cmd) {
			return // the answer is the file system's
		}
		r.V[0] = p.left()
		return
	}
	if allocLength(cmd, mem) > maxAsk {
		r.Code = codeSkipped
		return
	}
	// Number 0 of any type is an ALLOC: what it gives is closed at once.
	low := p.lowest()
	r.Code = ioctl(fd, cmd, addr)
	if low < fileLimit && isOpen(low) {
		closeFD(low)
		r.FD = low
	}
	r.Target |= targetTrial
}

// isFileCommand: commands that the VFS or a file system may answer with numbers of its own.
func isFileCommand(cmd uint64) bool {
	return cmd == cmdFIONREAD || cmd == cmdFIGETBSZ || cmd == cmdGetFlags || cmd == cmdEpollParam
}
