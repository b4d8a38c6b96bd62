package fuzz

import "golang.org/x/sys/unix"

func (g *generator) genDup() {
	i := g.pick(g.Rand, func(fd *modelFD) bool { return g.mine(fd) && !fd.closed })
	if g.chance(8) {
		i = g.pick(g.Rand, func(fd *modelFD) bool { return g.mine(fd) && fd.closed })
	}
	op := Op{Kind: KindDup, Sub: uint8(g.IntN(5)), Ref: g.id(i), Ref2: -1}
	switch op.Sub {
	case dupTwo, dupThree:
		op.A[0] = uint64(oneOf(g, 3+g.IntN(40), 3+g.IntN(12), fileLimit, -1))
		if op.Sub == dupThree {
			op.A[1] = oneOf[uint64](g, 0, unix.O_CLOEXEC, unix.O_CLOEXEC, 1)
		}
		if k := g.pick(g.Rand, func(fd *modelFD) bool { return g.mine(fd) && !fd.closed }); k >= 0 && k != i && g.chance(30) {
			op.Ref2 = g.id(k)
			if i >= 0 && op.A[1] != 1 {
				g.close(k)
			}
		}
	case dupFD, dupFDCloexec:
		op.A[0] = oneOf[uint64](g, 0, 0, 3, g.Uint64N(60), fileLimit-1, fileLimit, 1<<31)
	}
	id := g.add(op)
	if i >= 0 && !g.fds[i].closed && op.A[1] != 1 && (op.A[0] < fileLimit || op.Ref2 >= 0) {
		fd := g.fds[i]
		fd.id = id
		g.model.add(fd)
	}
}

func (g *generator) genClose() {
	// A few nodes and buffers stay, so that there is something to work with.
	i := g.pick(g.Rand, func(fd *modelFD) bool { return g.mine(fd) && !fd.closed })
	if g.chance(10) {
		i = g.pick(g.Rand, func(fd *modelFD) bool { return g.mine(fd) && fd.closed })
	}
	g.add(Op{Kind: KindClose, Ref: g.id(i), Ref2: -1})
	if i >= 0 {
		g.close(i)
	}
}

func (g *generator) genMap() {
	if i := g.pickMap(); i >= 0 && g.chance(22) {
		if g.chance(65) {
			g.add(Op{Kind: KindMap, Sub: mapProtect, Ref: g.maps[i].id, Ref2: -1, A: [5]uint64{2: oneOf[uint64](g, 0, 1, 3, 3, 2)}})
			return
		}
		g.add(Op{Kind: KindMap, Sub: mapRemap, Ref: g.maps[i].id, Ref2: -1, A: [5]uint64{1 + g.Uint64N(4)}})
		return
	}
	if g.chance(8) {
		g.protectReadOnly()
		return
	}
	i := g.buffer()
	if i >= 0 && g.fds[i].access != unix.O_RDWR {
		i = g.buffer() // what can be mapped for reading and writing is worth more
	}
	if i < 0 || g.chance(12) {
		g.add(Op{Kind: KindMap, Ref: g.any(0, 60, 10), Ref2: -1,
			A: [5]uint64{pageSize, 0, oneOf[uint64](g, 1, 2, 3), oneOf[uint64](g, unix.MAP_SHARED, unix.MAP_SHARED, unix.MAP_PRIVATE)}})
		return
	}
	fd := g.fds[i]
	size := max(fd.size, pageSize)
	length, offset := size, uint64(0)
	if g.chance(25) {
		offset = g.Uint64N(size/pageSize) * pageSize
		length = 1 + g.Uint64N(size-offset)
	}
	prot, flags := g.protFor(fd.access), uint64(unix.MAP_SHARED)
	good := true
	if g.chance(35) {
		good = false
		switch g.IntN(11) {
		case 0:
			length = oneOf[uint64](g, size+1, size+pageSize, 2*size+pageSize)
		case 1:
			offset = size + g.Uint64N(4)*pageSize
		case 2:
			length = 0
		case 3, 10:
			offset = 1 + g.Uint64N(pageSize-1)
		case 4, 8, 9:
			flags = unix.MAP_PRIVATE
		case 5:
			length, flags, offset = pageSize, unix.MAP_PRIVATE, 0
		case 6:
			flags = oneOf[uint64](g, 0, unix.MAP_SHARED_VALIDATE, unix.MAP_SHARED|unix.MAP_POPULATE, unix.MAP_SHARED|unix.MAP_NORESERVE)
		default:
			prot = oneOf[uint64](g, 1, 2, 3, 0, 5)
		}
	}
	id := g.add(Op{Kind: KindMap, Ref: fd.id, Ref2: -1, A: [5]uint64{length, offset, prot, flags}})
	if readable := fd.access == unix.O_RDWR || fd.access == unix.O_RDONLY && prot&2 == 0; good && readable {
		g.maps = append(g.maps, modelMap{id: id, helper: g.who == whoHelper, length: (length + pageSize - 1) &^ (pageSize - 1), prot: prot})
	}
}

