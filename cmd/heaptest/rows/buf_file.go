package rows

import (
	"fmt"
	"os"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
	"github.com/heapfs/heapfs/uapi"
)

// threePages is the size in bytes of a buffer with an inside.
const threePages = 3 * pageSize

// seekRows: lseek takes the two ends and nothing else (dma_buf_llseek).
func seekRows() []Row {
	var rows []Row
	for _, s := range []struct {
		id     string
		offset int64
		whence int
	}{
		{"set-0", 0, unix.SEEK_SET},
		{"end-0", 0, unix.SEEK_END},
		{"set-8", 8, unix.SEEK_SET},
		{"set-size", threePages, unix.SEEK_SET},
		{"set-beyond", 4 * pageSize, unix.SEEK_SET},
		{"set-minus-1", -1, unix.SEEK_SET},
		{"end-1", 1, unix.SEEK_END},
		{"end-minus-1", -1, unix.SEEK_END},
		{"cur-0", 0, unix.SEEK_CUR},
		{"cur-1", 1, unix.SEEK_CUR},
		{"data", 0, unix.SEEK_DATA},
		{"hole", 0, unix.SEEK_HOLE},
		{"unknown", 0, 99},
	} {
		rows = append(rows, Row{ID: "buf-lseek-" + s.id, What: fmt.Sprintf("lseek(%d, %d) of a buffer of %d bytes, then its position", s.offset, s.whence, threePages),
			Try: func(c *Case) string {
				fd := c.Buffer(threePages)
				return each(value(unix.Seek(fd, s.offset, s.whence)), "at "+fdinfo(fd, "pos"))
			}})
	}
	return rows
}

// fdinfo is the value of a key in /proc/self/fdinfo/N, "no KEY" without it.
func fdinfo(fd int, key string) string {
	for line := range strings.Lines(fdinfoText(fd)) {
		if name, v, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ":\t"); ok && name == key {
			return v
		}
	}
	return "no " + key
}

func fdinfoText(fd int) string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd))
	must("read fdinfo", err)
	return string(data)
}

// fdinfoKeys names the keys behind those that every file has.
func fdinfoKeys(fd int) string {
	var keys []string
	for line := range strings.Lines(fdinfoText(fd)) {
		key, _, _ := strings.Cut(line, ":")
		switch key {
		case "pos", "flags", "mnt_id", "ino":
		default:
			keys = append(keys, strings.Fields(key)[0])
		}
	}
	if len(keys) == 0 {
		return "none"
	}
	return strings.Join(keys, " ")
}

// link is the text of /proc/self/fd/N.
func link(fd int) string {
	text, err := os.Readlink(sys.FDPath(fd))
	must("readlink", err)
	return unnumbered(text)
}

// unnumbered takes the numbers of inodes out of a path.
func unnumbered(path string) string {
	path = regexp.MustCompile(`\[\d+\]`).ReplaceAllString(path, "[N]")
	return regexp.MustCompile(`:\d+$`).ReplaceAllString(path, ":N")
}

// statRows: what a buffer is as a file.
func statRows() []Row {
	stat := func(fd int) unix.Stat_t {
		var st unix.Stat_t
		must("fstat", unix.Fstat(fd, &st))
		return st
	}
	rows := []Row{}
	for _, x := range []struct {
		id, what string
		say      func(fd int) string
	}{
		{"stat-size", "st_size", func(fd int) string { return fmt.Sprint(stat(fd).Size) }},
		{"stat-type", "the file type", func(fd int) string { return fmt.Sprintf("%#o", stat(fd).Mode&unix.S_IFMT) }},
		{"stat-mode", "the permissions", func(fd int) string { return fmt.Sprintf("%#o", stat(fd).Mode&0o7777) }},
		{"stat-links", "st_nlink", func(fd int) string { return fmt.Sprint(stat(fd).Nlink) }},
		{"stat-rdev", "st_rdev", func(fd int) string { return fmt.Sprint(stat(fd).Rdev) }},
		{"stat-owner", "whether the owner is the caller", func(fd int) string { return fmt.Sprint(stat(fd).Uid == uint32(os.Getuid())) }},
		{"statfs", "the type of its file system", func(fd int) string {
			var st unix.Statfs_t
			must("fstatfs", unix.Fstatfs(fd, &st))
			return fsName(st.Type)
		}},
		{"link", "the text of /proc/self/fd/N", link},
		{"fdinfo-keys", "the keys of fdinfo that not every file has", fdinfoKeys},
		{"fdinfo-size", "size in fdinfo", func(fd int) string { return fdinfo(fd, "size") }},
		{"fdinfo-count", "count in fdinfo", func(fd int) string { return fdinfo(fd, "count") }},
		{"fdinfo-exp-name", "exp_name in fdinfo", func(fd int) string { return fdinfo(fd, "exp_name") }},
		{"getfl", "F_GETFL", func(fd int) string {
			return flagNames(get[int]("F_GETFL")(unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)))
		}},
		{"maps", "the name of a mapping in /proc/self/maps", func(fd int) string {
			return mapName(mapRW(fd, pageSize))
		}},
		{"same-inode", "whether a second buffer has another inode", func(fd int) string { return fmt.Sprint(stat(fd).Ino != 0) }},
	} {
		rows = append(rows, Row{ID: "buf-" + x.id, What: x.what + " of a buffer", Try: func(c *Case) string { return x.say(c.Buffer(threePages)) }})
	}
	return append(rows,
		Row{ID: "buf-inodes-differ", What: "whether two buffers are two inodes", Try: func(c *Case) string {
			one, other := c.Buffer(1), c.Buffer(1)
			return fmt.Sprint(stat(one).Ino != stat(other).Ino)
		}},
		Row{ID: "buf-fdinfo-count-dup", What: "count in fdinfo of a buffer with a copy of its descriptor", Try: func(c *Case) string {
			fd := c.Buffer(1)
			get[int]("dup")(unix.Dup(fd))
			return fdinfo(fd, "count")
		}},
		Row{ID: "buf-fdinfo-count-map", What: "count in fdinfo of a buffer with a mapping", Try: func(c *Case) string {
			fd := c.Buffer(1)
			mapRW(fd, pageSize)
			return fdinfo(fd, "count")
		}},
	)
}

