package rows

import (
	"fmt"
	"os"
	"regexp"
	"sort"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
	"github.com/heapfs/heapfs/uapi"
)

// openRows: ways to open a node, and that any of them may allocate.
func openRows() []Row {
	var rows []Row
	for _, o := range []struct {
		id, what string
		flags    int
	}{
		{"rdonly", "O_RDONLY", unix.O_RDONLY},
		{"wronly", "O_WRONLY", unix.O_WRONLY},
		{"rdwr", "O_RDWR", unix.O_RDWR},
		{"accmode", "access mode 3", unix.O_ACCMODE},
		{"path", "O_PATH", unix.O_PATH},
		{"nonblock", "O_NONBLOCK", unix.O_RDWR | unix.O_NONBLOCK},
		{"append", "O_APPEND", unix.O_RDWR | unix.O_APPEND},
		{"trunc", "O_TRUNC", unix.O_RDWR | unix.O_TRUNC},
		{"creat", "O_CREAT", unix.O_RDWR | unix.O_CREAT},
		{"excl", "O_CREAT|O_EXCL", unix.O_RDWR | unix.O_CREAT | unix.O_EXCL},
		{"directory", "O_DIRECTORY", unix.O_RDONLY | unix.O_DIRECTORY},
		{"nofollow", "O_NOFOLLOW", unix.O_RDWR | unix.O_NOFOLLOW},
		{"noctty", "O_NOCTTY", unix.O_RDWR | unix.O_NOCTTY},
		{"sync", "O_SYNC", unix.O_RDWR | unix.O_SYNC},
		{"direct", "O_DIRECT", unix.O_RDWR | unix.O_DIRECT},
		{"tmpfile", "O_TMPFILE", unix.O_RDWR | unix.O_TMPFILE},
	} {
		rows = append(rows, Row{ID: "open-" + o.id, What: "open of a node with " + o.what + ", and an ALLOC", Try: func(c *Case) string {
			fd, err := unix.Open(c.Path(), o.flags, 0o600)
			if err != nil {
				return errName(err)
			}
			data := usual.bytes()
			return each("0", named("alloc:", ask(fd, uapi.HeapIoctlAlloc, newArea(1).putFirst(data), len(data))))
		}})
	}
	return append(rows,
		Row{ID: "open-missing", What: "open of a node that is not there", Try: func(c *Case) string {
			_, err := unix.Open(c.Path()+"-none", unix.O_RDWR, 0)
			return errName(err)
		}},
		Row{ID: "open-below", What: "open of a path below a node", Try: func(c *Case) string {
			_, err := unix.Open(c.Path()+"/x", unix.O_RDWR, 0)
			return errName(err)
		}},
		Row{ID: "open-proc", What: "open of a node's descriptor by /proc, and an ALLOC", Try: func(c *Case) string {
			fd, err := unix.Open(sys.FDPath(c.RW()), unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return errName(err)
			}
			data := usual.bytes()
			return each("0", named("alloc:", ask(fd, uapi.HeapIoctlAlloc, newArea(1).putFirst(data), len(data))))
		}},
		Row{ID: "dir-list", What: "every entry of the directory opens and answers number 1 with EINVAL", Try: everyEntry},
	)
}

func everyEntry(c *Case) string {
	entries, err := os.ReadDir(c.Dir)
	must("readdir", err)
	var odd []string
	for _, e := range entries {
		heap := Case{Dir: c.Dir, Heap: e.Name()}
		fd, err := unix.Open(heap.Path(), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			odd = append(odd, e.Name()+" "+errName(err))
			continue
		}
		if errno := ioctl(fd, uapi.IOC(0, uapi.HeapMagic, 1, 0), 0); errno != unix.EINVAL {
			odd = append(odd, e.Name()+" "+errName(errno))
		}
	}
	sort.Strings(odd)
	if len(odd) > 0 {
		return strings.Join(odd, ", ")
	}
	return "all"
}

