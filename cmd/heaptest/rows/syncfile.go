package rows

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
	"github.com/heapfs/heapfs/uapi"
)

// syncArg is struct dma_buf_export_sync_file and its brother for import.
func syncArg(flags uint32, fd int32) []byte {
	b := make([]byte, 8)
	uapi.SyncFileArg{Flags: flags, FD: fd}.Put(b)
	return b
}

// syncFile exports a sync file of a new buffer.
func (c *Case) syncFile() int { return exported(c.Buffer(1)) }

func exported(buffer int) int {
	return get[int]("EXPORT_SYNC_FILE")(sys.ExportSyncFile(buffer))
}

// exportAt exports with the struct at addr and says what came of it.
func exportAt(buffer int, addr uintptr, look bool) string {
	open := openNow()
	errno := ioctl(buffer, uapi.BufIoctlExportSyncFile, addr)
	answer := errName(errno)
	if errno != 0 {
		return answer + open.left()
	}
	for _, fd := range open.since() {
		cloexec, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		must("F_GETFD", err)
		answer += fmt.Sprintf(", fd %s, cloexec %d", open.place(fd), cloexec)
		if look {
			arg := uapi.DecodeSyncFile(at(addr, 8))
			answer += fmt.Sprintf(", told %v, flags %d", int(arg.FD) == fd, arg.Flags)
		}
	}
	return answer
}

// exportRows: EXPORT_SYNC_FILE (dma_buf_export_sync_file).
func exportRows() []Row {
	var rows []Row
	for _, flags := range []uint32{0, 1, 2, 3, 4, 5, 7, 8, 11, 1 << 31, 0xFFFFFFFF} {
		rows = append(rows,
			Row{ID: fmt.Sprintf("export-%#x", flags), What: fmt.Sprintf("EXPORT_SYNC_FILE with flags %#x", flags), Try: func(c *Case) string {
				return exportAt(c.Buffer(1), newArea(1).putFirst(syncArg(flags, -1)), true)
			}},
			Row{ID: fmt.Sprintf("import-%#x", flags), What: fmt.Sprintf("IMPORT_SYNC_FILE of a sync file with flags %#x", flags), Try: func(c *Case) string {
				fd := c.Buffer(1)
				return importFD(fd, flags, exported(fd))
			}})
	}
	for _, p := range badStructs {
		rows = append(rows, Row{ID: "export-at-" + p.id, What: "EXPORT_SYNC_FILE with its struct " + p.what, Try: func(c *Case) string {
			return exportAt(c.Buffer(1), p.addr(syncArg(syncRW, -1)), false)
		}}, Row{ID: "import-at-" + p.id, What: "IMPORT_SYNC_FILE with its struct " + p.what, Try: func(c *Case) string {
			fd := c.Buffer(1)
			return errName(ioctl(fd, uapi.BufIoctlImportSyncFile, p.addr(syncArg(syncRW, int32(exported(fd))))))
		}})
	}
	return append(rows,
		Row{ID: "export-fd-in", What: "EXPORT_SYNC_FILE with a descriptor on the way in", Try: func(c *Case) string {
			return exportAt(c.Buffer(1), newArea(1).putFirst(syncArg(syncRW, 77)), true)
		}},
		Row{ID: "export-bad-flags-read-only", What: "EXPORT_SYNC_FILE with bad flags on a read-only page", Try: func(c *Case) string {
			a := newArea(1)
			addr := a.putFirst(syncArg(0, -1))
			a.protect(unix.PROT_READ)
			return exportAt(c.Buffer(1), addr, false)
		}},
		Row{ID: "export-emfile", What: "EXPORT_SYNC_FILE without a free descriptor", Try: func(c *Case) string {
			fd, addr := c.Buffer(1), newArea(1).putFirst(syncArg(syncRW, -1))
			limit(openNow().lowest())
			return exportAt(fd, addr, true)
		}},
		Row{ID: "export-rdonly", What: "EXPORT_SYNC_FILE of a buffer that is open for reading", Try: func(c *Case) string {
			return exportAt(c.BufferMode(1, unix.O_RDONLY), newArea(1).putFirst(syncArg(syncRW, -1)), true)
		}},
		Row{ID: "export-lives-on", What: "poll of a sync file whose buffer was closed", Try: func(c *Case) string {
			buffer := c.Buffer(1)
			fd := exported(buffer)
			sys.Close(buffer)
			return poll(fd, unix.POLLIN)
		}},
	)
}

