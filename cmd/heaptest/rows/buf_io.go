package rows

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/uapi"
)

// ioRows: a buffer is no file to read or write (dma_buf_fops).
func ioRows() []Row {
	one := func() []byte { return []byte{1} }
	var rows []Row
	for _, n := range []int{0, 1, 2 * threePages} {
		for mode, name := range []string{"rdonly", "wronly", "rdwr"} {
			rows = append(rows,
				Row{ID: fmt.Sprintf("buf-read-%d-%s", n, name), What: fmt.Sprintf("read of %d bytes from a buffer of 3 pages, %s", n, name),
					Try: func(c *Case) string { return value(unix.Read(c.BufferMode(threePages, uint32(mode)), make([]byte, n))) }},
				Row{ID: fmt.Sprintf("buf-write-%d-%s", n, name), What: fmt.Sprintf("write of %d bytes to a buffer of 3 pages, %s", n, name),
					Try: func(c *Case) string {
						return value(unix.Write(c.BufferMode(threePages, uint32(mode)), make([]byte, n)))
					}})
		}
	}
	for _, x := range []struct {
		id, what string
		call     func(fd int) (int, error)
	}{
		{"pread", "pread", func(fd int) (int, error) { return unix.Pread(fd, one(), 0) }},
		{"pwrite", "pwrite", func(fd int) (int, error) { return unix.Pwrite(fd, one(), 0) }},
		{"pread-beyond", "pread at the end", func(fd int) (int, error) { return unix.Pread(fd, one(), threePages) }},
		{"pwrite-beyond", "pwrite at the end", func(fd int) (int, error) { return unix.Pwrite(fd, one(), threePages) }},
		{"readv", "readv", func(fd int) (int, error) { return unix.Readv(fd, [][]byte{one()}) }},
		{"writev", "writev", func(fd int) (int, error) { return unix.Writev(fd, [][]byte{one()}) }},
		{"preadv", "preadv", func(fd int) (int, error) { return unix.Preadv(fd, [][]byte{one()}, 0) }},
		{"pwritev", "pwritev", func(fd int) (int, error) { return unix.Pwritev(fd, [][]byte{one()}, 0) }},
		{"sendfile-from", "sendfile from it", func(fd int) (int, error) { return unix.Sendfile(pipeEnds()[1], fd, nil, 8) }},
		{"sendfile-to", "sendfile to it", func(fd int) (int, error) { return unix.Sendfile(fd, memfd(pageSize), nil, 8) }},
		{"splice-from", "splice from it", func(fd int) (int, error) { return wide(unix.Splice(fd, nil, pipeEnds()[1], nil, 8, 0)) }},
		{"splice-to", "splice to it", func(fd int) (int, error) {
			ends := pipeEnds()
			get[int]("write")(unix.Write(ends[1], []byte("12345678")))
			return wide(unix.Splice(ends[0], nil, fd, nil, 8, 0))
		}},
		{"copy-from", "copy_file_range from it", func(fd int) (int, error) { return unix.CopyFileRange(fd, nil, memfd(pageSize), nil, 8, 0) }},
		{"copy-to", "copy_file_range to it", func(fd int) (int, error) { return unix.CopyFileRange(memfd(pageSize), nil, fd, nil, 8, 0) }},
		{"getdents", "getdents", func(fd int) (int, error) { return unix.Getdents(fd, make([]byte, 512)) }},
		{"tee", "tee from it", func(fd int) (int, error) { return wide(unix.Tee(fd, pipeEnds()[1], 8, 0)) }},
	} {
		rows = append(rows, Row{ID: "buf-" + x.id, What: x.what + ", of a buffer", Try: func(c *Case) string { return value(x.call(c.Buffer(threePages))) }})
	}
	return rows
}

func wide(n int64, err error) (int, error) { return int(n), err }

