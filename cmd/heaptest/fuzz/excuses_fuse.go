package fuzz

import "golang.org/x/sys/unix"

// fuseExcuses are for files of FUSE with passthrough.
var fuseExcuses = []excuse{
	rule("F1", KindSeek, func(op *Op, l, r *Result) bool {
		kernels := op.A[0] == 0 && (op.A[1] == unix.SEEK_SET || op.A[1] == unix.SEEK_END)
		return onBuffer(l) && !kernels && succeeds(l, r, unix.EINVAL)
	}),
	rule("F2", KindFile, func(op *Op, l, r *Result) bool {
		switch op.Sub {
		case fileRead:
			return onBuffer(l) && op.A[0] == 0 && codes(l, r, unix.EINVAL, 0)
		case fileWrite: // of 0 bytes, if it could succeed
			return onBuffer(l) && codes(l, r, unix.EINVAL, 0)
		case filePread, filePwrite:
			return onBuffer(l) && l.Code == -int64(unix.ESPIPE) && only(l, r, partCode) &&
				(r.Code == 0 || r.Code == -int64(unix.EINVAL) || r.Code == -int64(unix.EBADF))
		}
		return false
	}),
	rule("F5", KindMap, func(op *Op, l, r *Result) bool {
		return onBuffer(l) && op.Sub == mapMap && op.A[1]+op.A[0] > l.V[0] && codes(l, r, unix.EINVAL, 0)
	}),
	rule("F6", KindMap, func(op *Op, l, r *Result) bool {
		return onBuffer(l) && op.Sub == mapMap && op.A[3]&unix.MAP_TYPE == unix.MAP_PRIVATE && op.A[0] > pageSize && codes(l, r, unix.EINVAL, 0)
	}),
	rule("F7", KindMap, func(op *Op, l, r *Result) bool {
		return op.Sub == mapRemap && codes(l, r, unix.EFAULT, 0)
	}),
	rule("F10", KindStat, func(op *Op, l, r *Result) bool {
		return onBuffer(l) && op.Sub == statLink && l.Code > 0 && r.Code > 0 && only(l, r, partCode|partV0)
	}),
	rule("F11", KindStat, func(op *Op, l, r *Result) bool {
		return onBuffer(l) && op.Sub == statInfo && only(l, r, partV0|partV1|partV2)
	}),
	rule("F12", KindStat, func(op *Op, l, r *Result) bool {
		return onBuffer(l) && op.Sub == statFstat && l.Code == 0 && only(l, r, partV2)
	}),
	rule("F13", KindFcntl, func(op *Op, l, r *Result) bool {
		const largeFile = 0x8000 // as in B13
		return onBuffer(l) && op.Sub == fcntlGetFL && l.Code >= 0 && l.Code == r.Code&^largeFile && only(l, r, partCode)
	}),
	rule("F14", KindForeign, func(op *Op, l, r *Result) bool {
		return onBuffer(l) && op.A[0] == cmdFIONREAD && l.Code == -int64(unix.ENOTTY) && only(l, r, partCode)
	}),
	// The filter traps these numbers of a buffer on a node too; without it they come by FUSE.
	rareRule("N3", KindName, func(op *Op, l, r *Result) bool {
		return onNode(l) && unreadable(op.Ptr) && codes(l, r, unix.EINVAL, -int64(unix.EFAULT))
	}),
	rareRule("N3", KindSyncFile, func(op *Op, l, r *Result) bool {
		return onNode(l) && unreadable(op.Ptr) && codes(l, r, unix.EINVAL, -int64(unix.EFAULT))
	}),
	rareRule("F16", KindName, func(op *Op, l, r *Result) bool {
		return onBuffer(l) && op.Ptr == ptrEdge && codes(l, r, 0, -int64(unix.EFAULT))
	}),
	rule("F16", KindForeign, func(op *Op, l, r *Result) bool {
		return onBuffer(l) && cmdIn(op.A[0]) > 0 && unreadable(op.Ptr) && codes(l, r, unix.ENOTTY, -int64(unix.EFAULT))
	}),
}
