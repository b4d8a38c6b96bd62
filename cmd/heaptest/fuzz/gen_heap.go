package fuzz

import "golang.org/x/sys/unix"

func (g *generator) open(flags uint64) {
	id := g.add(Op{Kind: KindOpen, Sub: openNode, Ref: -1, Ref2: -1, A: [5]uint64{flags}})
	target := uint8(targetNode)
	if flags&unix.O_PATH != 0 {
		target = targetOther
	}
	if flags&(unix.O_DIRECTORY|unix.O_EXCL) == 0 {
		g.model.add(modelFD{id: id, target: target, access: uint8(flags & 3), helper: g.who == whoHelper})
	}
}

func (g *generator) genOpen() {
	flags := oneOf[uint64](g, unix.O_RDONLY, unix.O_WRONLY, unix.O_RDWR, unix.O_RDWR) | oneOf[uint64](g, 0, unix.O_CLOEXEC)
	if g.chance(30) {
		id := g.add(Op{Kind: KindOpen, Sub: openOther, Ref: -1, Ref2: -1, A: [5]uint64{flags &^ 3, uint64(g.IntN(len(otherPaths)))}})
		g.model.add(modelFD{id: id, target: targetOther, helper: g.who == whoHelper})
		return
	}
	if g.chance(20) {
		flags |= oneOf[uint64](g, unix.O_DIRECTORY, unix.O_PATH, unix.O_CREAT|unix.O_EXCL, unix.O_TRUNC, unix.O_NONBLOCK, unix.O_APPEND, unix.O_NOFOLLOW,
			unix.O_CREAT, unix.O_NOCTTY, unix.O_SYNC)
	}
	g.open(flags)
}

// length of a buffer. Programs ask for the same size again and again, so the last one is the likeliest.
func (g *generator) length() uint64 {
	var n uint64
	switch r := g.IntN(100); {
	case r < 40 && g.lastLen != 0:
		n = g.lastLen
	case r < 75:
		n = 1 + g.Uint64N(6*pageSize)
	case r < 90:
		n = uint64(1+g.IntN(20)) * pageSize
	case r < 97:
		n = 1 + g.Uint64N(300<<10)
	default:
		n = 1 + g.Uint64N(5<<18)
	}
	if g.live+n > liveBytes {
		n = 1 + g.Uint64N(pageSize)
	}
	g.live += (n + pageSize - 1) &^ (pageSize - 1)
	g.lastLen = n
	return n
}

func (g *generator) goodAlloc() Op {
	access := oneOf[uint64](g, unix.O_RDWR, unix.O_RDWR, unix.O_RDWR, unix.O_RDWR, unix.O_RDONLY, unix.O_RDONLY, unix.O_WRONLY, unix.O_ACCMODE)
	flags := access | oneOf[uint64](g, 0, unix.O_CLOEXEC, unix.O_CLOEXEC)
	return Op{Kind: KindAlloc, Ref: g.id(g.node()), Ref2: -1, Ptr: oneOf[uint8](g, ptrGood, ptrGood, ptrGood, ptrEdge),
		A: [5]uint64{allocLen: g.length(), allocFD: flags << 32, allocCmd: cmdAlloc}}
}

// alloc adds an ALLOC that should succeed.
func (g *generator) alloc(op Op) {
	size := (op.A[allocLen] + pageSize - 1) &^ (pageSize - 1)
	id := g.add(op)
	if op.Ref >= 0 {
		access := uint8(0)
		if cmdSize(op.A[allocCmd]) >= 16 {
			access = uint8(op.A[allocFD] >> 32 & 3)
		}
		g.model.add(modelFD{id: id, target: targetBuffer, access: access, helper: g.who == whoHelper, size: size})
	}
}

func (g *generator) genAlloc() {
	op := g.goodAlloc()
	switch {
	case g.chance(48):
	case g.chance(35): // another struct or command that is as good
		op.A[allocCmd] = g.allocCommand()
		if g.chance(20) {
			op.A[allocCmd] |= 0xffffffff << 32 // as musl passes it
		}
		if cmdIn(op.A[allocCmd]) < 8 {
			g.add(op) // length 0
			return
		}
	default:
		for range 1 + g.IntN(10)/7 {
			g.spoil(&op)
		}
		g.add(op)
		return
	}
	g.alloc(op)
}

func (g *generator) allocCommand() uint64 {
	size := oneOf[uint64](g, 8, 12, 16, 20, 24, 32, 48, 128, 200, 4096, 16383-256)
	if g.chance(15) {
		return command(oneOf[uint64](g, 0, dirRead, dirWrite, dirWrite), 'H', 0, size)
	}
	return command(dirRead|dirWrite, 'H', 0, size)
}