// resizeRows: a buffer keeps its size and its pages.
func resizeRows() []Row {
	var rows []Row
	for _, x := range []struct {
		id, what string
		call     func(fd int) error
	}{
		{"ftruncate-0", "ftruncate to 0", func(fd int) error { return unix.Ftruncate(fd, 0) }},
		{"ftruncate-same", "ftruncate to its size", func(fd int) error { return unix.Ftruncate(fd, threePages) }},
		{"ftruncate-page", "ftruncate to a page", func(fd int) error { return unix.Ftruncate(fd, pageSize) }},
		{"ftruncate-more", "ftruncate to a page more", func(fd int) error { return unix.Ftruncate(fd, threePages+pageSize) }},
		{"ftruncate-negative", "ftruncate to -1", func(fd int) error { return unix.Ftruncate(fd, -1) }},
		{"fallocate", "fallocate inside", func(fd int) error { return unix.Fallocate(fd, 0, 0, pageSize) }},
		{"fallocate-beyond", "fallocate beyond the end", func(fd int) error { return unix.Fallocate(fd, 0, threePages, pageSize) }},
		{"fallocate-keep", "fallocate beyond the end, KEEP_SIZE", func(fd int) error {
			return unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, threePages, pageSize)
		}},
		{"fallocate-punch", "fallocate PUNCH_HOLE", func(fd int) error {
			return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, pageSize)
		}},
		{"fallocate-zero", "fallocate ZERO_RANGE", func(fd int) error { return unix.Fallocate(fd, unix.FALLOC_FL_ZERO_RANGE, 0, pageSize) }},
		{"fallocate-collapse", "fallocate COLLAPSE_RANGE", func(fd int) error {
			return unix.Fallocate(fd, unix.FALLOC_FL_COLLAPSE_RANGE, 0, pageSize)
		}},
		{"fallocate-length-0", "fallocate of nothing", func(fd int) error { return unix.Fallocate(fd, 0, 0, 0) }},
		{"fsync", "fsync", unix.Fsync},
		{"fdatasync", "fdatasync", unix.Fdatasync},
		{"sync-file-range", "sync_file_range", func(fd int) error { return unix.SyncFileRange(fd, 0, pageSize, unix.SYNC_FILE_RANGE_WRITE) }},
		{"syncfs", "syncfs", unix.Syncfs},
		{"fadvise", "posix_fadvise DONTNEED", func(fd int) error { return unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED) }},
		{"readahead", "posix_fadvise WILLNEED", func(fd int) error { return unix.Fadvise(fd, 0, 0, unix.FADV_WILLNEED) }},
		{"fchmod", "fchmod to its own mode", func(fd int) error {
			var st unix.Stat_t
			must("fstat", unix.Fstat(fd, &st))
			return unix.Fchmod(fd, st.Mode&0o7777)
		}},
		{"futimens", "futimens", func(fd int) error { return unix.Futimes(fd, []unix.Timeval{{}, {}}) }},
		{"fchdir", "fchdir", unix.Fchdir},
		{"setxattr-user", "fsetxattr of a user attribute", func(fd int) error { return unix.Fsetxattr(fd, "user.x", []byte{1}, 0) }},
		{"getxattr-user", "fgetxattr of a user attribute", func(fd int) error { _, err := unix.Fgetxattr(fd, "user.x", make([]byte, 8)); return err }},
		{"listxattr", "flistxattr", func(fd int) error { _, err := unix.Flistxattr(fd, make([]byte, 256)); return err }},
	} {
		rows = append(rows, Row{ID: "buf-" + x.id, What: x.what + " of a buffer", Try: func(c *Case) string { return errName(x.call(c.Buffer(threePages))) }})
	}
	return append(rows, Row{ID: "buf-size-after", What: "the size of a buffer after all ways to change it", Try: func(c *Case) string {
		fd := c.Buffer(threePages)
		for _, n := range []int64{0, pageSize, 4 * pageSize} {
			_ = unix.Ftruncate(fd, n)
		}
		_ = unix.Fallocate(fd, 0, threePages, pageSize)
		_, _ = unix.Pwrite(fd, []byte{1}, threePages)
		var st unix.Stat_t
		must("fstat", unix.Fstat(fd, &st))
		return fmt.Sprint(st.Size)
	}})
}

