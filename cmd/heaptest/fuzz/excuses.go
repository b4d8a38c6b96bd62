package fuzz

import "golang.org/x/sys/unix"

// excuse is one kind of answers that may differ, by the row of docs/conformance.md that says why. An operation that is excused leaves
// the same state behind on both sides: what could succeed on one side only is undone by the peer at once.
type excuse struct {
	row   string
	kind  Kind
	holds func(op *Op, l, r *Result) bool
	rare  bool // a run need not meet it: it is seldom, or not on every kernel
}

func rule(row string, kind Kind, holds func(op *Op, l, r *Result) bool) excuse {
	return excuse{row: row, kind: kind, holds: holds}
}

func rareRule(row string, kind Kind, holds func(op *Op, l, r *Result) bool) excuse {
	return excuse{row: row, kind: kind, holds: holds, rare: true}
}

// Exports that the other side may use, by what its buffers are.
const (
	AsMemfd   = "memfd"
	AsUdmabuf = "udmabuf"
	AsFuse    = "fuse" // with passthrough
)

// excuses gives the list for buffers of one kind. standIns: the other side's sync files are not the kernel's own.
func excuses(as string, standIns bool) []excuse {
	list := append([]excuse(nil), nodeExcuses...)
	switch as {
	case AsUdmabuf:
		list = append(list, udmabufExcuses...)
	case AsFuse:
		list = append(list, fuseExcuses...)
	default:
		list = append(list, memfdExcuses...)
	}
	if standIns {
		list = append(list, standInExcuses...)
	}
	return list
}

// Parts of a Result that may differ beside each other.
const (
	partCode = 1 << iota
	partFD
	partV0
	partV1
	partV2
	partV3
)

// only reports whether nothing but the parts differs.
func only(l, r *Result, parts int) bool {
	a, b := *l, *r
	if parts&partCode != 0 {
		a.Code = b.Code
	}
	if parts&partFD != 0 {
		a.FD = b.FD
	}
	for i := range a.V {
		if parts&(partV0<<i) != 0 {
			a.V[i] = b.V[i]
		}
	}
	return a == b
}

// codes reports whether nothing but the code differs, and it is these.
func codes(l, r *Result, want unix.Errno, got int64) bool {
	return only(l, r, partCode) && l.Code == -int64(want) && r.Code == got
}

// succeeds reports whether the left side refuses with an errno what the right side does.
func succeeds(l, r *Result, want unix.Errno) bool {
	return only(l, r, partCode) && l.Code == -int64(want) && r.Code >= 0
}

func onNode(r *Result) bool   { return r.Target&^targetTrial == targetNode }
func onBuffer(r *Result) bool { return r.Target&^targetTrial == targetBuffer }
func onSync(r *Result) bool   { return r.Target&^targetTrial == targetSync }

func unreadable(ptr uint8) bool {
	return ptr == ptrCross || ptr == ptrNull || ptr == ptrKernel || ptr == ptrHole
}

var nodeExcuses = []excuse{
	rule("N1", KindStat, func(op *Op, l, r *Result) bool {
		return onNode(l) && op.Sub == statFstat && l.Code == 0 && only(l, r, partV2)
	}),
	rule("N2", KindForeign, func(op *Op, l, r *Result) bool {
		return onNode(l) && (op.A[0] == cmdFIONREAD || op.A[0] == cmdFIBMAP) && l.Code == -int64(unix.EINVAL) && only(l, r, partCode)
	}),
	rule("N3", KindForeign, func(op *Op, l, r *Result) bool {
		return onNode(l) && cmdNR(op.A[0]) > 0 && cmdIn(op.A[0]) > 0 && unreadable(op.Ptr) && codes(l, r, unix.EINVAL, -int64(unix.EFAULT))
	}),
	rule("N3", KindAlloc, func(op *Op, l, r *Result) bool {
		cmd := op.A[allocCmd]
		return onNode(l) && cmdNR(cmd) > 0 && cmdIn(cmd) > 0 && unreadable(op.Ptr) && codes(l, r, unix.EINVAL, -int64(unix.EFAULT))
	}),
	rareRule("N4", KindForeign, func(op *Op, l, r *Result) bool {
		typ := cmdType(op.A[0])
		return onNode(l) && cmdNR(op.A[0]) == 0 && typ != 'H' && typ != 'b' && only(l, r, partCode|partFD) &&
			(l.Code == 0 || l.Code == -int64(unix.EMFILE)) && r.Code == -int64(unix.ENOMEM) && r.FD < 0
	}),
	rule("N5", KindMap, func(op *Op, l, r *Result) bool {
		return onNode(l) && op.A[3]&unix.MAP_TYPE == unix.MAP_PRIVATE && succeeds(l, r, unix.ENODEV)
	}),
	rule("N6", KindFile, func(op *Op, l, r *Result) bool {
		return onNode(l) && (op.Sub == fileRead || op.Sub == fileWrite) && op.A[0] == 0 && codes(l, r, unix.EINVAL, 0)
	}),
	// The peer closes what a kernel leaves behind when an argument can't be written back.
	rareRule("N9", KindAlloc, func(op *Op, l, r *Result) bool {
		fault := -int64(unix.EFAULT)
		return onNode(l) && op.Ptr == ptrRO && l.Code < 0 && r.Code < 0 && (l.Code == fault || r.Code == fault) && r.FD < 0 &&
			only(l, r, partCode|partFD|partV2)
	}),
	rareRule("N9", KindForeign, func(op *Op, l, r *Result) bool {
		return onNode(l) && l.Code < 0 && (op.Ptr == ptrRO && codes(l, r, unix.EFAULT, r.Code) || only(l, r, partV0))
	}),
	// What a kernel copies out after a failure shows where nothing was copied in: zeros.
	rareRule("N9", KindAlloc, func(op *Op, l, r *Result) bool {
		return onNode(l) && cmdIn(op.A[allocCmd]) == 0 && l.Code < 0 && only(l, r, partV0)
	}),
	rule("N7", KindPoll, func(op *Op, l, r *Result) bool {
		return onNode(l) && op.Sub == pollEpoll && l.Code == -int64(unix.EPERM) && r.Code == 0 && only(l, r, partCode|partV0)
	}),
}

