package fuzz

import "encoding/binary"

// Kind says what an operation does; its variants are in Op.Sub.
type Kind uint8

// The kinds of operations, each a share of every run.
const (
	KindOpen Kind = iota
	KindAlloc
	KindDup
	KindClose
	KindMap
	KindUnmap
	KindTouch
	KindSync
	KindName
	KindSyncFile
	KindSeek
	KindStat
	KindPoll
	KindForeign
	KindFile
	KindFcntl
	KindFork
	KindPass
	KindLimit
	KindEnd // closes every sequence; not counted
	kinds   = int(KindEnd)
)

var kindNames = [...]string{
	"open", "alloc", "dup", "close", "map", "unmap", "touch", "sync", "name", "syncfile", "seek", "stat", "poll", "foreign", "file",
	"fcntl", "fork", "pass", "limit", "end",
}

func (k Kind) String() string { return kindNames[k] }

// Who executes an operation.
const (
	whoMain   = iota
	whoHelper // a second process, which gets descriptors by SCM_RIGHTS only
	whoChild  // a forked child: it executes what follows its fork, and ends
)

// Variants of operations, Op.Sub.
const (
	openNode  = iota // A: flags
	openOther        // A: flags, index into otherPaths
)

const (
	dupDup   = iota
	dupTwo   // A: number; Ref2: a descriptor to replace
	dupThree // A: number, flags; Ref2 as for dupTwo
	dupFD    // A: lowest number
	dupFDCloexec
)

const (
	mapMap     = iota // A: length, offset, prot, flags
	mapProtect        // Ref is a mapping; A: -, -, prot
	mapRemap          // Ref is a mapping; A: pages to grow by
)

const (
	unmapAll  = iota
	unmapHead // A: pages
	unmapTail // A: pages
)

const (
	touchRead  = iota // A: offset, length
	touchWrite        // A: offset, length, seed of the pattern
	touchAll
)

const (
	syncExport   = iota // A: flags, fd field
	syncImport          // A: flags; Ref2: the sync file
	syncInfo            // A: flags, number of fences, pad, whether the pointer to the fences is bad
	syncMerge           // A: flags, pad; Ref2: the other sync file
	syncDeadline        // A: deadline, pad
)

const (
	statFstat = iota
	statLink
	statInfo
)

const (
	pollPoll  = iota // A: events
	pollEpoll        // A: events
)

const (
	fileRead     = iota // A: bytes
	fileWrite           // A: bytes
	filePread           // A: bytes
	filePwrite          // A: bytes
	fileTruncate        // to the size that the file has
	fileAllocate        // the first page
	fileFsync
	fileGetSeals
	fileAddSeals
	fileReopen // A: access mode
)

const (
	fcntlGetFD = iota
	fcntlSetFD // A: flags
	fcntlGetFL
	fcntlSetFL // A: flags
)

const (
	forkRun  = iota // the operations that follow with whoChild are the child's
	forkExec        // the child executes a new program, which says what descriptors it has
)

const (
	passGive   = iota // from main to the helper; A: 1 for MSG_CMSG_CLOEXEC
	passTake          // from the helper to main; A: 1 for MSG_CMSG_CLOEXEC
	passFlight        // main to itself; the descriptor is closed while the other is under way
)

const (
	endClean = iota // everything closed: A has nothing; the answer tells what is left open
	endPool         // A: bytes that must be free again
)

// Where an argument lies, Op.ptr.
const (
	ptrGood   = iota
	ptrEdge   // its last byte is the last of a page, and the next page can't be accessed
	ptrCross  // its last bytes are on a page that can't be accessed
	ptrNull   // at address 0
	ptrRO     // on a page that can't be written
	ptrKernel // in the kernel's half of the addresses
	ptrHole   // all of it on a page that can't be accessed
	ptrs
)

var ptrNames = [...]string{"", "at the end of a page", "across the end of memory", "NULL", "read-only", "in the kernel", "beyond memory"}

// Op is one operation. Descriptors and mappings are named by the index that the operation which made them had in the whole
// sequence, so that a sequence stays meaningful when operations are taken out of it.
type Op struct {
	ID   int16 // index in the whole sequence
	Kind Kind
	Sub  uint8
	Who  uint8
	Ptr  uint8
	Ref  int16 // -1: none
	Ref2 int16
	A    [5]uint64
}

// Result is an answer. What V holds depends on the kind; everything in it is compared.
type Result struct {
	Code   int64 // the call's value, or a negated errno
	FD     int32 // number of the new descriptor, -1 if there is none
	Target uint8 // what Ref was
	V      [4]uint64
}

// Answers that are no call's.
const (
	codeSkipped = -10000 // there was nothing to do it with
)

// What a descriptor is.
const (
	targetNone = iota // closed, or never opened
	targetNode
	targetBuffer
	targetSync
	targetOther
)

// targetTrial marks an answer whose call succeeded and was undone at once, because it could succeed on one side only.
const targetTrial = 0x80

const (
	maxOps     = 96
	opBytes    = 56
	resultSize = 48
)

func (o *Op) put(b []byte) {
	binary.LittleEndian.PutUint16(b, uint16(o.ID))
	b[2], b[3], b[4], b[5] = byte(o.Kind), o.Sub, o.Who, o.Ptr
	binary.LittleEndian.PutUint16(b[6:], uint16(o.Ref))
	binary.LittleEndian.PutUint16(b[8:], uint16(o.Ref2))
	for i, v := range o.A {
		binary.LittleEndian.PutUint64(b[16+8*i:], v)
	}
}

func (o *Op) get(b []byte) {
	o.ID = int16(binary.LittleEndian.Uint16(b))
	o.Kind, o.Sub, o.Who, o.Ptr = Kind(b[2]), b[3], b[4], b[5]
	o.Ref = int16(binary.LittleEndian.Uint16(b[6:]))
	o.Ref2 = int16(binary.LittleEndian.Uint16(b[8:]))
	for i := range o.A {
		o.A[i] = binary.LittleEndian.Uint64(b[16+8*i:])
	}
}

func (r *Result) put(b []byte) {
	binary.LittleEndian.PutUint64(b, uint64(r.Code))
	binary.LittleEndian.PutUint32(b[8:], uint32(r.FD))
	b[12], b[13], b[14], b[15] = r.Target, 0, 0, 0
	for i, v := range r.V {
		binary.LittleEndian.PutUint64(b[16+8*i:], v)
	}
}

func (r *Result) get(b []byte) {
	r.Code = int64(binary.LittleEndian.Uint64(b))
	r.FD = int32(binary.LittleEndian.Uint32(b[8:]))
	r.Target = b[12]
	for i := range r.V {
		r.V[i] = binary.LittleEndian.Uint64(b[16+8*i:])
	}
}
