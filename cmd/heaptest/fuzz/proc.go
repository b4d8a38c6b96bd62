package fuzz

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// proc is the state of one peer process. Everything in it is fixed in place: a fork copies it, and the child goes on with its copy
// without a runtime.
type proc struct {
	ops     [maxOps]Op
	n       int
	results []byte // shared with every child
	regs    [maxOps]register
	maps    [maxOps]mapping
	open    [fileLimit]bool

	in, out  int32
	pipeR    int32
	pipeW    int32
	toHelper int32
	toMain   int32
	flightA  int32
	flightB  int32
	helper   int64 // pid, 0 while there is none
	isChild  bool
	area     []byte // areaBytes that can be written, and a page that can't be accessed
	readOnly []byte // the same memory, for reading only
	scratch  []byte
	dir      string
	path     []byte // a path ended by NUL
	execPath []byte
	execArgs []*byte
	execEnv  []*byte
	hashFrom int
	hashTo   int
}

// register is what an operation made: a descriptor.
type register struct {
	state  uint8
	target uint8
	access uint8
	num    int32
	size   uint64 // of a buffer, bytes
}

const (
	regUnset = iota
	regOpen
	regClosed
)

// mapping is a mapping that an operation made.
type mapping struct {
	addr   uintptr
	length uintptr // 0: there is none
	prot   uintptr
	frozen bool // its descriptor is not for writing
}

const (
	fileLimit  = 256 // soft limit of open files while the peer works
	firstHigh  = 900 // the peer's own descriptors are from here on
	areaPages  = 5
	areaBytes  = (areaPages - 1) * pageSize
	scratchLen = 64 << 10
	fillByte   = 0xA5
	guard      = 8
)

var self proc

// peerMain executes sequences that come on standard input and writes the answers to standard output, until the input ends.
func peerMain(dir string) error {
	if err := self.prepare(dir); err != nil {
		return err
	}
	var head [8]byte
	headBuf, ops := self.scratch[:len(head)], make([]byte, maxOps*opBytes)
	for {
		if !readFull(self.in, headBuf) {
			return nil
		}
		n := int(binary.LittleEndian.Uint64(headBuf))
		if n > maxOps {
			return fmt.Errorf("a sequence of %d operations: at most %d", n, maxOps)
		}
		if !readFull(self.in, ops[:n*opBytes]) {
			return nil
		}
		for i := range n {
			self.ops[i].get(ops[i*opBytes:])
		}
		self.n = n
		self.sequence()
		if !writeFull(self.out, self.results[:n*resultSize]) {
			return nil
		}
	}
}

func readFull(fd int32, b []byte) bool {
	for len(b) > 0 {
		n := read(fd, address(b), uintptr(len(b)))
		if n <= 0 {
			return false
		}
		b = b[n:]
	}
	return true
}

func writeFull(fd int32, b []byte) bool {
	for len(b) > 0 {
		n := write(fd, address(b), uintptr(len(b)))
		if n <= 0 {
			return false
		}
		b = b[n:]
	}
	return true
}

// prepare moves the peer's own descriptors out of the way and makes the memory that all operations use.
func (p *proc) prepare(dir string) error {
	p.dir = strings.TrimSuffix(dir, "/") + "/"
	if err := p.memory(); err != nil {
		return err
	}
	if err := p.descriptors(); err != nil {
		return err
	}
	p.path = make([]byte, 4096)
	p.execPath = append([]byte("/proc/self/exe"), 0)
	for _, arg := range []string{"heaptest", "fuzz", "survivors"} {
		p.execArgs = append(p.execArgs, &append([]byte(arg), 0)[0])
	}
	p.execArgs = append(p.execArgs, nil)
	for _, env := range peerEnv {
		p.execEnv = append(p.execEnv, &append([]byte(env), 0)[0])
	}
	p.execEnv = append(p.execEnv, nil)
	return nil
}

// peerEnv keeps the runtime from doing anything behind the peer's back: no collection, no signals, no descriptors of its own.
var peerEnv = []string{"GOGC=off", "GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1,updatemaxprocs=0,containermaxprocs=0"}

func (p *proc) memory() error {
	fd, err := unix.MemfdCreate("arguments", unix.MFD_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("memfd_create", err)
	}
	defer func() { _ = unix.Close(fd) }() // the mappings keep it
	if err := unix.Ftruncate(fd, areaPages*pageSize); err != nil {
		return os.NewSyscallError("ftruncate", err)
	}
	if p.area, err = unix.Mmap(fd, 0, areaPages*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return os.NewSyscallError("mmap", err)
	}
	if err := unix.Mprotect(p.area[areaBytes:], unix.PROT_NONE); err != nil {
		return os.NewSyscallError("mprotect", err)
	}
	if p.readOnly, err = unix.Mmap(fd, 0, areaBytes, unix.PROT_READ, unix.MAP_SHARED); err != nil {
		return os.NewSyscallError("mmap", err)
	}
	anon := unix.MAP_SHARED | unix.MAP_ANONYMOUS
	if p.results, err = unix.Mmap(-1, 0, (maxOps*resultSize+pageSize-1)&^(pageSize-1), unix.PROT_READ|unix.PROT_WRITE, anon); err != nil {
		return os.NewSyscallError("mmap", err)
	}
	if p.scratch, err = unix.Mmap(-1, 0, scratchLen, unix.PROT_READ|unix.PROT_WRITE, anon); err != nil {
		return os.NewSyscallError("mmap", err)
	}
	return nil
}

