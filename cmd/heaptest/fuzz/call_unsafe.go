package fuzz

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Raw calls, because a forked child has no Go runtime to rely on: no other thread, no scheduler, no collector. So everything between a
// fork and its exit is made of these, and of memory that exists already and does not move (package variables and mappings).

// call returns the value, or the negated errno.
func call(trap, a1, a2, a3, a4, a5, a6 uintptr) int64 {
	r, _, errno := syscall.RawSyscall6(trap, a1, a2, a3, a4, a5, a6)
	if errno != 0 {
		return -int64(errno)
	}
	return int64(r)
}

// address of memory that does not move.
func address(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

func ioctl(fd int32, cmd uint64, arg uintptr) int64 {
	return call(unix.SYS_IOCTL, uintptr(fd), uintptr(cmd), arg, 0, 0, 0)
}

func fcntl(fd int32, cmd int, arg uint64) int64 {
	return call(unix.SYS_FCNTL, uintptr(fd), uintptr(cmd), uintptr(arg), 0, 0, 0)
}

func closeFD(fd int32) int64 { return call(unix.SYS_CLOSE, uintptr(fd), 0, 0, 0, 0, 0) }

func read(fd int32, addr, n uintptr) int64 { return call(unix.SYS_READ, uintptr(fd), addr, n, 0, 0, 0) }

func write(fd int32, addr, n uintptr) int64 {
	return call(unix.SYS_WRITE, uintptr(fd), addr, n, 0, 0, 0)
}

// forkRaw returns 0 in the child. The child stays pinned: when the scheduler wants the processor back, and it may have said so just
// before the fork, the child would wait for a thread that it does not have.
func forkRaw() int64 {
	procPin()
	pid := call(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if pid != 0 {
		procUnpin()
	}
	return pid
}

//go:linkname procPin runtime.procPin
func procPin() int

//go:linkname procUnpin runtime.procUnpin
func procUnpin()

func exit(code int) { call(unix.SYS_EXIT_GROUP, uintptr(code), 0, 0, 0, 0, 0) }

var waitStatus [1]int32

// wait gives the wait status of a child.
func wait(pid int64) int64 {
	r := call(unix.SYS_WAIT4, uintptr(pid), uintptr(unsafe.Pointer(&waitStatus)), 0, 0, 0, 0)
	if r < 0 {
		return r
	}
	return int64(waitStatus[0])
}

var rlimit [2]uint64

// setFileLimit sets the soft limit of open files, and leaves the hard one.
func setFileLimit(soft uint64) int64 {
	if r := call(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, 0, uintptr(unsafe.Pointer(&rlimit)), 0, 0); r < 0 {
		return r
	}
	rlimit[0] = min(soft, rlimit[1])
	return call(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, uintptr(unsafe.Pointer(&rlimit)), 0, 0, 0)
}

var pollFD [1]unix.PollFd

func poll(fd int32, events int16) (code int64, revents int16) {
	pollFD[0] = unix.PollFd{Fd: fd, Events: events}
	code = call(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&pollFD)), 1, uintptr(unsafe.Pointer(&zeroTime)), 0, 0, 0)
	return code, pollFD[0].Revents
}

var (
	zeroTime   [2]uint64
	epollEvent [1]unix.EpollEvent
)

func epollAdd(set, fd int32, events uint32) int64 {
	epollEvent[0] = unix.EpollEvent{Events: events}
	return call(unix.SYS_EPOLL_CTL, uintptr(set), unix.EPOLL_CTL_ADD, uintptr(fd), uintptr(unsafe.Pointer(&epollEvent)), 0, 0)
}

func epollReady(set int32) (code int64, events uint32) {
	epollEvent[0] = unix.EpollEvent{}
	code = call(unix.SYS_EPOLL_PWAIT, uintptr(set), uintptr(unsafe.Pointer(&epollEvent)), 1, 0, 0, 0)
	return code, epollEvent[0].Events
}

var statBuf unix.Stat_t

func fstat(fd int32) int64 {
	return call(unix.SYS_FSTAT, uintptr(fd), uintptr(unsafe.Pointer(&statBuf)), 0, 0, 0, 0)
}

// A message of one small struct and, maybe, one descriptor.
var message struct {
	header  unix.Msghdr
	iov     unix.Iovec
	control [24]byte // unix.CmsgSpace(4)
	body    note
}

// note goes with a descriptor, and alone as a question or an answer.
type note struct {
	op     int32
	target int32
	size   uint64
}

const noteBytes = 16

func prepareMessage() {
	message.iov = unix.Iovec{Base: (*byte)(unsafe.Pointer(&message.body)), Len: noteBytes}
	message.header = unix.Msghdr{Iov: &message.iov, Iovlen: 1}
}

// send passes n and the descriptor fd, or no descriptor when fd is negative and withFD is false.
func send(socket int32, n note, fd int32, withFD bool) int64 {
	prepareMessage()
	message.body = n
	if withFD {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&message.control))
		h.Len, h.Level, h.Type = uint64(unix.SizeofCmsghdr)+4, unix.SOL_SOCKET, unix.SCM_RIGHTS
		*(*int32)(unsafe.Pointer(&message.control[unix.SizeofCmsghdr])) = fd
		message.header.Control, message.header.Controllen = &message.control[0], uint64(len(message.control))
	}
	return call(unix.SYS_SENDMSG, uintptr(socket), uintptr(unsafe.Pointer(&message.header)), 0, 0, 0, 0)
}

// receive gives the descriptor that came, or -1.
func receive(socket int32, flags int) (n note, fd int32, code int64) {
	prepareMessage()
	message.body = note{}
	message.header.Control, message.header.Controllen = &message.control[0], uint64(len(message.control))
	code = call(unix.SYS_RECVMSG, uintptr(socket), uintptr(unsafe.Pointer(&message.header)), uintptr(flags), 0, 0, 0)
	fd = -1
	h := (*unix.Cmsghdr)(unsafe.Pointer(&message.control))
	if code >= 0 && message.header.Controllen >= uint64(unix.SizeofCmsghdr)+4 && h.Type == unix.SCM_RIGHTS {
		fd = *(*int32)(unsafe.Pointer(&message.control[unix.SizeofCmsghdr]))
	}
	return message.body, fd, code
}

// execve needs its strings in memory that does not move, ended by NUL.
func execve(path []byte, argv, envp []*byte) int64 {
	return call(unix.SYS_EXECVE, address(path), uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&envp[0])), 0, 0, 0)
}