// nodeFileRows: a node as a file.
func nodeFileRows() []Row {
	one := []byte{1}
	rows := []Row{
		{ID: "node-stat", What: "what stat says of a node", Try: func(c *Case) string {
			var st unix.Stat_t
			must("stat", unix.Stat(c.Path(), &st))
			kind := map[uint32]string{unix.S_IFCHR: "char device", unix.S_IFREG: "regular file"}[st.Mode&unix.S_IFMT]
			return each(kind, named("rdev", map[bool]string{true: "set", false: "0"}[st.Rdev != 0]), fmt.Sprintf("%d bytes", st.Size))
		}},
		{ID: "node-statfs", What: "the type of a node's file system", Try: func(c *Case) string {
			var st unix.Statfs_t
			must("statfs", unix.Fstatfs(c.RW(), &st))
			return fsName(st.Type)
		}},
		{ID: "node-isatty", What: "TCGETS on a node", Try: func(c *Case) string {
			_, err := unix.IoctlGetTermios(c.RW(), unix.TCGETS)
			return errName(err)
		}},
		{ID: "node-link", What: "the text of /proc/self/fd/N", Try: func(c *Case) string {
			text, err := os.Readlink(sys.FDPath(c.RW()))
			must("readlink", err)
			return strings.Replace(text, c.Path(), "NODE", 1)
		}},
		{ID: "node-getfl", What: "F_GETFL of a node", Try: func(c *Case) string {
			flags, err := unix.FcntlInt(uintptr(c.RW()), unix.F_GETFL, 0)
			must("F_GETFL", err)
			return flagNames(flags &^ 0o100000) // every open of a 64-bit process has O_LARGEFILE or not, by the C library
		}},
	}
	for _, mode := range []struct {
		id    string
		flags int
	}{{"rdonly", unix.O_RDONLY}, {"wronly", unix.O_WRONLY}, {"rdwr", unix.O_RDWR}} {
		for _, n := range []int{0, 1} {
			p := one[:n]
			rows = append(rows,
				Row{ID: fmt.Sprintf("node-read-%d-%s", n, mode.id), What: fmt.Sprintf("read of %d bytes from a node that is open %s", n, mode.id),
					Try: func(c *Case) string { return value(unix.Read(c.Node(mode.flags), p)) }},
				Row{ID: fmt.Sprintf("node-write-%d-%s", n, mode.id), What: fmt.Sprintf("write of %d bytes to a node that is open %s", n, mode.id),
					Try: func(c *Case) string { return value(unix.Write(c.Node(mode.flags), p)) }})
		}
	}
	for _, x := range []struct {
		id, what string
		call     func(fd int) error
	}{
		{"pread", "pread", func(fd int) error { _, err := unix.Pread(fd, one, 0); return err }},
		{"pwrite", "pwrite", func(fd int) error { _, err := unix.Pwrite(fd, one, 0); return err }},
		{"lseek-set", "lseek SEEK_SET", func(fd int) error { _, err := unix.Seek(fd, 0, unix.SEEK_SET); return err }},
		{"lseek-cur", "lseek SEEK_CUR", func(fd int) error { _, err := unix.Seek(fd, 0, unix.SEEK_CUR); return err }},
		{"lseek-end", "lseek SEEK_END", func(fd int) error { _, err := unix.Seek(fd, 0, unix.SEEK_END); return err }},
		{"lseek-8", "lseek to 8", func(fd int) error { _, err := unix.Seek(fd, 8, unix.SEEK_SET); return err }},
		{"ftruncate", "ftruncate to 0", func(fd int) error { return unix.Ftruncate(fd, 0) }},
		{"ftruncate-page", "ftruncate to a page", func(fd int) error { return unix.Ftruncate(fd, pageSize) }},
		{"fallocate", "fallocate", func(fd int) error { return unix.Fallocate(fd, 0, 0, pageSize) }},
		{"fsync", "fsync", unix.Fsync},
		{"fdatasync", "fdatasync", unix.Fdatasync},
		{"getdents", "getdents", func(fd int) error { _, err := unix.Getdents(fd, make([]byte, 512)); return err }},
		{"sendfile", "sendfile from it", func(fd int) error { _, err := unix.Sendfile(pipeEnds()[1], fd, nil, 1); return err }},
		{"splice", "splice from it", func(fd int) error { _, err := unix.Splice(fd, nil, pipeEnds()[1], nil, 1, 0); return err }},
		{"copy-file-range", "copy_file_range from it", func(fd int) error {
			_, err := unix.CopyFileRange(fd, nil, memfd(pageSize), nil, 1, 0)
			return err
		}},
		{"fadvise", "posix_fadvise", func(fd int) error { return unix.Fadvise(fd, 0, 0, unix.FADV_WILLNEED) }},
		{"syncfs", "syncfs", unix.Syncfs},
		{"fchdir", "fchdir", unix.Fchdir},
		{"get-seals", "F_GET_SEALS", func(fd int) error { _, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0); return err }},
		{"setxattr", "fsetxattr of a user attribute", func(fd int) error { return unix.Fsetxattr(fd, "user.x", one, 0) }},
		{"getxattr", "fgetxattr of a user attribute", func(fd int) error { _, err := unix.Fgetxattr(fd, "user.x", one); return err }},
	} {
		rows = append(rows, Row{ID: "node-" + x.id, What: x.what + " on a node", Try: func(c *Case) string { return errName(x.call(c.RW())) }})
	}
	return rows
}

func fsName(magic int64) string {
	return map[int64]string{0x444d4142: "dma-buf", unix.TMPFS_MAGIC: "tmpfs", 0x65735546: "fuse", 0x1373: "devfs"}[magic]
}

// pipeEnds makes a pipe that nobody waits for.
func pipeEnds() [2]int {
	var ends [2]int
	must("pipe", unix.Pipe2(ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK))
	return ends
}

var numbers = regexp.MustCompile(`^\d+:\d+\n$`)

// sysfsRows: the class directory beside the nodes.
func sysfsRows() []Row {
	read := func(c *Case, name string) string {
		data, err := os.ReadFile("/sys/class/dma_heap/" + c.Heap + "/" + name)
		if err != nil {
			return errName(err)
		}
		return string(data)
	}
	return []Row{
		{ID: "sys-link", What: "the link /sys/class/dma_heap/NAME", Try: func(c *Case) string {
			text, err := os.Readlink("/sys/class/dma_heap/" + c.Heap)
			return strings.Replace(value(text, err), c.Heap, "NAME", 1)
		}},
		{ID: "sys-dev", What: "its file dev", Try: func(c *Case) string {
			return named("major:minor", numbers.MatchString(read(c, "dev")))
		}},
		{ID: "sys-uevent", What: "its file uevent", Try: func(c *Case) string {
			text := strings.ReplaceAll(read(c, "uevent"), c.Heap, "NAME")
			return regexp.MustCompile(`=\d+`).ReplaceAllString(strings.Join(strings.Fields(text), " "), "=N")
		}},
		{ID: "sys-subsystem", What: "its link subsystem", Try: func(c *Case) string {
			return value(os.Readlink("/sys/class/dma_heap/" + c.Heap + "/subsystem"))
		}},
		{ID: "sys-entries", What: "the names in it", Try: func(c *Case) string {
			entries, err := os.ReadDir("/sys/class/dma_heap/" + c.Heap)
			if err != nil {
				return errName(err)
			}
			var names []string
			for _, e := range entries {
				names = append(names, e.Name())
			}
			return strings.Join(names, " ")
		}},
	}
}
