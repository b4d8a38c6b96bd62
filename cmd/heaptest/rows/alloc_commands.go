package rows

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/uapi"
)

// Directions of a command: who copies.
var directions = []struct {
	name string
	bits uint32
}{{"none", 0}, {"in", 1}, {"out", 2}, {"both", 3}}

// sizeRows: structs of other headers than today's, in every direction. The struct is the last thing before an unmapped page.
func sizeRows() []Row {
	var rows []Row
	for _, size := range []uint32{0, 1, 4, 8, 9, 12, 16, 23, 24, 32, 48, 128, 200, 4096, uapi.MaxSize} {
		for _, dir := range directions {
			rows = append(rows, Row{
				ID:   fmt.Sprintf("alloc-size-%d-%s", size, dir.name),
				What: fmt.Sprintf("ALLOC with a struct of %d bytes, copied %s", size, dir.name),
				Try: func(c *Case) string {
					data := args{length: 5000, flags: unix.O_RDWR | unix.O_CLOEXEC}.sized(int(size))
					// The rest of a struct that is not copied in lies in the stack of the kernel: it must count as zeros.
					return ask(c.RW(), uapi.IOC(dir.bits, uapi.HeapMagic, 0, size), newArea(5).putLast(data), len(data))
				},
			})
		}
	}
	return append(rows,
		Row{ID: "alloc-tail-kept", What: "the tail of a longer struct after ALLOC", Try: func(c *Case) string {
			data := usual.sized(48)
			addr := newArea(1).putLast(data)
			before := ask(c.RW(), uapi.IOWR(uapi.HeapMagic, 0, 48), addr, 48)
			return each(before, named("tail kept", filled(addr+24, 24, 0xA5)))
		}},
	)
}

// commandRows: numbers and types that are not ALLOC's.
func commandRows() []Row {
	var rows []Row
	for _, x := range []struct {
		id, what string
		cmd      uapi.Cmd
	}{
		{"h-1", "number 1", uapi.IOWR(uapi.HeapMagic, 1, 24)},
		{"h-2", "number 2", uapi.IOWR(uapi.HeapMagic, 2, 24)},
		{"h-128", "number 128", uapi.IOWR(uapi.HeapMagic, 128, 24)},
		{"h-255", "number 255", uapi.IOWR(uapi.HeapMagic, 255, 24)},
		{"h-1-none", "number 1 without a struct", uapi.IOC(0, uapi.HeapMagic, 1, 0)},
		{"h-1-in", "number 1, copied in", uapi.IOW(uapi.HeapMagic, 1, 24)},
		{"h-1-out", "number 1, copied out", uapi.IOC(2, uapi.HeapMagic, 1, 24)},
		{"h-1-largest", "number 1 with the largest struct", uapi.IOWR(uapi.HeapMagic, 1, uapi.MaxSize)},
		{"set-name-a", "SET_NAME_A", uapi.BufIoctlSetNameA},
		{"set-name-b", "SET_NAME_B", uapi.BufIoctlSetNameB},
		{"export-sync-file", "EXPORT_SYNC_FILE", uapi.BufIoctlExportSyncFile},
		{"import-sync-file", "IMPORT_SYNC_FILE", uapi.BufIoctlImportSyncFile},
		{"merge", "SYNC_IOC_MERGE", uapi.SyncIoctlMerge},
		{"file-info", "SYNC_IOC_FILE_INFO", uapi.SyncIoctlFileInfo},
		{"set-deadline", "SYNC_IOC_SET_DEADLINE", uapi.SyncIoctlSetDeadline},
		{"tcgets", "TCGETS", unix.TCGETS},
		{"z-1", "number 1 of type Z", uapi.IOWR('Z', 1, 24)},
		{"0-0xff", "0xff", 0xff},
		{"udmabuf", "UDMABUF_CREATE", udmabufCreate},
		{"drm", "DRM_IOCTL_PRIME_FD_TO_HANDLE", primeToHandle},
	} {
		rows = append(rows, Row{ID: "node-ioctl-" + x.id, What: x.what + " on a node", Try: func(c *Case) string {
			data := usual.sized(uapi.MaxSize)
			return ask(c.RW(), x.cmd, newArea(5).putLast(data), len(data))
		}})
	}
	for _, typ := range []byte{'Z', 'U', 'd', 0, 0xFF, 'T', '>'} {
		rows = append(rows, Row{ID: fmt.Sprintf("node-ioctl-type-%#x", typ), What: fmt.Sprintf("number 0 of type %#x on a node", typ),
			Try: func(c *Case) string {
				data := usual.bytes()
				return ask(c.RW(), uapi.IOWR(typ, 0, 24), newArea(1).putLast(data), len(data))
			}})
	}
	rows = append(rows, foreignErrorRows()...)
	for flags := range uint64(8) {
		rows = append(rows, Row{ID: fmt.Sprintf("node-sync-%d", flags), What: fmt.Sprintf("SYNC with flags %d on a node", flags),
			Try: func(c *Case) string {
				return ask(c.RW(), uapi.BufIoctlSync, newArea(1).putLast(args{length: flags}.bytes()[:8]), 8)
			}})
	}
	for _, x := range []struct {
		id, what string
		cmd      uapi.Cmd
	}{
		{"fionread", "FIONREAD", fionread},
		{"fioclex", "FIOCLEX", fioclex},
		{"fionclex", "FIONCLEX", fionclex},
		{"fionbio", "FIONBIO", fionbio},
		{"fioasync", "FIOASYNC", fioasync},
		{"fioqsize", "FIOQSIZE", fioqsize},
		{"figetbsz", "FIGETBSZ", figetbsz},
		{"getflags", "FS_IOC_GETFLAGS", unix.FS_IOC_GETFLAGS},
		{"fiemap", "FS_IOC_FIEMAP", fiemap},
		{"getxattr", "FS_IOC_FSGETXATTR", fsGetXattr},
		{"blkgetsize", "BLKGETSIZE64", blkSize},
	} {
		rows = append(rows, Row{ID: "node-ioctl-" + x.id, What: x.what + " on a node", Try: func(c *Case) string {
			return errName(ioctl(c.RW(), x.cmd, newArea(1).base))
		}})
	}
	return append(rows, Row{ID: "node-ioctl-fibmap", What: "FIBMAP on a node", Needs: NeedRoot, Try: func(c *Case) string {
		return errName(ioctl(c.RW(), fibmap, newArea(1).base))
	}})
}

// foreignErrorRows: number 0 of a foreign type whose request is refused anyway.
func foreignErrorRows() []Row {
	var rows []Row
	for _, x := range []struct {
		id, what string
		args     args
	}{
		{"fd", "fd 1", args{4096, 1, unix.O_RDWR, 0}},
		{"flags", "bad fd_flags", args{4096, 0, unix.O_CREAT, 0}},
		{"heap-flags", "bad heap_flags", args{4096, 0, unix.O_RDWR, 1}},
		{"len-0", "length 0", args{0, 0, unix.O_RDWR, 0}},
	} {
		rows = append(rows, Row{ID: "node-ioctl-type-z-" + x.id, What: "number 0 of type Z on a node with " + x.what,
			Try: func(c *Case) string {
				data := x.args.bytes()
				return ask(c.RW(), uapi.IOWR('Z', 0, 24), newArea(1).putLast(data), len(data))
			}})
	}
	return append(rows, Row{ID: "node-ioctl-type-z-none", What: "number 0 of type Z on a node, without a struct",
		Try: func(c *Case) string { return ask(c.RW(), uapi.IOC(0, 'Z', 0, 0), 0, 0) }})
}