// badStructs are places for a struct; the data is put there as far as it can be.
var badStructs = []struct {
	id, what string
	addr     func(data []byte) uintptr
}{
	{"null", "at NULL", func([]byte) uintptr { return nullAddress }},
	{"kernel", "at an address of the kernel's", func([]byte) uintptr { return kernelAddress }},
	{"no-address", "at an address that is none", func([]byte) uintptr { return noAddress }},
	{"hole", "on an unmapped page", func([]byte) uintptr { return newArea(1).end() }},
	{"into-hole", "half on an unmapped page", func(data []byte) uintptr { return newArea(1).putLast(data) + uintptr(len(data)/2) }},
	{"last", "as the last of a page", func(data []byte) uintptr { return newArea(1).putLast(data) }},
	{"odd", "at an odd address", func(data []byte) uintptr {
		addr := newArea(1).base + 5
		copy(at(addr, len(data)), data)
		return addr
	}},
	{"read-only", "on a read-only page", func(data []byte) uintptr {
		a := newArea(1)
		addr := a.putLast(data)
		a.protect(unix.PROT_READ)
		return addr
	}},
	{"no-access", "on a page without access", func(data []byte) uintptr {
		a := newArea(1)
		addr := a.putLast(data)
		a.protect(unix.PROT_NONE)
		return addr
	}},
}

func importFD(buffer int, flags uint32, fd int) string {
	return errName(ioctl(buffer, uapi.BufIoctlImportSyncFile, newArea(1).putFirst(syncArg(flags, int32(fd)))))
}

// importRows: descriptors that are no sync file, and one that is.
func importRows() []Row {
	var rows []Row
	for _, x := range []struct {
		id, what string
		fd       func(c *Case, buffer int) int
	}{
		{"minus-1", "-1", func(*Case, int) int { return -1 }},
		{"closed", "a number that is not open", func(*Case, int) int { return 400 }},
		{"buffer", "the buffer itself", func(_ *Case, b int) int { return b }},
		{"node", "a node", func(c *Case, _ int) int { return c.RW() }},
		{"pipe", "a pipe", func(*Case, int) int { return pipeEnds()[0] }},
		{"memfd", "a memfd", func(*Case, int) int { return memfd(1) }},
		{"epoll", "an epoll set", func(*Case, int) int { return epollSet() }},
		{"epoll-of-eventfd", "an epoll set with an eventfd that is ready", func(*Case, int) int {
			set := epollSet()
			event := get[int]("eventfd")(unix.Eventfd(1, unix.EFD_CLOEXEC))
			must("epoll_ctl", unix.EpollCtl(set, unix.EPOLL_CTL_ADD, event, &unix.EpollEvent{Events: unix.EPOLLIN}))
			return set
		}},
		{"other-buffers", "the sync file of another buffer", func(c *Case, _ int) int { return c.syncFile() }},
		{"path", "an O_PATH descriptor of a sync file", func(c *Case, _ int) int {
			return get[int]("open O_PATH")(unix.Open(sys.FDPath(c.syncFile()), unix.O_PATH|unix.O_CLOEXEC, 0))
		}},
	} {
		rows = append(rows, Row{ID: "import-" + x.id, What: "IMPORT_SYNC_FILE of " + x.what, Try: func(c *Case) string {
			fd := c.Buffer(1)
			return importFD(fd, syncRW, x.fd(c, fd))
		}})
	}
	return append(rows, Row{ID: "import-bad-both", What: "IMPORT_SYNC_FILE with bad flags of what is no sync file", Try: func(c *Case) string {
		return importFD(c.Buffer(1), 0, -1)
	}})
}