// bufIoctlRows: commands that a buffer does not know.
func bufIoctlRows() []Row {
	var rows []Row
	for _, x := range []struct {
		id, what string
		cmd      uapi.Cmd
	}{
		{"b-4", "number 4", uapi.IOW(uapi.BufMagic, 4, 8)},
		{"b-255", "number 255", uapi.IOW(uapi.BufMagic, 255, 8)},
		{"sync-u32", "SYNC of 4 bytes", uapi.IOW(uapi.BufMagic, 0, 4)},
		{"sync-16", "SYNC of 16 bytes", uapi.IOW(uapi.BufMagic, 0, 16)},
		{"sync-none", "SYNC without an argument", uapi.IOC(0, uapi.BufMagic, 0, 0)},
		{"sync-out", "SYNC, copied out", uapi.IOC(2, uapi.BufMagic, 0, 8)},
		{"sync-both", "SYNC, copied both ways", uapi.IOWR(uapi.BufMagic, 0, 8)},
		{"name-16", "SET_NAME of 16 bytes", uapi.IOW(uapi.BufMagic, 1, 16)},
		{"name-out", "SET_NAME, copied out", uapi.IOC(2, uapi.BufMagic, 1, 8)},
		{"export-4", "EXPORT_SYNC_FILE of 4 bytes", uapi.IOWR(uapi.BufMagic, 2, 4)},
		{"export-in", "EXPORT_SYNC_FILE, copied in only", uapi.IOW(uapi.BufMagic, 2, 8)},
		{"import-both", "IMPORT_SYNC_FILE, copied both ways", uapi.IOWR(uapi.BufMagic, 3, 8)},
		{"import-16", "IMPORT_SYNC_FILE of 16 bytes", uapi.IOW(uapi.BufMagic, 3, 16)},
		{"alloc", "ALLOC", uapi.HeapIoctlAlloc},
		{"h-1", "number 1 of type H", uapi.IOWR(uapi.HeapMagic, 1, 24)},
		{"file-info", "SYNC_IOC_FILE_INFO", uapi.SyncIoctlFileInfo},
		{"merge", "SYNC_IOC_MERGE", uapi.SyncIoctlMerge},
		{"set-deadline", "SYNC_IOC_SET_DEADLINE", uapi.SyncIoctlSetDeadline},
		{"tcgets", "TCGETS", unix.TCGETS},
		{"fionread", "FIONREAD", fionread},
		{"fioclex", "FIOCLEX", fioclex},
		{"fionbio", "FIONBIO", fionbio},
		{"fioasync", "FIOASYNC", fioasync},
		{"fioqsize", "FIOQSIZE", fioqsize},
		{"figetbsz", "FIGETBSZ", figetbsz},
		{"getflags", "FS_IOC_GETFLAGS", unix.FS_IOC_GETFLAGS},
		{"fsgetxattr", "FS_IOC_FSGETXATTR", fsGetXattr},
		{"fiemap", "FS_IOC_FIEMAP", fiemap},
		{"ficlone", "FICLONE", ficlone},
		{"blkgetsize", "BLKGETSIZE64", blkSize},
	} {
		rows = append(rows, Row{ID: "buf-ioctl-" + x.id, What: x.what + " on a buffer", Try: func(c *Case) string {
			return errName(ioctl(c.Buffer(1), x.cmd, newArea(1).putFirst([]byte{3, 0, 0, 0, 0, 0, 0, 0})))
		}})
	}
	return append(rows,
		Row{ID: "buf-ioctl-fibmap", What: "FIBMAP on a buffer", Needs: NeedRoot, Try: func(c *Case) string {
			return errName(ioctl(c.Buffer(1), fibmap, newArea(1).base))
		}},
		Row{ID: "buf-ioctl-b-4-at-null", What: "number 4 on a buffer, NULL", Try: func(c *Case) string {
			return errName(ioctl(c.Buffer(1), uapi.IOW(uapi.BufMagic, 4, 8), nullAddress))
		}},
	)
}