func (p *proc) descriptors() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return os.NewSyscallError("getrlimit", err)
	}
	if limit.Max < firstHigh+100 {
		return fmt.Errorf("the limit of open files is %d: the peer needs %d (ulimit -n)", limit.Max, firstHigh+100)
	}
	limit.Cur = limit.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return os.NewSyscallError("setrlimit", err)
	}
	var pipe, pass, flight [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return os.NewSyscallError("pipe2", err)
	}
	var err error
	if pass, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0); err != nil {
		return os.NewSyscallError("socketpair", err)
	}
	if flight, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0); err != nil {
		return os.NewSyscallError("socketpair", err)
	}
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: "/dev/null", Err: err}
	}
	for i, to := range []*int32{&p.in, &p.out, &p.pipeR, &p.pipeW, &p.toHelper, &p.toMain, &p.flightA, &p.flightB} {
		from := []int{0, 1, pipe[0], pipe[1], pass[0], pass[1], flight[0], flight[1]}[i]
		n, err := unix.FcntlInt(uintptr(from), unix.F_DUPFD_CLOEXEC, firstHigh)
		if err != nil {
			return os.NewSyscallError("fcntl F_DUPFD_CLOEXEC", err)
		}
		*to = int32(n)
		if from > 2 {
			_ = unix.Close(from)
		}
	}
	for std := range 2 {
		if err := unix.Dup3(null, std, 0); err != nil {
			return os.NewSyscallError("dup3", err)
		}
	}
	_ = unix.Close(null)
	p.open = [fileLimit]bool{true, true, true}
	if r := setFileLimit(fileLimit); r < 0 {
		return os.NewSyscallError("prlimit", unix.Errno(-r))
	}
	for n := int32(3); n < fileLimit; n++ {
		if fcntl(n, unix.F_GETFD, 0) >= 0 {
			return fmt.Errorf("descriptor %d is open at the start: the peer wants 0, 1 and 2 only", n)
		}
	}
	return nil
}

// sequence executes all operations.
func (p *proc) sequence() {
	p.regs = [maxOps]register{}
	p.maps = [maxOps]mapping{}
	for i := 0; i < p.n; {
		op := &p.ops[i]
		switch {
		case op.Who == whoChild: // its fork was taken out of the sequence, or failed
			p.answer(i, &Result{Code: codeSkipped, FD: -1})
			i++
		case op.Kind == KindFork:
			i = p.fork(i)
		case op.Kind == KindPass:
			p.pass(i)
			i++
		case op.Who == whoHelper:
			p.ask(i)
			i++
		default:
			p.do(i)
			i++
		}
	}
}

func (p *proc) answer(i int, r *Result) { r.put(p.results[i*resultSize:]) }

// do executes one operation in this process.
func (p *proc) do(i int) {
	op := &p.ops[i]
	r := Result{FD: -1}
	switch op.Kind {
	case KindOpen:
		p.doOpen(op, &r)
	case KindAlloc:
		p.doAlloc(op, &r)
	case KindDup:
		p.doDup(op, &r)
	case KindClose:
		p.doClose(op, &r)
	case KindMap:
		p.doMap(op, &r)
	case KindUnmap:
		p.doUnmap(op, &r)
	case KindTouch:
		p.doTouch(op, &r)
	case KindSync:
		p.doSync(op, &r)
	case KindName:
		p.doName(op, &r)
	case KindSyncFile:
		p.doSyncFile(op, &r)
	case KindSeek:
		fd := p.fd(op.Ref, &r)
		if r.Code = codeSkipped; r.Target != targetOther { // whose file system is not what is compared
			r.Code = call(unix.SYS_LSEEK, uintptr(fd), uintptr(op.A[0]), uintptr(op.A[1]), 0, 0, 0)
		}
	case KindStat:
		p.doStat(op, &r)
	case KindPoll:
		p.doPoll(op, &r)
	case KindForeign:
		p.doForeign(op, &r)
	case KindFile:
		p.doFile(op, &r)
	case KindFcntl:
		p.doFcntl(op, &r)
	case KindLimit:
		p.doLimit(op, &r)
	case KindEnd:
		p.doEnd(op, &r)
	default:
		r.Code = codeSkipped
	}
	p.answer(i, &r)
}
