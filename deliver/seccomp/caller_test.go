package seccomp

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
	"github.com/heapfs/heapfs/uapi"
)

// callerRole is the environment variable that makes this binary a caller: one that plays the scene of that name.
const callerRole = "HEAPFS_TEST_CALLER"

// What a caller inherits.
const (
	callerSock  = 3 // takes the listener, gives the word to go
	callerHeap  = 4 // what the door takes for a heap node
	callerOther = 5 // a file of the same kind that is none
)

// client is the caller's side of a scene. It knows nothing of heapfs but its descriptors.
type client struct {
	mem    []byte // three pages of its own
	wrong  int
	lowest int // the lowest free descriptor
}

var scenes = map[string]func(*client){
	"nothing of ours":  (*client).others,
	"refusals":         (*client).refusals,
	"buffers":          (*client).buffers,
	"habits":           (*client).habits,
	"calls on buffers": (*client).bufferCalls,
	"sync files":       (*client).syncFiles,
	"descriptors":      (*client).fewDescriptors,
	"an early end": func(c *client) {
		c.ioctl(callerHeap, uint64(uapi.HeapIoctlAlloc), c.request(4096, 0))
		unix.Kill(os.Getpid(), unix.SIGKILL)
	},
}

// beCaller plays a scene under the filter and returns the exit status: 0 when all was as it should be.
func beCaller(scene string) int {
	runtime.LockOSThread() // the filter is this thread's
	filter, err := Filter()
	if err == nil {
		err = unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	}
	var listener int
	if err == nil {
		listener, err = sys.InstallListener(filter)
	}
	if err == nil {
		err = unix.Sendmsg(callerSock, []byte{1}, unix.UnixRights(listener), nil, 0)
		sys.Close(listener)
	}
	if err == nil {
		_, err = unix.Read(callerSock, make([]byte, 1))
	}
	c := &client{}
	if err == nil {
		c.mem, err = unix.Mmap(-1, 0, 3*4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	}
	if err != nil {
		fmt.Println("set up:", err)
		return 1
	}
	c.lowest = c.lowestFree()
	scenes[scene](c)
	if c.wrong > 0 {
		return 1
	}
	return 0
}

// is checks and tells.
func (c *client) is(what string, got, want any) {
	if got != want {
		c.wrong++
		fmt.Printf("%s: got %v, want %v\n", what, got, want)
	}
}

// lowestFree is the number that the next descriptor gets.
func (c *client) lowestFree() int {
	fd, err := unix.FcntlInt(callerOther, unix.F_DUPFD_CLOEXEC, 0)
	c.is("dup", err, nil)
	sys.Close(fd)
	return fd
}

// addr is the address of byte off of the client's memory.
func (c *client) addr(off int) uintptr { return uintptr(unsafe.Pointer(&c.mem[0])) + uintptr(off) }

// ioctl is the raw call: all 64 bits of the command reach the kernel.
func (c *client) ioctl(fd int, cmd uint64, arg uintptr) unix.Errno {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(cmd), arg)
	return errno
}

// request puts a struct dma_heap_allocation_data at the beginning of the client's memory.
func (c *client) request(length uint64, flags uint32) uintptr {
	clear(c.mem[:64])
	binary.LittleEndian.PutUint64(c.mem, length)
	binary.LittleEndian.PutUint32(c.mem[12:], flags)
	return c.addr(0)
}

func (c *client) answer(off int) int { return int(int32(binary.LittleEndian.Uint32(c.mem[off:]))) }

// alloc is an ALLOC that must succeed.
func (c *client) alloc(length uint64, flags uint32) int {
	c.is("alloc", c.ioctl(callerHeap, uint64(uapi.HeapIoctlAlloc), c.request(length, flags)), unix.Errno(0))
	return c.answer(8)
}