// spoil makes an ALLOC one that should be refused.
func (g *generator) spoil(op *Op) {
	switch g.IntN(11) {
	case 0, 1:
		op.A[allocFD] |= oneOf[uint64](g, 1, 3, 0x7fffffff, 0xffffffff)
	case 2, 3:
		op.A[allocFD] |= oneOf[uint64](g, unix.O_NONBLOCK, unix.O_CREAT, 1<<31, unix.O_APPEND, 4, unix.O_LARGEFILE|unix.O_SYNC|8) << 32
	case 4:
		op.A[allocHeapFlags] |= oneOf[uint64](g, 1, 2, 1<<31, 1<<63)
	case 5:
		op.A[allocLen] = 0
	case 6:
		op.A[allocLen] = ^uint64(0) - uint64(g.IntN(pageSize-1)) // wraps to 0
	case 7:
		op.Ptr = oneOf[uint8](g, ptrCross, ptrNull, ptrKernel, ptrHole)
	case 8:
		op.Ptr = ptrRO
	case 9:
		op.Ref = g.any(40, 0, 25)
	case 10:
		op.A[allocCmd] = command(dirRead|dirWrite, 'H', 1+g.Uint64N(255), 24)
	}
}

func (g *generator) genSync() {
	op := Op{Kind: KindSync, Ref: g.any(86, 6, 3), Ref2: -1, Ptr: g.ptr(15), A: [5]uint64{g.Uint64N(8), cmdSync}}
	switch g.IntN(10) {
	case 0:
		op.A[0] = oneOf[uint64](g, 8, 9, 1<<32, 1<<63|1, 0x10000003)
	case 1:
		op.A[0] = oneOf[uint64](g, 0, 4)
	case 2:
		op.A[1] = oneOf(g, command(dirWrite, 'b', 0, 4), command(dirRead|dirWrite, 'b', 0, 8), command(0, 'b', 0, 0), cmdSync|0xffffffff<<32)
	}
	id := g.add(op)
	// To a heap it is an ALLOC.
	if i := g.byID(op.Ref); i >= 0 && g.fds[i].target == targetNode && cmdIn(op.A[1]) >= 8 && op.A[0] != 0 && op.A[0] < liveBytes {
		g.model.add(modelFD{id: id, target: targetBuffer, helper: g.who == whoHelper, size: pageSize})
	}
}

func (g *generator) byID(id int16) int {
	for i := range g.fds {
		if g.fds[i].id == id {
			return i
		}
	}
	return -1
}

func (g *generator) genName() {
	letters := uint64(g.IntN(nameLen))
	if g.chance(25) {
		letters = oneOf[uint64](g, nameLen-1, nameLen, nameLen+1, 100)
	}
	g.add(Op{Kind: KindName, Ref: g.any(86, 6, 3), Ref2: -1, Ptr: g.ptr(25),
		A: [5]uint64{letters, g.Uint64N(26), oneOf[uint64](g, cmdNameA, cmdNameB, cmdNameB)}})
}

func (g *generator) genSyncFile() {
	if i := g.find(targetSync); i >= 0 && g.chance(70) {
		g.genOnSyncFile(i)
		return
	}
	if g.chance(35) {
		op := Op{Kind: KindSyncFile, Sub: syncImport, Ref: g.any(90, 3, 4), Ref2: g.id(g.find(targetSync)), Ptr: g.ptr(25), A: [5]uint64{1 + g.Uint64N(3)}}
		if g.chance(30) {
			op.Ref2 = g.any(30, 30, 0)
		}
		if g.chance(20) {
			op.A[0] = oneOf[uint64](g, 0, 4, 7, 1<<31)
		}
		g.add(op)
		return
	}
	op := Op{Kind: KindSyncFile, Sub: syncExport, Ref: g.any(85, 9, 3), Ref2: -1, Ptr: g.ptr(10), A: [5]uint64{1 + g.Uint64N(3), oneOf[uint64](g, 0, 0xffffffff)}}
	if g.chance(15) {
		op.A[0] = oneOf[uint64](g, 0, 4, 7, 1<<31)
	}
	id := g.add(op)
	if i := g.byID(op.Ref); op.A[0] < 4 && op.A[0] > 0 && op.Ptr <= ptrEdge && i >= 0 && g.fds[i].target == targetBuffer && !g.fds[i].closed {
		g.model.add(modelFD{id: id, target: targetSync, helper: g.who == whoHelper})
	}
}

// genOnSyncFile does something with sync file i.
func (g *generator) genOnSyncFile(i int) {
	op := Op{Kind: KindSyncFile, Ref: g.id(i), Ref2: -1, Ptr: g.ptr(30)}
	bad := func(v uint64) uint64 {
		if g.chance(30) {
			return v
		}
		return 0
	}
	switch g.IntN(7) {
	case 0, 1:
		op.Sub = syncInfo
		op.A = [5]uint64{bad(1), uint64(g.IntN(3)), bad(1 << 31), bad(1)}
	case 2, 3, 4:
		op.Sub, op.A, op.Ref2 = syncMerge, [5]uint64{bad(1), bad(8)}, g.id(g.find(targetSync))
		if g.chance(50) {
			op.Ref2 = g.any(40, 30, 0)
		} else if op.A[0] == 0 && op.A[1] == 0 && op.Ptr <= ptrEdge {
			g.model.add(modelFD{id: g.add(op), target: targetSync, helper: g.who == whoHelper})
			return
		}
	default:
		op.Sub, op.A = syncDeadline, [5]uint64{g.Uint64(), oneOf[uint64](g, 0, 1)}
	}
	g.add(op)
}
