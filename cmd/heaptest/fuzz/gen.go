package fuzz

import (
	"math/rand/v2"

	"golang.org/x/sys/unix"
)

const (
	// sequenceOps is how many operations a sequence has, its two last ones not counted.
	sequenceOps = 60
	// liveBytes is how much a sequence may ask for in all: less than the pool that it must find whole at its end.
	liveBytes = 3 << 19
	// PoolBytes is what the other side's heap named "system" must be able to give, and no more, for a leak to be seen at once.
	PoolBytes = 2 << 20
)

// weights are the shares of the kinds in thousandths, Fork's without its child's operations.
var weights = [kinds]int{
	KindOpen: 46, KindAlloc: 115, KindDup: 48, KindClose: 52, KindMap: 60, KindUnmap: 66, KindTouch: 86, KindSync: 48, KindName: 46,
	KindSyncFile: 62, KindSeek: 46, KindStat: 46, KindPoll: 44, KindForeign: 46, KindFile: 46, KindFcntl: 44, KindFork: 47, KindPass: 46,
	KindLimit: 42,
}

// generator makes one sequence.
type generator struct {
	*rand.Rand
	model
	ops     []Op
	who     uint8
	child   int // operations that are still the child's
	pressed int // operations until the limit is lifted
	saved   model
}

// Sequence is the operations that a seed and a number stand for. The same two give the same operations for ever: they are how a
// failure is told.
func Sequence(seed, number uint64) []Op {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, number)), model: model{room: -1}}
	g.open(unix.O_RDWR | unix.O_CLOEXEC)
	g.alloc(g.goodAlloc())
	for len(g.ops) < sequenceOps {
		g.step()
	}
	g.endChild()
	g.add(Op{Kind: KindEnd, Sub: endClean})
	g.add(Op{Kind: KindEnd, Sub: endPool, A: [5]uint64{PoolBytes}})
	return g.ops
}

// add appends an operation and returns its index.
func (g *generator) add(op Op) int16 {
	op.ID = int16(len(g.ops))
	if op.Kind != KindEnd {
		op.Who = g.who
	}
	g.ops = append(g.ops, op)
	return op.ID
}

func (g *generator) step() {
	g.turn()
	n := g.IntN(1000)
	if g.room >= 0 && g.who == whoMain && n < 500 {
		g.pressure()
		return
	}
	n = g.IntN(sumOf(weights[:]))
	k := Kind(0)
	for ; n >= weights[k]; k++ {
		n -= weights[k]
	}
	g.one(k)
}

// turn decides whose operation comes next.
func (g *generator) turn() {
	if g.child > 0 {
		if g.child--; g.child == 0 {
			g.endChild()
		}
	}
	if g.who == whoChild {
		return
	}
	if g.pressed > 0 {
		if g.pressed--; g.pressed == 0 {
			g.who = whoMain
			g.add(Op{Kind: KindLimit, A: [5]uint64{fileLimit}})
			g.room = -1
		}
	}
	g.who = whoMain
	if g.helper && g.chance(18) {
		g.who = whoHelper
	}
}

func (g *generator) endChild() {
	if g.who == whoChild {
		g.model = g.saved
		g.who, g.child = whoMain, 0
	}
}

func sumOf(v []int) (n int) {
	for _, x := range v {
		n += x
	}
	return n
}

// chance is true in percent of a hundred cases.
func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

func oneOf[T any](g *generator, v ...T) T { return v[g.IntN(len(v))] }

// pressure asks for descriptors where there is room for few or none.
func (g *generator) pressure() {
	switch g.IntN(8) {
	case 0, 1, 2:
		g.one(KindAlloc)
	case 3, 4:
		g.one(KindSyncFile)
	case 5:
		g.one(KindDup)
	case 6:
		g.one(KindPass)
	default:
		g.one(KindOpen)
	}
}

func (g *generator) one(k Kind) {
	switch k {
	case KindOpen:
		g.genOpen()
	case KindAlloc:
		g.genAlloc()
	case KindDup:
		g.genDup()
	case KindClose:
		g.genClose()
	case KindMap:
		g.genMap()
	case KindUnmap:
		g.genUnmap()
	case KindTouch:
		g.genTouch()
	case KindSync:
		g.genSync()
	case KindName:
		g.genName()
	case KindSyncFile:
		g.genSyncFile()
	case KindSeek:
		g.genSeek()
	case KindStat:
		g.add(Op{Kind: KindStat, Sub: oneOf[uint8](g, statFstat, statFstat, statFstat, statLink, statInfo), Ref: g.any(70, 20, 5)})
	case KindPoll:
		g.genPoll()
	case KindForeign:
		g.genForeign()
	case KindFile:
		g.genFile()
	case KindFcntl:
		g.genFcntl()
	case KindFork:
		g.genFork()
	case KindPass:
		g.genPass()
	case KindLimit:
		g.genLimit()
	}
}

// mine: whoever acts now has it.
func (g *generator) mine(fd *modelFD) bool { return fd.helper == (g.who == whoHelper) }

func (g *generator) find(target uint8) int {
	return g.pick(g.Rand, func(fd *modelFD) bool { return g.mine(fd) && !fd.closed && fd.target == target })
}

// buffer is an open buffer; one is allocated first if there is none. -1 if that can't be.
func (g *generator) buffer() int {
	if i := g.find(targetBuffer); i >= 0 || g.who == whoHelper {
		return i
	}
	g.alloc(g.goodAlloc())
	return g.find(targetBuffer)
}

func (g *generator) node() int {
	if i := g.find(targetNode); i >= 0 || g.who == whoHelper {
		return i
	}
	g.open(unix.O_RDWR | unix.O_CLOEXEC)
	return g.find(targetNode)
}

func (g *generator) id(i int) int16 {
	if i < 0 {
		return -1
	}
	return g.fds[i].id
}

// any is a descriptor: in so many of a hundred cases a buffer, a node, a sync file; else one that is closed, or something else.
func (g *generator) any(buffer, node, syncFile int) int16 {
	n := g.IntN(100)
	switch {
	case n < buffer:
		return g.id(g.buffer())
	case n < buffer+node:
		return g.id(g.node())
	case n < buffer+node+syncFile:
		if i := g.find(targetSync); i >= 0 {
			return g.id(i)
		}
		return g.id(g.buffer())
	default:
		return g.id(g.pick(g.Rand, func(fd *modelFD) bool { return g.mine(fd) && (fd.closed || fd.target == targetOther) }))
	}
}

// ptr is a good place for an argument, or in percent of a hundred cases a bad one.
func (g *generator) ptr(percent int) uint8 {
	if g.chance(percent) {
		return uint8(g.IntN(ptrs))
	}
	return oneOf[uint8](g, ptrGood, ptrGood, ptrEdge)
}
