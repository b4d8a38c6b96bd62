package rows

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
	"github.com/heapfs/heapfs/uapi"
)

// throughSocket sends a descriptor by SCM_RIGHTS and gives the one that arrived.
func throughSocket(fd int) int {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must("socketpair", err)
	must("sendmsg", unix.Sendmsg(pair[0], []byte{1}, unix.UnixRights(fd), nil, 0))
	return receive(pair[1])
}

// receive takes one descriptor from a socket.
func receive(socket int) int {
	space := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(socket, make([]byte, 1), space, unix.MSG_CMSG_CLOEXEC)
	must("recvmsg", err)
	messages, err := unix.ParseSocketControlMessage(space[:n])
	must("parse", err)
	for _, m := range messages {
		if fds, err := unix.ParseUnixRights(&m); err == nil && len(fds) == 1 {
			return fds[0]
		}
	}
	panic(setUpFailure{"set-up: recvmsg: no descriptor came"})
}

// use says that a descriptor is a buffer with the byte b at its beginning, and does all that a buffer is for.
func use(fd int, b byte) string {
	p := mapRW(fd, pageSize)
	return each(named("byte", at(p, 1)[0] == b), named("sync", sync8(fd, syncRW)), named("end", sync8(fd, syncRW|syncEnd)),
		named("name", setName(fd, "used")), named("size", value(unix.Seek(fd, 0, unix.SEEK_END))))
}

// marked is a buffer of a page with the byte b at its beginning.
func marked(c *Case, flags uint32, b byte) int {
	fd := c.BufferMode(pageSize, flags)
	fill(mapRW(fd, pageSize), 1, b)
	return fd
}

// lifeRows: copies of a descriptor, and who holds the memory.
func lifeRows() []Row {
	return []Row{
		{ID: "life-dup", What: "use of a copy of the descriptor, the first closed", Try: func(c *Case) string {
			fd := marked(c, unix.O_RDWR, 5)
			other := get[int]("dup")(unix.Dup(fd))
			sys.Close(fd)
			return use(other, 5)
		}},
		{ID: "life-dup2", What: "use of the descriptor at a number of the caller's choice", Try: func(c *Case) string {
			fd := marked(c, unix.O_RDWR, 5)
			must("dup3", unix.Dup3(fd, 300, unix.O_CLOEXEC))
			sys.Close(fd)
			return use(300, 5)
		}},
		{ID: "life-passed", What: "use of a descriptor that came by SCM_RIGHTS", Try: func(c *Case) string {
			fd := marked(c, unix.O_RDWR, 6)
			other := throughSocket(fd)
			sys.Close(fd)
			return use(other, 6)
		}},
		{ID: "life-in-flight", What: "use of a descriptor that was nowhere but in a socket, with other buffers made since", Try: func(c *Case) string {
			fd := marked(c, unix.O_RDWR, 7)
			pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			must("socketpair", err)
			must("sendmsg", unix.Sendmsg(pair[0], []byte{1}, unix.UnixRights(fd), nil, 0))
			sys.Close(fd)
			for range 10 {
				sys.Close(marked(c, unix.O_RDWR, 9))
			}
			return use(receive(pair[1]), 7)
		}},
		{ID: "life-passed-to-child", What: "use by a child that got the descriptor by SCM_RIGHTS", Try: func(c *Case) string {
			pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
			must("socketpair", err)
			fd := marked(c, unix.O_RDWR|unix.O_CLOEXEC, 8)
			must("sendmsg", unix.Sendmsg(pair[0], []byte{1}, unix.UnixRights(fd), nil, 0))
			sys.Close(fd)
			return c.helper("receive", nil, fmt.Sprint(pair[1]), "8")
		}},
		{ID: "life-inherited", What: "use by a child that inherited the descriptor", Try: func(c *Case) string {
			return c.helper("use", nil, fmt.Sprint(marked(c, unix.O_RDWR, 9)), "9")
		}},
		{ID: "life-from-child", What: "use of a buffer that an ended child made and sent", Try: func(c *Case) string {
			pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
			must("socketpair", err)
			made := c.helper("make-and-send", nil, fmt.Sprint(pair[1]), fmt.Sprint(c.Node(unix.O_RDWR)))
			return each(made, use(receive(pair[0]), 0x33))
		}},
		{ID: "life-pidfd-getfd", What: "use of a copy by pidfd_getfd", Try: func(c *Case) string {
			fd := marked(c, unix.O_RDWR, 4)
			pidfd := get[int]("pidfd_open")(unix.PidfdOpen(unix.Getpid(), 0))
			other, err := unix.PidfdGetfd(pidfd, fd, 0)
			if err != nil {
				return errName(err)
			}
			return use(other, 4)
		}},
		{ID: "life-mapping-only", What: "the bytes of a mapping that is all that is left, while 40 buffers come and go", Try: func(c *Case) string {
			fd := c.Buffer(pageSize)
			p := mapRW(fd, pageSize)
			fill(p, pageSize, 2)
			sys.Close(fd)
			for range 40 {
				sys.Close(marked(c, unix.O_RDWR, 9))
			}
			return fmt.Sprint(filled(p, pageSize, 2))
		}},
		{ID: "life-node-closed", What: "use of a buffer whose node was closed", Try: func(c *Case) string { return use(marked(c, unix.O_RDWR, 1), 1) }},
		{ID: "life-double-close", What: "close of a buffer, twice", Try: func(c *Case) string {
			fd := c.Buffer(1)
			return each(errName(unix.Close(fd)), errName(unix.Close(fd)))
		}},
	}
}