// syncFileRows: a sync file as a file (sync_file_fops).
func syncFileRows() []Row {
	rows := pollTable("syncfile", "a sync file", (*Case).syncFile)
	for _, x := range []struct {
		id, what string
		say      func(fd int) string
	}{
		{"link", "the text of /proc/self/fd/N", link},
		{"fdinfo-keys", "the keys of fdinfo that not every file has", fdinfoKeys},
		{"getfl", "F_GETFL", func(fd int) string {
			return flagNames(get[int]("F_GETFL")(unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)))
		}},
		{"stat-type", "the file type", func(fd int) string {
			var st unix.Stat_t
			must("fstat", unix.Fstat(fd, &st))
			return fmt.Sprintf("%#o, %d bytes", st.Mode&unix.S_IFMT, st.Size)
		}},
		{"read", "read", func(fd int) string { return value(unix.Read(fd, make([]byte, 8))) }},
		{"write", "write", func(fd int) string { return value(unix.Write(fd, make([]byte, 8))) }},
		{"pread", "pread", func(fd int) string { return value(unix.Pread(fd, make([]byte, 8), 0)) }},
		{"lseek-cur", "lseek SEEK_CUR", func(fd int) string { return value(unix.Seek(fd, 0, unix.SEEK_CUR)) }},
		{"lseek-end", "lseek SEEK_END", func(fd int) string { return value(unix.Seek(fd, 0, unix.SEEK_END)) }},
		{"lseek-set-8", "lseek to 8", func(fd int) string { return value(unix.Seek(fd, 8, unix.SEEK_SET)) }},
		{"ftruncate", "ftruncate", func(fd int) string { return errName(unix.Ftruncate(fd, 0)) }},
		{"mmap", "mmap for reading", func(fd int) string {
			_, errno := sys.RawMap(pageSize, unix.PROT_READ, unix.MAP_SHARED, fd, 0)
			return errName(errno)
		}},
		{"epoll-wait", "epoll_wait on it", epollWait},
		{"epoll-ctl", "epoll_ctl on it", func(fd int) string {
			return errName(unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, pipeEnds()[0], &unix.EpollEvent{Events: unix.EPOLLIN}))
		}},
		{"still-ready", "poll after two reads and two waits", func(fd int) string {
			for range 2 {
				_, _ = unix.Read(fd, make([]byte, 8))
				epollWait(fd)
			}
			return pollBits(fd)
		}},
		{"ioctl-99", "number 99", func(fd int) string { return errName(ioctl(fd, uapi.IOC(0, uapi.SyncMagic, 99, 0), 0)) }},
		{"ioctl-eventpoll", "EPIOCGPARAMS", func(fd int) string { return errName(ioctl(fd, epiocGetParams, newArea(1).base)) }},
		{"ioctl-sync", "SYNC", func(fd int) string { return sync8(fd, syncRW) }},
		{"ioctl-alloc", "ALLOC", func(fd int) string {
			return errName(ioctl(fd, uapi.HeapIoctlAlloc, newArea(1).putFirst(usual.bytes())))
		}},
		{"ioctl-fionread", "FIONREAD", func(fd int) string { return errName(ioctl(fd, fionread, newArea(1).base)) }},
		{"ioctl-tcgets", "TCGETS", func(fd int) string { return errName(ioctl(fd, unix.TCGETS, newArea(1).base)) }},
	} {
		rows = append(rows, Row{ID: "syncfile-" + x.id, What: x.what + " of a sync file", Try: func(c *Case) string { return x.say(c.syncFile()) }})
	}
	return append(rows,
		// The inode of anonymous files is root's; for others it is EACCES before the file is asked.
		Row{ID: "syncfile-reopen", What: "open of /proc/self/fd/N of a sync file", Needs: NeedRoot, Try: func(c *Case) string {
			_, err := unix.Open(sys.FDPath(c.syncFile()), unix.O_RDONLY|unix.O_CLOEXEC, 0)
			return errName(err)
		}},
		Row{ID: "syncfile-exec", What: "a sync file after execve", Try: func(c *Case) string { return afterExec(c, c.syncFile()) }},
		Row{ID: "syncfile-in-child", What: "poll and FILE_INFO of a sync file that a child inherited", Try: func(c *Case) string {
			fd := get[int]("dup")(unix.Dup(c.syncFile()))
			return c.helper("sync-file", nil, fmt.Sprint(fd))
		}},
	)
}

// pollBits is poll for reading.
func pollBits(fd int) string { return poll(fd, unix.POLLIN) }

// deadline is struct sync_set_deadline.
func deadline(ns, pad uint64) []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, ns), pad)
}
