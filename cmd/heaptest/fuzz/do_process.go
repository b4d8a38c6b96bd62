package fuzz

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// fork executes what belongs to the child of operation i in that child, and returns where to go on.
func (p *proc) fork(i int) int {
	op := &p.ops[i]
	end := i + 1
	for end < p.n && p.ops[end].Who == whoChild {
		p.answer(end, &Result{Code: codeSkipped, FD: -1})
		end++
	}
	r := Result{FD: -1}
	if op.Sub == forkExec {
		end = i + 1
	}
	pid := forkRaw()
	if pid == 0 {
		p.isChild = true
		if op.Sub == forkExec {
			p.execute()
		}
		for k := i + 1; k < end; k++ {
			p.do(k)
		}
		exit(0)
	}
	if pid < 0 {
		r.Code = pid
	} else if r.Code = wait(pid); op.Sub == forkExec {
		p.survivors(&r)
	}
	p.answer(i, &r)
	return end
}

// survivorsFD is where the new program writes what descriptors it has.
const survivorsFD = 950

func (p *proc) execute() {
	setFileLimit(1 << 20)
	if call(unix.SYS_DUP3, uintptr(p.pipeW), survivorsFD, 0, 0, 0, 0) < 0 {
		exit(3)
	}
	execve(p.execPath, p.execArgs, p.execEnv)
	exit(4)
}

// survivorsMain is the program that forkExec starts: which of the descriptors it may have has it got?
func survivorsMain() int {
	report := make([]byte, survivorsBytes)
	for n := range int32(fileLimit) {
		if !isOpen(n) {
			continue
		}
		report[n/8] |= 1 << (n % 8)
		if fstat(n) == 0 && n > 2 && statBuf.Mode&unix.S_IFMT != unix.S_IFDIR {
			size := report[fileLimit/8:]
			binary.LittleEndian.PutUint64(size, binary.LittleEndian.Uint64(size)*31+uint64(statBuf.Size))
		}
	}
	if write(survivorsFD, address(report), uintptr(len(report))) != int64(len(report)) {
		return 1
	}
	return 0
}

const survivorsBytes = fileLimit/8 + 8

func (p *proc) survivors(r *Result) {
	b := p.scratch[:survivorsBytes]
	if n := read(p.pipeR, address(b), survivorsBytes); n != survivorsBytes {
		r.V[3] = 1
		return
	}
	r.V[0] = binary.LittleEndian.Uint64(b)
	r.V[1] = sum(b[8 : fileLimit/8])
	r.V[2] = binary.LittleEndian.Uint64(b[fileLimit/8:])
	p.drain()
}

// pass moves a descriptor between processes.
func (p *proc) pass(i int) {
	op := &p.ops[i]
	r := Result{FD: -1}
	flags := 0
	if op.A[0] != 0 {
		flags = unix.MSG_CMSG_CLOEXEC
	}
	switch op.Sub {
	case passGive:
		p.give(i, &r)
		return
	case passTake:
		p.take(op, &r, flags)
	case passFlight:
		fd := p.fd(op.Ref, &r)
		as := p.of(op.Ref)
		if r.Code = send(p.flightA, note{}, fd, true); r.Code < 0 {
			break
		}
		closeFD(fd) // from here on only the message holds it
		p.closed(fd)
		r.Code = 0
		_, num, code := receive(p.flightB, flags)
		p.received(op, &r, num, code, as)
	}
	p.answer(i, &r)
}

// received enters the descriptor of a message, if there was room for it.
func (p *proc) received(op *Op, r *Result, num int32, code int64, as register) {
	if code < 0 {
		r.Code = code
		return
	}
	if r.FD = num; num >= 0 {
		p.opened(op.ID, num, as)
		r.V[0] = flagFD(num)
	}
}

// give has the helper take a descriptor; the answer is the helper's.
func (p *proc) give(i int, r *Result) {
	op := &p.ops[i]
	fd := p.fd(op.Ref, r)
	if r.Code = p.startHelper(); r.Code < 0 {
		p.answer(i, r)
		return
	}
	as := p.of(op.Ref)
	if r.Code = send(p.toHelper, note{op: int32(i), target: int32(as.target) | int32(as.access)<<8, size: as.size}, fd, true); r.Code < 0 {
		p.answer(i, r)
		return
	}
	p.reply()
}