func (c *client) others() {
	alloc := uint64(uapi.HeapIoctlAlloc)
	c.is("another file", c.ioctl(callerOther, alloc, c.request(4096, 0)), unix.ENOTTY)
	c.is("another file's SYNC", c.ioctl(callerOther, uint64(uapi.BufIoctlSync), c.request(1, 0)), unix.ENOTTY)
	c.is("no descriptor", c.ioctl(99, alloc, c.request(4096, 0)), unix.EBADF)
	c.is("descriptor -1", c.ioctl(-1, alloc, c.request(4096, 0)), unix.EBADF)
	path, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", callerHeap), unix.O_PATH|unix.O_CLOEXEC, 0)
	c.is("open O_PATH", err, nil)
	c.is("an O_PATH descriptor", c.ioctl(path, alloc, c.request(4096, 0)), unix.EBADF)
	sys.Close(path)
	_, err = unix.IoctlGetTermios(callerHeap, unix.TCGETS)
	c.is("a command that is not trapped", err, unix.ENOTTY)
	c.is("lowest free descriptor", c.lowestFree(), c.lowest)
}

func (c *client) refusals() {
	alloc := uint64(uapi.HeapIoctlAlloc)
	c.is("no pointer", c.ioctl(callerHeap, alloc, 0), unix.EFAULT)
	c.is("a kernel's pointer", c.ioctl(callerHeap, alloc, ^uintptr(0)-4095), unix.EFAULT)
	c.request(4096, 0)
	c.is("mprotect", unix.Mprotect(c.mem[:4096], unix.PROT_READ), nil)
	c.is("an argument that can't be written", c.ioctl(callerHeap, alloc, c.addr(0)), unix.EFAULT)
	c.is("mprotect", unix.Mprotect(c.mem[:4096], unix.PROT_READ|unix.PROT_WRITE), nil)
	copy(c.mem[4096-12:], c.mem[:24])
	c.is("mprotect", unix.Mprotect(c.mem[4096:8192], unix.PROT_NONE), nil)
	c.is("an argument that ends in a hole", c.ioctl(callerHeap, alloc, c.addr(4096-12)), unix.EFAULT)
	c.is("mprotect", unix.Mprotect(c.mem[4096:8192], unix.PROT_READ|unix.PROT_WRITE), nil)
	c.is("no length", c.ioctl(callerHeap, alloc, c.request(0, 0)), unix.EINVAL)
	c.is("a flag outside", c.ioctl(callerHeap, alloc, c.request(4096, unix.O_NONBLOCK)), unix.EINVAL)
	c.is("more than there is", c.ioctl(callerHeap, alloc, c.request(1<<40, 0)), unix.ENOMEM)
	c.is("lowest free descriptor", c.lowestFree(), c.lowest)
}