// foreignRows: the same commands on files that are neither heap nor buffer nor sync file.
func foreignRows() []Row {
	commands := []struct {
		name string
		cmd  uapi.Cmd
	}{
		{"alloc", uapi.HeapIoctlAlloc}, {"sync", uapi.BufIoctlSync}, {"name-a", uapi.BufIoctlSetNameA}, {"name-b", uapi.BufIoctlSetNameB},
		{"export", uapi.BufIoctlExportSyncFile}, {"import", uapi.BufIoctlImportSyncFile}, {"merge", uapi.SyncIoctlMerge},
		{"info", uapi.SyncIoctlFileInfo}, {"deadline", uapi.SyncIoctlSetDeadline},
	}
	path := func(p string, flags int) func() int {
		return func() int { return get[int]("open " + p)(unix.Open(p, flags|unix.O_CLOEXEC, 0)) }
	}
	var rows []Row
	for _, f := range []struct {
		id, what string
		open     func() int
	}{
		{"pipe", "a pipe", func() int { return pipeEnds()[0] }},
		{"socket", "a socket", func() int { return get[int]("socket")(unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)) }},
		{"file", "a regular file", path("/proc/self/exe", unix.O_RDONLY)},
		{"proc", "a file of proc", path("/proc/self/status", unix.O_RDONLY)},
		{"directory", "a directory", path("/", unix.O_RDONLY|unix.O_DIRECTORY)},
		{"null", "/dev/null", path("/dev/null", unix.O_RDWR)},
		{"memfd", "a memfd of the caller's", func() int { return memfd(pageSize) }},
		{"eventfd", "an eventfd", func() int { return get[int]("eventfd")(unix.Eventfd(0, unix.EFD_CLOEXEC)) }},
		{"terminal", "a terminal", path("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY)},
	} {
		rows = append(rows, Row{ID: "foreign-" + f.id, What: "the commands of heaps, buffers and sync files on " + f.what, Try: func(*Case) string {
			fd := f.open()
			var answers []string
			for _, x := range commands {
				answers = append(answers, named(x.name, errName(ioctl(fd, x.cmd, newArea(1).base))))
			}
			return each(answers...)
		}})
	}
	return append(rows, Row{ID: "foreign-fionread", What: "FIONREAD of a pipe with 5 bytes", Try: func(*Case) string {
		ends := pipeEnds()
		get[int]("write")(unix.Write(ends[1], []byte("12345")))
		return value(unix.IoctlGetInt(ends[0], fionread))
	}})
}

// protectedRows: a buffer that the processor may not touch. No judge of ours has such a heap; what a kernel answers is read from its
// source (drivers/tee/tee_heap.c).
func protectedRows() []Row {
	protected := func(c *Case, flags uint32) int {
		other := Case{Dir: c.Dir, Heap: "protected,secure-video"}
		return other.BufferMode(pageSize, flags)
	}
	return []Row{
		{ID: "protected-mmap", What: "mapping of a protected buffer", Needs: NeedProtected, Try: func(c *Case) string {
			_, errno := sys.RawMap(pageSize, protRW, unix.MAP_SHARED, protected(c, unix.O_RDWR), 0)
			return errName(errno)
		}},
		{ID: "protected-mode", What: "the access mode of a protected buffer", Needs: NeedProtected, Try: func(c *Case) string {
			return accessName(get[int]("F_GETFL")(unix.FcntlInt(uintptr(protected(c, unix.O_RDWR)), unix.F_GETFL, 0)))
		}},
		{ID: "protected-sync", What: "SYNC of a protected buffer", Needs: NeedProtected, Try: func(c *Case) string {
			return sync8(protected(c, unix.O_RDWR), syncRW)
		}},
		{ID: "protected-size", What: "the size of a protected buffer", Needs: NeedProtected, Try: func(c *Case) string {
			return value(unix.Seek(protected(c, unix.O_RDWR), 0, unix.SEEK_END))
		}},
	}
}