func (p *proc) take(op *Op, r *Result, flags int) {
	if p.helper == 0 {
		r.Code = codeSkipped
		return
	}
	send(p.toHelper, note{op: int32(p.index(op))}, 0, false)
	n, num, code := receive(p.toHelper, flags)
	if n.op < 0 {
		r.Code = int64(n.op)
		return
	}
	r.Target = uint8(n.target)
	p.received(op, r, num, code, register{target: uint8(n.target), access: uint8(n.target >> 8), size: n.size})
}

// index of an operation in what is executed now.
func (p *proc) index(op *Op) int {
	for i := range p.n {
		if &p.ops[i] == op {
			return i
		}
	}
	return 0
}

// ask has the helper execute operation i.
func (p *proc) ask(i int) {
	if p.helper == 0 {
		p.answer(i, &Result{Code: codeSkipped, FD: -1})
		return
	}
	send(p.toHelper, note{op: int32(i)}, 0, false)
	p.reply()
}

// reply waits until the helper has written its answer.
func (p *proc) reply() { receive(p.toHelper, 0) }

// noteQuit ends the helper.
const noteQuit = -1

func (p *proc) startHelper() int64 {
	if p.helper != 0 {
		return 0
	}
	pid := forkRaw()
	if pid != 0 {
		if pid > 0 {
			p.helper = pid
			return 0
		}
		return pid
	}
	p.isChild = true
	p.cleanUp()
	setFileLimit(fileLimit)
	p.help()
	exit(0)
	return 0
}

// help is the helper's life.
func (p *proc) help() {
	for {
		n, num, code := receive(p.toMain, 0)
		if code <= 0 || n.op == noteQuit {
			return
		}
		op := &p.ops[n.op]
		answer := note{}
		fd := int32(-1)
		switch {
		case op.Kind == KindPass && op.Sub == passGive:
			r := Result{FD: -1, Target: uint8(n.target)}
			p.received(op, &r, num, code, register{target: uint8(n.target), access: uint8(n.target >> 8), size: n.size})
			p.answer(int(n.op), &r)
		case op.Kind == KindPass:
			var r Result
			of := p.of(op.Ref)
			answer = note{target: int32(of.target) | int32(of.access)<<8, size: of.size}
			if fd = p.fd(op.Ref, &r); fd < 0 || !isOpen(fd) {
				answer.op, fd = -int32(unix.EBADF), -1
			}
		default:
			p.do(int(n.op))
		}
		send(p.toMain, answer, fd, fd >= 0)
	}
}

func (p *proc) stopHelper() {
	if p.helper == 0 {
		return
	}
	send(p.toHelper, note{op: noteQuit}, 0, false)
	wait(p.helper)
	p.helper = 0
}

// cleanUp closes and unmaps all that the sequence has made.
func (p *proc) cleanUp() {
	for i := range p.regs {
		if p.regs[i].state == regOpen {
			closeFD(p.regs[i].num)
			p.open[p.regs[i].num] = false
		}
		p.regs[i] = register{}
		if m := &p.maps[i]; m.length != 0 {
			call(unix.SYS_MUNMAP, m.addr, m.length, 0, 0, 0, 0)
			*m = mapping{}
		}
	}
}

func (p *proc) doEnd(op *Op, r *Result) {
	if op.Sub == endPool {
		p.doPool(op, r)
		return
	}
	p.stopHelper()
	r.Code = setFileLimit(fileLimit)
	p.cleanUp()
	for n := int32(3); n < fileLimit; n++ {
		if isOpen(n) {
			r.V[n/64] |= 1 << (n % 64)
			closeFD(n)
		}
		p.open[n] = false
	}
}

// doPool allocates as much as there should be when nothing else is held.
func (p *proc) doPool(op *Op, r *Result) {
	open := Op{ID: maxOps - 1, Kind: KindOpen, A: [5]uint64{unix.O_RDONLY | unix.O_CLOEXEC}}
	var opened Result
	p.doOpen(&open, &opened)
	if opened.FD < 0 {
		r.Code = opened.Code
		return
	}
	alloc := Op{ID: maxOps - 2, Kind: KindAlloc, Ref: maxOps - 1, A: [5]uint64{op.A[0], (unix.O_RDWR | unix.O_CLOEXEC) << 32, 0, cmdAlloc}}
	p.doAlloc(&alloc, r)
	p.cleanUp()
}
