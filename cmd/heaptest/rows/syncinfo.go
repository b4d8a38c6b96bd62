package rows

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/uapi"
)

// text is the string at the beginning of a field.
func text(field []byte) string {
	s, _, _ := bytes.Cut(field, []byte{0})
	return string(s)
}

// infoArg is struct sync_file_info, 56 bytes.
func infoArg(flags, fences, pad uint32, addr uintptr) []byte {
	b := make([]byte, 36)
	b = binary.LittleEndian.AppendUint32(b, flags)
	b = binary.LittleEndian.AppendUint32(b, fences)
	b = binary.LittleEndian.AppendUint32(b, pad)
	return binary.LittleEndian.AppendUint64(b, uint64(addr))
}

// fileInfo asks for what a sync file is and writes it out. The numbers of contexts in a name differ from run to run.
func fileInfo(fd int, arg []byte) string {
	addr := newArea(1).putFirst(arg)
	if errno := ioctl(fd, uapi.SyncIoctlFileInfo, addr); errno != 0 {
		return errName(errno)
	}
	b := at(addr, len(arg))
	return fmt.Sprintf("0, name %q, status %d, fences %d, pointer kept %v",
		text(b[:32]), int32(binary.LittleEndian.Uint32(b[32:])), binary.LittleEndian.Uint32(b[40:]), bytes.Equal(b[48:], arg[48:]))
}

// fileInfoRows: SYNC_IOC_FILE_INFO and SYNC_IOC_SET_DEADLINE (sync_file_ioctl_fence_info).
func fileInfoRows() []Row {
	var rows []Row
	for _, x := range []struct {
		id, what string
		arg      func() []byte
	}{
		{"count", "no room for fences", func() []byte { return infoArg(0, 0, 0, 0) }},
		{"flags", "flags 1", func() []byte { return infoArg(1, 0, 0, 0) }},
		{"pad", "padding 1", func() []byte { return infoArg(0, 0, 1, 0) }},
		{"one", "room for one", func() []byte { return infoArg(0, 1, 0, newArea(1).base) }},
		{"many", "room for eight", func() []byte { return infoArg(0, 8, 0, newArea(1).base) }},
		{"most", "room for 2^32-1", func() []byte { return infoArg(0, 0xFFFFFFFF, 0, newArea(1).base) }},
		{"fences-null", "room at NULL", func() []byte { return infoArg(0, 1, 0, 0) }},
		{"fences-hole", "room on an unmapped page", func() []byte { return infoArg(0, 1, 0, newArea(1).end()) }},
		{"fences-into-hole", "room for half a fence", func() []byte { return infoArg(0, 1, 0, newArea(1).end()-40) }},
	} {
		rows = append(rows, Row{ID: "fileinfo-" + x.id, What: "SYNC_IOC_FILE_INFO with " + x.what,
			Try: func(c *Case) string { return fileInfo(c.syncFile(), x.arg()) }})
	}
	for _, p := range badStructs {
		rows = append(rows, Row{ID: "fileinfo-at-" + p.id, What: "SYNC_IOC_FILE_INFO with its struct " + p.what, Try: func(c *Case) string {
			return errName(ioctl(c.syncFile(), uapi.SyncIoctlFileInfo, p.addr(infoArg(0, 0, 0, 0))))
		}}, Row{ID: "deadline-at-" + p.id, What: "SYNC_IOC_SET_DEADLINE with its struct " + p.what, Try: func(c *Case) string {
			return errName(ioctl(c.syncFile(), uapi.SyncIoctlSetDeadline, p.addr(deadline(1, 0))))
		}})
	}
	for _, x := range []struct {
		id, what string
		ns, pad  uint64
	}{{"0", "0", 0, 0}, {"far", "the far future", 1 << 62, 0}, {"most", "2^64-1", 1<<64 - 1, 0}, {"pad", "1 and padding", 1, 1}} {
		rows = append(rows, Row{ID: "deadline-" + x.id, What: "SYNC_IOC_SET_DEADLINE of " + x.what, Try: func(c *Case) string {
			return errName(ioctl(c.syncFile(), uapi.SyncIoctlSetDeadline, newArea(1).putFirst(deadline(x.ns, x.pad))))
		}})
	}
	return append(rows,
		Row{ID: "fileinfo-fence", What: "the fence that SYNC_IOC_FILE_INFO tells", Try: func(c *Case) string { return fence(c.syncFile()) }},
		Row{ID: "fileinfo-58", What: "SYNC_IOC_FILE_INFO of another size", Try: func(c *Case) string {
			return errName(ioctl(c.syncFile(), uapi.IOWR(uapi.SyncMagic, 4, 58), newArea(1).base))
		}},
		Row{ID: "fileinfo-number-2", What: "the withdrawn numbers 0, 1 and 2 of a sync file", Try: func(c *Case) string {
			var answers []string
			for nr := range byte(3) {
				answers = append(answers, errName(ioctl(c.syncFile(), uapi.IOWR(uapi.SyncMagic, nr, 48), newArea(1).base)))
			}
			return strings.Join(answers, ", ")
		}},
	)
}