func (c *client) buffers() {
	for _, flags := range []uint32{unix.O_RDONLY, unix.O_RDWR, unix.O_RDWR | unix.O_CLOEXEC, unix.O_WRONLY} {
		fd := c.alloc(5000, flags)
		c.is("the lowest free number", fd, c.lowest)
		var st unix.Stat_t
		c.is("fstat", unix.Fstat(fd, &st), nil)
		c.is("size", st.Size, int64(8192))
		got, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		c.is("F_GETFD", err, nil)
		c.is("close-on-exec", got != 0, flags&unix.O_CLOEXEC != 0)
		got, err = unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		c.is("F_GETFL", err, nil)
		c.is("access", got&unix.O_ACCMODE, int(flags&unix.O_ACCMODE))
		sys.Close(fd)
	}
	// Sign bits, garbage, another size and another direction.
	for _, cmd := range []uint64{0xFFFFFFFF_C0184800, 0x12345678_C0184800, 0xC0104800, 0xC0304800, 0xC0C84800} {
		c.is(fmt.Sprintf("command %#x", cmd), c.ioctl(callerHeap, cmd, c.request(4096, unix.O_RDWR)), unix.Errno(0))
		c.is("the lowest free number", c.answer(8), c.lowest)
		sys.Close(c.lowest)
	}
	dup, err := unix.FcntlInt(callerHeap, unix.F_DUPFD_CLOEXEC, 50)
	c.is("dup", err, nil)
	c.is("a duplicate of the heap", c.ioctl(dup, uint64(uapi.HeapIoctlAlloc), c.request(4096, unix.O_RDWR)), unix.Errno(0))
	fd := c.answer(8)
	view, err := unix.Mmap(fd, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	c.is("mmap", err, nil)
	sys.Close(fd)
	c.is("the buffer is zeroed", view[0], byte(0))
	view[4095] = 1
	c.is("munmap", unix.Munmap(view), nil)
	for range 200 { // five times the pool
		sys.Close(c.alloc(16<<10, unix.O_RDWR))
	}
}

// habits has calls on one descriptor often enough for it to be known, and then changes what the descriptor is.
func (c *client) habits() {
	const heap = 60
	alloc := uint64(uapi.HeapIoctlAlloc)
	on := func(what string, fd int, want unix.Errno) {
		c.is(what, c.ioctl(fd, alloc, c.request(4096, unix.O_RDWR)), want)
		if want == 0 {
			c.is(what+": the lowest free number", c.answer(8), c.lowest)
			sys.Close(c.answer(8))
		} else {
			c.is(what+": no number", c.answer(8), 0)
		}
	}
	becomes := func(fd int) { c.is("dup3", unix.Dup3(fd, heap, unix.O_CLOEXEC), nil) }
	often := func(what string) {
		for range 200 { // it takes a moment until a descriptor is known
			on(what, heap, 0)
		}
	}
	for range 3 {
		becomes(callerHeap)
		often("a heap")
		becomes(callerOther)
		on("another file", heap, unix.ENOTTY)
		becomes(callerHeap)
		often("the heap again")
		sys.Close(heap)
		on("a closed descriptor", heap, unix.EBADF)
		again, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", callerHeap), unix.O_RDWR|unix.O_CLOEXEC, 0)
		c.is("open", err, nil)
		becomes(again)
		sys.Close(again)
		often("another open of the heap")
		path, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", callerHeap), unix.O_PATH|unix.O_CLOEXEC, 0)
		c.is("open O_PATH", err, nil)
		becomes(path)
		sys.Close(path)
		for range 3 {
			on("an O_PATH descriptor", heap, unix.EBADF)
		}
	}
	becomes(callerHeap)

	// The numbers go up, and then one in between is free.
	var fds []int
	for range 8 {
		next := c.lowestFree()
		fds = append(fds, c.alloc(4096, unix.O_RDWR))
		c.is("the next number", fds[len(fds)-1], next)
	}
	for _, i := range []int{2, 5, 3} {
		sys.Close(fds[i])
		c.is("a number that became free", c.alloc(4096, unix.O_RDWR), fds[i])
	}
	var old unix.Rlimit
	c.is("getrlimit", unix.Getrlimit(unix.RLIMIT_NOFILE, &old), nil)
	c.is("setrlimit", unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(fds[7] + 1), Max: old.Max}), nil)
	on("no number is left", heap, unix.EMFILE)
	c.is("setrlimit", unix.Setrlimit(unix.RLIMIT_NOFILE, &old), nil)
	for _, fd := range fds {
		sys.Close(fd)
	}
}

func (c *client) bufferCalls() {
	fd := c.alloc(4096, unix.O_RDWR)
	sync, name := uint64(uapi.BufIoctlSync), uint64(uapi.BufIoctlSetNameB)
	c.is("SYNC of nothing", c.ioctl(fd, sync, c.request(0, 0)), unix.EINVAL)
	c.is("SYNC without a pointer", c.ioctl(fd, sync, 0), unix.EFAULT)
	c.is("SYNC START", c.ioctl(fd, sync, c.request(3, 0)), unix.Errno(0))
	c.is("SYNC END", c.ioctl(fd, sync, c.request(7, 0)), unix.Errno(0))
	c.is("an ALLOC from a buffer", c.ioctl(fd, uint64(uapi.HeapIoctlAlloc), c.request(4096, 0)), unix.ENOTTY)
	c.is("a command of its own that is none", c.ioctl(fd, 0x40106200, c.request(3, 0)), unix.ENOTTY)
	c.is("SET_NAME without a pointer", c.ioctl(fd, name, 0), unix.EFAULT)
	copy(c.mem[4096:], "0123456789012345678901234567890123456789")
	c.is("SET_NAME too long", c.ioctl(fd, name, c.addr(4096)), unix.EINVAL)
	copy(c.mem[3*4096-7:], "camera\x00") // the end of the client's memory
	c.is("SET_NAME", c.ioctl(fd, name, c.addr(3*4096-7)), unix.Errno(0))
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	c.is("dup", err, nil)
	sys.Close(fd)
	c.is("SYNC on a duplicate", c.ioctl(dup, sync, c.request(3, 0)), unix.Errno(0))
	sys.Close(dup)
	c.is("SYNC on a closed one", c.ioctl(dup, sync, c.request(3, 0)), unix.EBADF)
}

