package fuzz

import (
	"golang.org/x/sys/unix"
)

func (p *proc) doDup(op *Op, r *Result) {
	fd := p.fd(op.Ref, r)
	as := p.of(op.Ref)
	number := int32(op.A[0])
	if other := p.of(op.Ref2); other.num >= 3 {
		number = other.num
	}
	if number >= 0 && number < 3 && (op.Sub == dupTwo || op.Sub == dupThree) {
		r.Code = codeSkipped // 0, 1 and 2 stay as they are
		return
	}
	switch op.Sub {
	case dupDup:
		r.Code = call(unix.SYS_DUP, uintptr(fd), 0, 0, 0, 0, 0)
	case dupTwo:
		if fd == number {
			// dup2 of a descriptor to itself says whether it is open, which not every architecture has a call for.
			r.Code = fcntl(fd, unix.F_GETFD, 0)
			return
		}
		r.Code = call(unix.SYS_DUP3, uintptr(fd), uintptr(number), 0, 0, 0, 0)
	case dupThree:
		r.Code = call(unix.SYS_DUP3, uintptr(fd), uintptr(number), uintptr(op.A[1]), 0, 0, 0)
	case dupFD:
		r.Code = fcntl(fd, unix.F_DUPFD, op.A[0])
	case dupFDCloexec:
		r.Code = fcntl(fd, unix.F_DUPFD_CLOEXEC, op.A[0])
	}
	if r.Code >= 0 {
		r.FD, r.Code = int32(r.Code), 0
		p.opened(op.ID, r.FD, as)
		r.V[0] = flagFD(r.FD)
	}
}

func (p *proc) doClose(op *Op, r *Result) {
	fd := p.fd(op.Ref, r)
	r.Code = closeFD(fd)
	if r.Code == 0 {
		p.closed(fd)
	}
}

// V[2] and V[3] of an fstat are what no two kinds of files share.
func (p *proc) doStat(op *Op, r *Result) {
	fd := p.fd(op.Ref, r)
	switch op.Sub {
	case statFstat:
		if r.Code = fstat(fd); r.Code == 0 && r.Target != targetOther {
			r.V[0] = uint64(statBuf.Size)<<1 | uint64(statBuf.Uid)
			r.V[1] = uint64(statBuf.Mode & 0o7777)
			r.V[2] = uint64(statBuf.Mode & unix.S_IFMT)
			r.V[3] = uint64(statBuf.Nlink)
		}
	case statLink:
		n := p.procPath("/proc/self/fd/", fd)
		p.path[n] = 0
		b := p.scratch[:4096]
		at := unix.AT_FDCWD
		r.Code = call(unix.SYS_READLINKAT, uintptr(at), address(p.path), address(b), uintptr(len(b)), 0, 0)
		if r.Code > 0 && r.Target != targetOther {
			r.V[0] = sum(b[:r.Code])
		}
	case statInfo:
		n := p.procPath("/proc/self/fdinfo/", fd)
		p.path[n] = 0
		p.doInfo(r)
	}
}

// doInfo reads the lines that only a dma-buf has.
func (p *proc) doInfo(r *Result) {
	at := unix.AT_FDCWD
	f := call(unix.SYS_OPENAT, uintptr(at), address(p.path), unix.O_RDONLY|unix.O_CLOEXEC, 0, 0, 0)
	if f < 0 {
		r.Code = f
		return
	}
	b := p.scratch[:4096]
	n := read(int32(f), address(b), uintptr(len(b)))
	closeFD(int32(f))
	if n < 0 {
		r.Code = n
		return
	}
	b = b[:n]
	r.V[0], r.V[1], r.V[2] = sum(field(b, "size:\t")), sum(field(b, "name:\t")), sum(field(b, "exp_name:\t"))
}

// field is the text behind a key at the start of a line.
func field(b []byte, key string) []byte {
	for start := 0; start < len(b); {
		end := start
		for end < len(b) && b[end] != '\n' {
			end++
		}
		if line := b[start:end]; len(line) >= len(key) && string(line[:len(key)]) == key {
			return line[len(key):]
		}
		start = end + 1
	}
	return nil
}

// procPath writes a path that ends in a descriptor's number and returns its length.
func (p *proc) procPath(prefix string, fd int32) int {
	n := copy(p.path, prefix)
	var digits [12]byte
	k := len(digits)
	v := max(fd, 0)
	for {
		k--
		digits[k] = '0' + byte(v%10)
		if v /= 10; v == 0 {
			break
		}
	}
	if fd < 0 {
		k--
		digits[k] = '-'
	}
	return n + copy(p.path[n:], digits[k:])
}

func (p *proc) doFile(op *Op, r *Result) {
	fd := p.fd(op.Ref, r)
	if r.Target == targetOther {
		r.Code = codeSkipped // not what is compared here
		return
	}
	of := p.of(op.Ref)
	r.V[1] = uint64(of.access)
	b := p.scratch[:min(op.A[0], scratchLen)]
	n := uintptr(len(b))
	switch op.Sub {
	case fileRead:
		r.Code = read(fd, address(b), n)
	case fileWrite:
		if of.target == targetBuffer && of.access != unix.O_RDONLY {
			n = 0 // it would change the bytes on one side only
		}
		r.Code = write(fd, address(b), n)
	case filePread:
		r.Code = call(unix.SYS_PREAD64, uintptr(fd), address(b), n, 0, 0, 0)
	case filePwrite:
		if of.target == targetBuffer && of.access != unix.O_RDONLY {
			n = 0
		}
		r.Code = call(unix.SYS_PWRITE64, uintptr(fd), address(b), n, 0, 0, 0)
	case fileTruncate:
		r.Code = call(unix.SYS_FTRUNCATE, uintptr(fd), uintptr(of.size), 0, 0, 0, 0)
	case fileAllocate:
		r.Code = call(unix.SYS_FALLOCATE, uintptr(fd), 0, 0, pageSize, 0, 0)
	case fileFsync:
		r.Code = call(unix.SYS_FSYNC, uintptr(fd), 0, 0, 0, 0, 0)
	case fileGetSeals:
		r.Code = fcntl(fd, unix.F_GET_SEALS, 0)
	case fileAddSeals:
		r.Code = fcntl(fd, unix.F_ADD_SEALS, unix.F_SEAL_WRITE)
	case fileReopen:
		p.path[p.procPath("/proc/self/fd/", fd)] = 0
		at := unix.AT_FDCWD
		r.Code = call(unix.SYS_OPENAT, uintptr(at), address(p.path), uintptr(op.A[0]|unix.O_CLOEXEC), 0, 0, 0)
		if r.Code >= 0 {
			closeFD(int32(r.Code))
		}
	}
}

func (p *proc) doFcntl(op *Op, r *Result) {
	fd := p.fd(op.Ref, r)
	switch op.Sub {
	case fcntlGetFD:
		r.Code = fcntl(fd, unix.F_GETFD, 0)
	case fcntlSetFD:
		r.Code = fcntl(fd, unix.F_SETFD, op.A[0])
	case fcntlGetFL:
		r.Code = fcntl(fd, unix.F_GETFL, 0)
	case fcntlSetFL:
		r.Code = fcntl(fd, unix.F_SETFL, op.A[0])
	}
}

// doLimit lets A[0] more descriptors be opened, or as many as before.
func (p *proc) doLimit(op *Op, r *Result) {
	limit := uint64(fileLimit)
	if op.A[0] < fileLimit {
		limit = uint64(p.lowest()) + op.A[0]
	}
	r.Code = setFileLimit(limit)
	r.V[0] = limit
}