// goodMap maps a buffer for reading and writing, whole; one is allocated first if there is none.
func (g *generator) goodMap() {
	i := g.pick(g.Rand, func(fd *modelFD) bool {
		return g.mine(fd) && !fd.closed && fd.target == targetBuffer && fd.access == unix.O_RDWR && fd.size > 0
	})
	if i < 0 && g.who == whoHelper {
		g.genMap()
		return
	}
	if i < 0 {
		op := g.goodAlloc()
		op.A[allocFD] = (unix.O_RDWR | unix.O_CLOEXEC) << 32
		g.alloc(op)
		return
	}
	fd := g.fds[i]
	prot := uint64(unix.PROT_READ | unix.PROT_WRITE)
	id := g.add(Op{Kind: KindMap, Ref: fd.id, Ref2: -1, A: [5]uint64{fd.size, 0, prot, unix.MAP_SHARED}})
	g.maps = append(g.maps, modelMap{id: id, helper: g.who == whoHelper, length: fd.size, prot: prot})
}

// protectReadOnly asks for writing where the descriptor was for reading only.
func (g *generator) protectReadOnly() {
	i := g.pick(g.Rand, func(fd *modelFD) bool {
		return g.mine(fd) && !fd.closed && fd.target == targetBuffer && fd.access == unix.O_RDONLY && fd.size > 0
	})
	if i < 0 {
		g.goodMap()
		return
	}
	id := g.add(Op{Kind: KindMap, Ref: g.fds[i].id, Ref2: -1, A: [5]uint64{g.fds[i].size, 0, unix.PROT_READ, unix.MAP_SHARED}})
	g.add(Op{Kind: KindMap, Sub: mapProtect, Ref: id, Ref2: -1, A: [5]uint64{2: unix.PROT_READ | unix.PROT_WRITE}})
	g.maps = append(g.maps, modelMap{id: id, helper: g.who == whoHelper, length: g.fds[i].size, prot: unix.PROT_READ})
}

// protFor is what a descriptor of this access mode can be mapped with, mostly.
func (g *generator) protFor(access uint8) uint64 {
	if access == unix.O_RDWR {
		return oneOf[uint64](g, unix.PROT_READ|unix.PROT_WRITE, unix.PROT_READ|unix.PROT_WRITE, unix.PROT_READ|unix.PROT_WRITE, unix.PROT_READ, unix.PROT_WRITE)
	}
	return oneOf[uint64](g, unix.PROT_READ, unix.PROT_READ, unix.PROT_READ|unix.PROT_WRITE)
}

// pickMap is a mapping of whoever acts now. Like descriptors, a child has those of its parent.
func (g *generator) pickMap() int {
	var found []int
	for i := range g.maps {
		if g.maps[i].length > 0 && g.maps[i].helper == (g.who == whoHelper) {
			found = append(found, i)
		}
	}
	if len(found) == 0 {
		return -1
	}
	return found[g.IntN(len(found))]
}

func (g *generator) genUnmap() {
	i := g.pickMap()
	if i < 0 {
		g.goodMap()
		return
	}
	m := &g.maps[i]
	op := Op{Kind: KindUnmap, Sub: oneOf[uint8](g, unmapAll, unmapAll, unmapHead, unmapTail), Ref: m.id, Ref2: -1, A: [5]uint64{1 + g.Uint64N(m.length/pageSize)}}
	g.add(op)
	if op.Sub == unmapAll {
		m.length = 0
	} else {
		m.length -= min(m.length, op.A[0]*pageSize)
	}
}

func (g *generator) genTouch() {
	i := g.pickMap()
	if i < 0 {
		g.goodMap()
		return
	}
	m := g.maps[i]
	op := Op{Kind: KindTouch, Ref: m.id, Ref2: -1, A: [5]uint64{g.Uint64N(m.length), 1 + g.Uint64N(oneOf[uint64](g, 64, pageSize, 3*pageSize)), g.Uint64()}}
	switch g.IntN(20) {
	case 0, 1, 2, 3, 4, 5, 6, 7, 8:
		op.Sub = touchWrite
	case 9, 10, 11, 12, 13, 14:
		op.Sub = touchRead
	default:
		op.Sub = touchAll
	}
	g.add(op)
}

func (g *generator) genSeek() {
	op := Op{Kind: KindSeek, Ref: g.any(72, 15, 6), Ref2: -1, A: [5]uint64{0, oneOf[uint64](g, unix.SEEK_SET, unix.SEEK_END, unix.SEEK_END)}}
	if g.chance(35) {
		op.A = [5]uint64{oneOf[uint64](g, 0, 1, pageSize, ^uint64(0)), oneOf[uint64](g, unix.SEEK_SET, unix.SEEK_CUR, unix.SEEK_END, unix.SEEK_DATA, unix.SEEK_HOLE, 77)}
	}
	g.add(op)
}