// S6: the other side finds out whether the caller has room for a descriptor by installing it, which it can't take back. So it
// looks at the argument before, and with no room and a bad argument EMFILE is not what wins.
var memfdExcuses = []excuse{
	rareRule("S6", KindSyncFile, func(op *Op, l, r *Result) bool {
		return op.Sub == syncExport && op.Ptr == ptrRO && codes(l, r, unix.EMFILE, -int64(unix.EFAULT))
	}),
	rule("B1", KindSeek, func(op *Op, l, r *Result) bool {
		kernels := op.A[0] == 0 && (op.A[1] == unix.SEEK_SET || op.A[1] == unix.SEEK_END)
		return onBuffer(l) && !kernels && l.Code == -int64(unix.EINVAL) && (r.Code >= 0 || r.Code == -int64(unix.ENXIO)) && only(l, r, partCode)
	}),
	rule("B2", KindFile, func(op *Op, l, r *Result) bool {
		switch op.Sub {
		case fileRead, fileWrite:
			return onBuffer(l) && succeeds(l, r, unix.EINVAL)
		case filePread, filePwrite:
			return onBuffer(l) && (succeeds(l, r, unix.ESPIPE) || codes(l, r, unix.ESPIPE, -int64(unix.EBADF)))
		}
		return false
	}),
	rule("B3", KindFile, func(op *Op, l, r *Result) bool {
		return onBuffer(l) && op.Sub == fileTruncate && codes(l, r, unix.EINVAL, 0)
	}),
	rule("B4", KindFile, func(op *Op, l, r *Result) bool {
		return onBuffer(l) && op.Sub == fileAllocate && codes(l, r, unix.ENODEV, 0)
	}),
	rule("B5", KindFile, func(op *Op, l, r *Result) bool {
		return onBuffer(l) && op.Sub == fileFsync && codes(l, r, unix.EINVAL, 0)
	}),
	rule("B6", KindMap, func(op *Op, l, r *Result) bool {
		return onBuffer(l) && op.Sub == mapMap && op.A[1]+op.A[0] > l.V[0] && codes(l, r, unix.EINVAL, 0)
	}),
	rule("B7", KindMap, func(op *Op, l, r *Result) bool {
		return onBuffer(l) && op.Sub == mapMap && op.A[3]&unix.MAP_TYPE == unix.MAP_PRIVATE && op.A[0] > pageSize && codes(l, r, unix.EINVAL, 0)
	}),
	rule("B8", KindMap, func(op *Op, l, r *Result) bool {
		return op.Sub == mapRemap && codes(l, r, unix.EFAULT, 0)
	}),
	rule("B10", KindStat, func(op *Op, l, r *Result) bool {
		return onBuffer(l) && op.Sub == statLink && l.Code > 0 && r.Code > 0 && only(l, r, partCode|partV0)
	}),
	rule("B11", KindStat, func(op *Op, l, r *Result) bool {
		return onBuffer(l) && op.Sub == statInfo && only(l, r, partV0|partV1|partV2)
	}),
	rule("B12", KindStat, func(op *Op, l, r *Result) bool {
		return onBuffer(l) && op.Sub == statFstat && l.Code == 0 && only(l, r, partV2|partV3)
	}),
	rule("B13", KindFcntl, func(op *Op, l, r *Result) bool {
		const largeFile = 0x8000 // the kernel's, which the C library and x/sys call 0 on 64-bit machines
		return onBuffer(l) && op.Sub == fcntlGetFL && l.Code >= 0 && l.Code == r.Code&^largeFile && only(l, r, partCode)
	}),
	rule("B14", KindFile, func(op *Op, l, r *Result) bool {
		return onBuffer(l) && op.Sub == fileReopen && succeeds(l, r, unix.ENXIO)
	}),
	rule("B15", KindFile, func(op *Op, l, r *Result) bool {
		return onBuffer(l) && (op.Sub == fileGetSeals && succeeds(l, r, unix.EINVAL) ||
			op.Sub == fileAddSeals && codes(l, r, unix.EINVAL, -int64(unix.EPERM)))
	}),
	rule("B16", KindPoll, func(op *Op, l, r *Result) bool {
		return onBuffer(l) && op.Sub == pollEpoll && l.Code == 0 && r.Code == -int64(unix.EPERM) && only(l, r, partCode|partV0)
	}),
	rule("B17", KindForeign, func(op *Op, l, r *Result) bool {
		return onBuffer(l) && (op.A[0] == cmdFIONREAD || op.A[0] == cmdGetFlags) && l.Code == -int64(unix.ENOTTY) && only(l, r, partCode)
	}),
}