func (c *client) syncFiles() {
	buf := c.alloc(4096, unix.O_RDWR)
	export, imports := uint64(uapi.BufIoctlExportSyncFile), uint64(uapi.BufIoctlImportSyncFile)
	arg := func(flags uint32, fd int) uintptr {
		binary.LittleEndian.PutUint32(c.mem, flags)
		binary.LittleEndian.PutUint32(c.mem[4:], uint32(fd))
		return c.addr(0)
	}
	c.is("EXPORT of nothing", c.ioctl(buf, export, arg(0, 0)), unix.EINVAL)
	c.is("EXPORT", c.ioctl(buf, export, arg(3, 0)), unix.Errno(0))
	fence := c.answer(4)
	fds := []unix.PollFd{{Fd: int32(fence), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	c.is("poll", err, nil)
	c.is("it has signalled", n, 1)
	c.is("IMPORT of a buffer", c.ioctl(buf, imports, arg(3, buf)), unix.EINVAL)
	c.is("IMPORT of nothing", c.ioctl(buf, imports, arg(3, -1)), unix.EINVAL)
	c.is("IMPORT", c.ioctl(buf, imports, arg(1, fence)), unix.Errno(0))

	c.is("ALLOC on a sync file", c.ioctl(fence, uint64(uapi.HeapIoctlAlloc), c.request(4096, 0)), unix.ENOTTY)
	c.is("SYNC on a sync file", c.ioctl(fence, uint64(uapi.BufIoctlSync), arg(3, 0)), unix.ENOTTY)

	merge, info := uint64(uapi.SyncIoctlMerge), uint64(uapi.SyncIoctlFileInfo)
	clear(c.mem[:64])
	copy(c.mem, "merged")
	binary.LittleEndian.PutUint32(c.mem[32:], uint32(buf))
	c.is("MERGE with a buffer", c.ioctl(fence, merge, c.addr(0)), unix.ENOENT)
	c.is("MERGE on a buffer", c.ioctl(buf, merge, c.addr(0)), unix.ENOTTY)
	binary.LittleEndian.PutUint32(c.mem[32:], uint32(fence))
	c.is("MERGE", c.ioctl(fence, merge, c.addr(0)), unix.Errno(0))
	merged := c.answer(uapi.SyncMergeFence)
	clear(c.mem[:64])
	c.is("FILE_INFO", c.ioctl(merged, info, c.addr(0)), unix.Errno(0))
	c.is("its name", unix.ByteSliceToString(c.mem[:32]), "merged")
	c.is("its status", c.answer(32), 1)
	c.is("its fences", c.answer(40), 1)
	poller, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	c.is("epoll_create1", err, nil)
	c.is("FILE_INFO on an epoll set that is none", c.ioctl(poller, info, c.addr(0)), unix.EINVAL) // the kernel's
}

func (c *client) fewDescriptors() {
	var old unix.Rlimit
	c.is("getrlimit", unix.Getrlimit(unix.RLIMIT_NOFILE, &old), nil)
	c.is("setrlimit", unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(c.lowest), Max: old.Max}), nil)
	c.is("no number is left", c.ioctl(callerHeap, uint64(uapi.HeapIoctlAlloc), c.request(4096, 0)), unix.EMFILE)
	c.is("setrlimit", unix.Setrlimit(unix.RLIMIT_NOFILE, &old), nil)
	sys.Close(c.alloc(4096, unix.O_RDWR))
}