func fence(fd int) string {
	fences := newArea(1)
	if errno := ioctl(fd, uapi.SyncIoctlFileInfo, newArea(1).putFirst(infoArg(0, 1, 0, fences.base))); errno != 0 {
		return errName(errno)
	}
	b := at(fences.base, uapi.SyncFenceInfoSize)
	return fmt.Sprintf("%q of %q, status %d, flags %d, time set %v", text(b[:32]), text(b[32:64]),
		int32(binary.LittleEndian.Uint32(b[64:])), binary.LittleEndian.Uint32(b[68:]), binary.LittleEndian.Uint64(b[72:]) != 0)
}

// mergeArg is struct sync_merge_data, 48 bytes.
func mergeArg(name string, fd2 int, flags, pad uint32) []byte {
	b := make([]byte, 32)
	copy(b, name)
	b = binary.LittleEndian.AppendUint32(b, uint32(fd2))
	b = binary.LittleEndian.AppendUint32(b, 0xFFFFFFFF)
	b = binary.LittleEndian.AppendUint32(b, flags)
	return binary.LittleEndian.AppendUint32(b, pad)
}

// merge asks for a merged sync file and says what came of it, with the name that the new file has.
func merge(fd int, addr uintptr) string {
	open := openNow()
	errno := ioctl(fd, uapi.SyncIoctlMerge, addr)
	if errno != 0 {
		return errName(errno) + open.left()
	}
	answer := "0"
	for _, fresh := range open.since() {
		cloexec := get[int]("F_GETFD")(unix.FcntlInt(uintptr(fresh), unix.F_GETFD, 0))
		told := int(int32(binary.LittleEndian.Uint32(at(addr+uapi.SyncMergeFence, 4)))) == fresh
		answer += fmt.Sprintf(", fd %s, told %v, cloexec %d, poll %s, %s", open.place(fresh), told, cloexec, poll(fresh, unix.POLLIN),
			fileInfo(fresh, infoArg(0, 0, 0, 0)))
	}
	return answer
}

// mergeRows: SYNC_IOC_MERGE (sync_file_ioctl_merge).
func mergeRows() []Row {
	var rows []Row
	for _, x := range []struct {
		id, what   string
		name       string
		flags, pad uint32
		other      func(c *Case, fd int) int
	}{
		{"two", "two sync files", "merged", 0, 0, func(c *Case, _ int) int { return c.syncFile() }},
		{"itself", "a sync file with itself", "merged", 0, 0, func(_ *Case, fd int) int { return fd }},
		{"no-name", "two sync files without a name", "", 0, 0, func(c *Case, _ int) int { return c.syncFile() }},
		{"long-name", "two sync files with a name of 32 bytes", strings.Repeat("n", 32), 0, 0, func(c *Case, _ int) int { return c.syncFile() }},
		{"name-bytes", "two sync files with a name that is no text", "\xff\x01/", 0, 0, func(c *Case, _ int) int { return c.syncFile() }},
		{"flags", "flags 1", "m", 1, 0, func(_ *Case, fd int) int { return fd }},
		{"pad", "padding 1", "m", 0, 1, func(_ *Case, fd int) int { return fd }},
		{"flags-and-fd", "flags 1 and a bad descriptor", "m", 1, 0, func(*Case, int) int { return -1 }},
		{"minus-1", "-1", "m", 0, 0, func(*Case, int) int { return -1 }},
		{"closed", "a number that is not open", "m", 0, 0, func(*Case, int) int { return 400 }},
		{"pipe", "a pipe", "m", 0, 0, func(*Case, int) int { return pipeEnds()[0] }},
		{"buffer", "a buffer", "m", 0, 0, func(c *Case, _ int) int { return c.Buffer(1) }},
		{"epoll", "an epoll set", "m", 0, 0, func(*Case, int) int { return epollSet() }},
	} {
		rows = append(rows, Row{ID: "merge-" + x.id, What: "SYNC_IOC_MERGE with " + x.what, Try: func(c *Case) string {
			fd := c.syncFile()
			return merge(fd, newArea(1).putFirst(mergeArg(x.name, x.other(c, fd), x.flags, x.pad)))
		}})
	}
	for _, p := range badStructs {
		rows = append(rows, Row{ID: "merge-at-" + p.id, What: "SYNC_IOC_MERGE with its struct " + p.what, Try: func(c *Case) string {
			fd := c.syncFile()
			open := openNow()
			errno := ioctl(fd, uapi.SyncIoctlMerge, p.addr(mergeArg("m", fd, 0, 0)))
			if errno == 0 {
				return "0"
			}
			return errName(errno) + open.left()
		}})
	}
	return append(rows,
		Row{ID: "merge-emfile", What: "SYNC_IOC_MERGE without a free descriptor", Try: func(c *Case) string {
			fd := c.syncFile()
			addr := newArea(1).putFirst(mergeArg("m", fd, 0, 0))
			limit(openNow().lowest())
			return merge(fd, addr)
		}},
		Row{ID: "merge-import", What: "IMPORT_SYNC_FILE of a merged sync file", Try: func(c *Case) string {
			fd := c.syncFile()
			addr := newArea(1).putFirst(mergeArg("m", fd, 0, 0))
			must("merge", orNil(ioctl(fd, uapi.SyncIoctlMerge, addr)))
			return importFD(c.Buffer(1), syncRW, int(binary.LittleEndian.Uint32(at(addr+uapi.SyncMergeFence, 4))))
		}},
	)
}