func (g *generator) genPoll() {
	op := Op{Kind: KindPoll, Sub: pollPoll, Ref: g.any(60, 15, 15), Ref2: -1, A: [5]uint64{oneOf[uint64](g, 1, 4, 5, 5, 2, 0)}}
	if g.chance(25) {
		op.Sub = pollEpoll
	}
	g.add(op)
}

func (g *generator) genForeign() {
	op := Op{Kind: KindForeign, Ref: g.any(45, 40, 10), Ref2: -1, Ptr: g.ptr(25)}
	op.A[0] = oneOf(g, foreignCommands[:]...)
	if g.chance(20) {
		op.A[0] = command(g.Uint64N(4), g.Uint64N(256), 1+g.Uint64N(255), g.Uint64N(300))
		if cmdType(op.A[0]) <= 'f' && cmdType(op.A[0]) != 'H' && cmdType(op.A[0]) != 'b' || cmdType(op.A[0]) == 'X' {
			op.A[0] |= 0x80 << 8 // low types are the VFS's and the file systems' own
		}
	}
	if g.chance(30) {
		op.A[1] = pageSize
	}
	g.add(op)
}

func (g *generator) genFile() {
	op := Op{Kind: KindFile, Sub: uint8(g.IntN(fileReopen + 1)), Ref: g.any(65, 25, 7), Ref2: -1, A: [5]uint64{oneOf[uint64](g, 0, 1, 8, 4096)}}
	if op.Sub == fileReopen {
		op.A[0] = uint64(g.IntN(3))
	}
	g.add(op)
}

func (g *generator) genFcntl() {
	op := Op{Kind: KindFcntl, Sub: uint8(g.IntN(4)), Ref: g.any(60, 20, 10), Ref2: -1}
	switch op.Sub {
	case fcntlSetFD:
		op.A[0] = uint64(g.IntN(2))
	case fcntlSetFL:
		op.A[0] = oneOf[uint64](g, 0, unix.O_NONBLOCK, unix.O_APPEND, unix.O_NONBLOCK|unix.O_NOATIME)
	}
	g.add(op)
}

// maxSlow bounds what costs a process in a sequence.
const maxSlow = 4

func (g *generator) genFork() {
	if g.who != whoMain {
		g.genTouch()
		return
	}
	if g.chance(6) && g.slow < maxSlow {
		g.slow++
		g.add(Op{Kind: KindFork, Sub: forkExec, Ref: -1, Ref2: -1})
		return
	}
	g.add(Op{Kind: KindFork, Sub: forkRun, Ref: -1, Ref2: -1})
	g.saved = g.model
	g.saved.fds = append([]modelFD(nil), g.fds...)
	g.saved.maps = append([]modelMap(nil), g.maps...)
	g.who, g.child = whoChild, 2+g.IntN(3)
}

func (g *generator) genPass() {
	if g.who == whoChild {
		g.genDup() // a child has no helper
		return
	}
	g.who = whoMain
	flags := [5]uint64{uint64(g.IntN(2))}
	if k := g.pick(g.Rand, func(fd *modelFD) bool { return fd.helper && !fd.closed }); k >= 0 && g.chance(35) {
		id := g.add(Op{Kind: KindPass, Sub: passTake, Ref: g.fds[k].id, Ref2: -1, A: flags})
		fd := g.fds[k]
		fd.id, fd.helper = id, false
		g.model.add(fd)
		return
	}
	i := g.pick(g.Rand, func(fd *modelFD) bool { return !fd.helper && fd.closed == g.chance(6) && fd.target != targetOther })
	if i >= 0 && g.chance(40) {
		id := g.add(Op{Kind: KindPass, Sub: passFlight, Ref: g.fds[i].id, Ref2: -1, A: flags})
		fd := g.fds[i]
		g.close(i)
		fd.id = id
		if !fd.closed {
			g.model.add(fd)
		}
		return
	}
	id := g.add(Op{Kind: KindPass, Sub: passGive, Ref: g.id(i), Ref2: -1})
	g.helper = true
	if i >= 0 && !g.fds[i].closed {
		fd := g.fds[i]
		fd.id, fd.helper = id, true
		g.model.add(fd)
	}
}

func (g *generator) genLimit() {
	if g.who != whoMain || g.room >= 0 {
		g.genOpen()
		return
	}
	room := g.IntN(3)
	g.add(Op{Kind: KindLimit, Ref: -1, Ref2: -1, A: [5]uint64{uint64(room)}})
	g.room, g.pressed = room, 3+g.IntN(4)
}