var udmabufExcuses = []excuse{
	// The access mode is looked at first; what else is wrong with a mapping shows on the side that it does not stop.
	rule("U1", KindMap, func(op *Op, l, r *Result) bool {
		return op.Sub != mapRemap && (codes(l, r, unix.EACCES, 0) || onBuffer(l) && codes(l, r, unix.EACCES, -int64(unix.EINVAL)))
	}),
	rareRule("U1", KindFile, func(op *Op, l, r *Result) bool {
		return onBuffer(l) && op.Sub == fileAddSeals && l.V[1] != unix.O_RDWR && codes(l, r, unix.EPERM, -int64(unix.EINVAL))
	}),
	rule("U1", KindFcntl, func(op *Op, l, r *Result) bool {
		return onBuffer(l) && op.Sub == fcntlGetFL && l.Code >= 0 && l.Code&^unix.O_ACCMODE|unix.O_RDWR == r.Code && only(l, r, partCode)
	}),
	rule("U1", KindFile, func(_ *Op, l, r *Result) bool {
		return onBuffer(l) && l.V[1] != unix.O_RDWR && l.Code == -int64(unix.EBADF) && r.Code < 0 && only(l, r, partCode)
	}),
	rule("U2", KindStat, func(op *Op, l, r *Result) bool {
		return onBuffer(l) && op.Sub == statInfo && only(l, r, partV2)
	}),
	rule("U3", KindMap, func(op *Op, l, r *Result) bool {
		return onBuffer(l) && op.Sub == mapMap && op.A[3]&unix.MAP_TYPE == unix.MAP_PRIVATE && op.A[0] <= pageSize && only(l, r, partCode) &&
			l.Code == 0 && r.Code == -int64(unix.EINVAL)
	}),
}

var standInExcuses = []excuse{
	rule("S1", KindStat, func(op *Op, l, r *Result) bool {
		return onSync(l) && op.Sub == statLink && l.Code > 0 && r.Code > 0 && only(l, r, partCode|partV0)
	}),
	rule("S2", KindForeign, func(_ *Op, l, r *Result) bool {
		return onSync(l) && l.Code == -int64(unix.ENOTTY) && (r.Code == -int64(unix.EINVAL) || r.Code == 0) && only(l, r, partCode)
	}),
	rareRule("S6", KindSyncFile, func(op *Op, l, r *Result) bool {
		return onSync(l) && op.Sub == syncMerge && l.Code == -int64(unix.EMFILE) && r.Code < 0 && only(l, r, partCode)
	}),
	rareRule("S3", KindPoll, func(_ *Op, l, r *Result) bool { return onSync(l) && only(l, r, partV0) && l.V[0]&5 == r.V[0]&5 }),
	rule("S4", KindFile, func(op *Op, l, r *Result) bool {
		return onSync(l) && (op.Sub == fileWrite || op.Sub == filePwrite) && codes(l, r, unix.EBADF, -int64(unix.EINVAL))
	}),
	rule("S4", KindFcntl, func(op *Op, l, r *Result) bool {
		return onSync(l) && op.Sub == fcntlGetFL && l.Code|unix.O_RDWR == r.Code && only(l, r, partCode)
	}),
	rule("S5", KindSeek, func(_ *Op, l, r *Result) bool { return onSync(l) && codes(l, r, unix.ESPIPE, 0) }),
}
