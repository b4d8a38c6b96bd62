package fuzz

import "golang.org/x/sys/unix"

func (p *proc) doMap(op *Op, r *Result) {
	if op.Sub != mapMap {
		p.doRemap(op, r)
		return
	}
	fd := p.fd(op.Ref, r)
	of := p.of(op.Ref)
	length, offset, prot, flags := op.A[0], op.A[1], op.A[2], op.A[3]
	addr := call(unix.SYS_MMAP, 0, uintptr(length), uintptr(prot), uintptr(flags), uintptr(fd), uintptr(offset))
	r.V[0], r.V[1] = of.size, uint64(of.access)
	length = (length + pageSize - 1) &^ (pageSize - 1)
	r.Code = min(addr, 0)
	// What one side may refuse and the other not is undone at once, lest what follows differs.
	trial := of.target != targetBuffer || offset+length > of.size || flags&unix.MAP_TYPE == unix.MAP_PRIVATE ||
		of.access&1 != 0 || of.access == unix.O_RDONLY && prot&unix.PROT_WRITE != 0
	if trial {
		r.Target |= targetTrial
	}
	if addr < 0 {
		return
	}
	if trial {
		call(unix.SYS_MUNMAP, uintptr(addr), uintptr(length), 0, 0, 0, 0)
		return
	}
	p.maps[op.ID] = mapping{addr: uintptr(addr), length: uintptr(length), prot: uintptr(prot), frozen: of.access == unix.O_RDONLY}
}

// doRemap changes a mapping.
func (p *proc) doRemap(op *Op, r *Result) {
	m := p.mapping(op.Ref)
	if m == nil {
		r.Code = codeSkipped
		return
	}
	if op.Sub == mapProtect {
		r.Code = call(unix.SYS_MPROTECT, m.addr, m.length, uintptr(op.A[2]), 0, 0, 0)
		switch {
		case r.Code != 0:
		case m.frozen && op.A[2]&unix.PROT_WRITE != 0:
			call(unix.SYS_MPROTECT, m.addr, m.length, m.prot, 0, 0, 0)
		default:
			m.prot = uintptr(op.A[2])
		}
		return
	}
	more := m.length + uintptr(op.A[0])*pageSize
	addr := call(unix.SYS_MREMAP, m.addr, m.length, more, unix.MREMAP_MAYMOVE, 0, 0)
	r.Code = min(addr, 0)
	r.Target |= targetTrial
	if addr >= 0 { // back to what it was
		m.addr = uintptr(addr)
		call(unix.SYS_MUNMAP, m.addr+m.length, more-m.length, 0, 0, 0, 0)
	}
}

func (p *proc) mapping(ref int16) *mapping {
	if ref < 0 || int(ref) >= maxOps || p.maps[ref].length == 0 {
		return nil
	}
	return &p.maps[ref]
}

func (p *proc) doUnmap(op *Op, r *Result) {
	m := p.mapping(op.Ref)
	if m == nil {
		r.Code = codeSkipped
		return
	}
	n := m.length
	if op.Sub != unmapAll {
		n = min(n, uintptr(op.A[0])*pageSize)
	}
	from := m.addr
	if op.Sub == unmapTail {
		from += m.length - n
	}
	r.Code = call(unix.SYS_MUNMAP, from, n, 0, 0, 0, 0)
	if r.Code != 0 {
		return
	}
	if op.Sub == unmapHead {
		m.addr += n
	}
	m.length -= n
	r.V[0] = uint64(m.length)
}

// doTouch reads or writes a mapping through a pipe: the kernel does the access as this process would, and a page that can't be
// accessed is an errno and no signal.
func (p *proc) doTouch(op *Op, r *Result) {
	m := p.mapping(op.Ref)
	if m == nil {
		r.Code = codeSkipped
		return
	}
	if op.Sub == touchAll {
		p.touchWhole(m, r)
		return
	}
	off := uintptr(op.A[0]) % m.length
	n := min(uintptr(op.A[1]), m.length-off, scratchLen)
	b := p.scratch[:n]
	if op.Sub == touchRead {
		r.Code = p.readMapping(m.addr+off, b)
		if r.Code > 0 {
			r.V[0] = sum(b[:r.Code])
		}
		return
	}
	pattern(b, op.A[2])
	if w := write(p.pipeW, address(b), n); w < 0 {
		r.Code = w
		return
	}
	r.Code = read(p.pipeR, m.addr+off, n)
	if r.Code < int64(n) {
		p.drain()
	}
}

// pattern fills b with bytes that tell seed and place.
func pattern(b []byte, seed uint64) {
	x := seed*2862933555777941757 + 3037000493
	for i := range b {
		if i%8 == 0 {
			x = x*6364136223846793005 + 1442695040888963407
		}
		b[i] = byte(x >> (8 * (i % 8)))
	}
}

func (p *proc) readMapping(addr uintptr, b []byte) int64 {
	n := write(p.pipeW, addr, uintptr(len(b)))
	if n <= 0 {
		return n
	}
	got := read(p.pipeR, address(b), uintptr(n))
	p.drain()
	return got
}

func (p *proc) drain() {
	for read(p.pipeR, address(p.scratch)+scratchLen/2, scratchLen/2) > 0 {
	}
}

// wholeBytes is how much of either end of a large mapping is looked at.
const wholeBytes = 128 << 10

func (p *proc) touchWhole(m *mapping, r *Result) {
	const step = scratchLen / 2
	h := uint64(0)
	for off := uintptr(0); off < m.length; off += step {
		if off >= wholeBytes && off+wholeBytes < m.length {
			continue
		}
		b := p.scratch[:min(step, m.length-off)]
		n := p.readMapping(m.addr+off, b)
		if n < 0 {
			r.Code = n
			return
		}
		r.Code += n
		h = h*31 + sum(b[:n])
	}
	r.V[0] = h
}
