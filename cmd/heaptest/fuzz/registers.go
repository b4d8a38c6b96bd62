package fuzz

import "golang.org/x/sys/unix"

// fd is the number of the descriptor that an operation made. One that was closed keeps its number, so that its use is EBADF, unless
// the number is another's by now.
func (p *proc) fd(ref int16, r *Result) int32 {
	if ref < 0 || int(ref) >= maxOps {
		return -1
	}
	reg := &p.regs[ref]
	switch {
	case reg.state == regOpen:
		r.Target = reg.target
		return reg.num
	case reg.state == regClosed && reg.num >= 0 && reg.num < fileLimit && !p.open[reg.num]:
		return reg.num
	default:
		return -1
	}
}

// of is the register of an open descriptor, or an empty one.
func (p *proc) of(ref int16) register {
	if ref < 0 || int(ref) >= maxOps || p.regs[ref].state != regOpen {
		return register{num: -1}
	}
	return p.regs[ref]
}

// opened enters a new descriptor.
func (p *proc) opened(id int16, num int32, as register) {
	if num < 0 || num >= fileLimit {
		return
	}
	p.closed(num) // dup2 has closed what was there
	as.state, as.num = regOpen, num
	p.regs[id] = as
	p.open[num] = true
}

// closed strikes a number from the account.
func (p *proc) closed(num int32) {
	if num < 3 || num >= fileLimit {
		return
	}
	p.open[num] = false
	for i := range p.regs {
		if p.regs[i].state == regOpen && p.regs[i].num == num {
			p.regs[i].state = regClosed
		}
	}
}

// lowest is the number that the next descriptor should get.
func (p *proc) lowest() int32 {
	for n := range int32(fileLimit) {
		if !p.open[n] {
			return n
		}
	}
	return fileLimit
}

func isOpen(num int32) bool { return fcntl(num, unix.F_GETFD, 0) >= 0 }

// flagFD is FD_CLOEXEC of an open descriptor.
func flagFD(num int32) uint64 { return uint64(fcntl(num, unix.F_GETFD, 0)) }

// place finds room for size bytes as the operation wants it: the address for the kernel, and as much of it as can be prepared.
// Everything around is filled, so that a byte too many is seen.
func (p *proc) place(ptr uint8, size int) (uintptr, []byte) {
	size = min(size, areaBytes-256)
	base, off := address(p.area), 128
	var mem []byte
	switch ptr {
	case ptrNull:
		p.hashFrom, p.hashTo = 0, 0
		return 0, nil
	case ptrKernel:
		p.hashFrom, p.hashTo = 0, 0
		return kernelAddress, nil
	case ptrHole:
		p.hashFrom, p.hashTo = 0, 0
		return base + areaBytes, nil
	case ptrEdge:
		off = areaBytes - size
	case ptrCross:
		off = areaBytes - size + max(1, min(4, size/2))
	}
	end := min(off+size, areaBytes)
	mem = p.area[off:end]
	p.hashFrom, p.hashTo = off-guard, min(end+guard, areaBytes)
	fill(p.area[p.hashFrom:p.hashTo])
	if ptr == ptrRO {
		base = address(p.readOnly)
	}
	return base + uintptr(off), mem
}

func fill(b []byte) {
	for i := range b {
		b[i] = fillByte
	}
}

// left is a sum over the argument as it is now, with what is around it.
func (p *proc) left() uint64 { return sum(p.area[p.hashFrom:p.hashTo]) }

// sum is FNV-1a, by words where there are any.
func sum(b []byte) uint64 {
	h := uint64(14695981039346656037)
	for len(b) >= 8 {
		w := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
			uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		h = (h ^ w) * 1099511628211
		b = b[8:]
	}
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}