// mapName is the last column of /proc/self/maps for an address.
func mapName(addr uintptr) string {
	data, err := os.ReadFile("/proc/self/maps")
	must("read maps", err)
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, fmt.Sprintf("%x-", addr)) {
			if fields := strings.Fields(line); len(fields) > 5 {
				return unnumbered(strings.Join(fields[5:], " "))
			}
			return "no name"
		}
	}
	return "no mapping"
}

// reopenRows: a buffer's descriptor by /proc.
func reopenRows() []Row {
	var rows []Row
	for _, o := range []struct {
		id    string
		flags int
	}{{"rdonly", unix.O_RDONLY}, {"wronly", unix.O_WRONLY}, {"rdwr", unix.O_RDWR}, {"path", unix.O_PATH}, {"trunc", unix.O_RDWR | unix.O_TRUNC}} {
		rows = append(rows, Row{ID: "buf-reopen-" + o.id, What: "open of /proc/self/fd/N of a buffer, " + o.id, Try: func(c *Case) string {
			_, err := unix.Open(sys.FDPath(c.Buffer(1)), o.flags|unix.O_CLOEXEC, 0)
			return errName(err)
		}})
	}
	return append(rows,
		Row{ID: "buf-path-stat", What: "stat of /proc/self/fd/N of a buffer", Try: func(c *Case) string {
			var st unix.Stat_t
			return each(errName(unix.Stat(sys.FDPath(c.Buffer(1)), &st)), fmt.Sprintf("%d bytes", st.Size))
		}},
		Row{ID: "buf-path-truncate", What: "truncate of /proc/self/fd/N of a buffer", Try: func(c *Case) string {
			return errName(unix.Truncate(sys.FDPath(c.Buffer(1)), 0))
		}},
		Row{ID: "buf-path-ioctl", What: "SYNC on an O_PATH descriptor of a buffer", Try: func(c *Case) string {
			fd := get[int]("open O_PATH")(unix.Open(sys.FDPath(c.Buffer(1)), unix.O_PATH|unix.O_CLOEXEC, 0))
			return errName(ioctl(fd, uapi.BufIoctlSync, newArea(1).putFirst([]byte{3, 0, 0, 0, 0, 0, 0, 0})))
		}},
		Row{ID: "buf-linkat", What: "linkat of a buffer to a name", Try: func(c *Case) string {
			path := fmt.Sprintf("/tmp/heaptest-link-%d", os.Getpid())
			err := unix.Linkat(unix.AT_FDCWD, sys.FDPath(c.Buffer(1)), unix.AT_FDCWD, path, unix.AT_SYMLINK_FOLLOW)
			if err == nil {
				must("unlink", unix.Unlink(path))
			}
			return errName(err)
		}},
		Row{ID: "buf-seals", What: "F_GET_SEALS of a buffer", Try: func(c *Case) string {
			seals, err := unix.FcntlInt(uintptr(c.Buffer(1)), unix.F_GET_SEALS, 0)
			return value(fmt.Sprintf("%#x", seals), err)
		}},
		Row{ID: "buf-add-seal-write", What: "F_ADD_SEALS F_SEAL_WRITE of a buffer", Try: func(c *Case) string { return addSeal(c.Buffer(1), unix.F_SEAL_WRITE) }},
		Row{ID: "buf-add-seal-grow", What: "F_ADD_SEALS F_SEAL_GROW of a buffer", Try: func(c *Case) string { return addSeal(c.Buffer(1), unix.F_SEAL_GROW) }},
		Row{ID: "buf-add-seal-none", What: "F_ADD_SEALS of nothing of a buffer", Try: func(c *Case) string { return addSeal(c.Buffer(1), 0) }},
	)
}

func addSeal(fd, seals int) string {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
	return errName(err)
}
