package mutants

// Mutant is heapfs with one deliberate defect. The texts are replaced for one build, by "go build -overlay"; no file of the checkout is
// changed. Each old text must be in its file exactly once: whoever changes such a line updates it here.
type Mutant struct {
	Name  string // a file name
	edits []edit
}

type edit struct {
	file     string // from the root of the checkout
	old, new string
}

func one(name, file, old, new string) Mutant { return Mutant{name, []edit{{file, old, new}}} }

// Half gives every second one of All: enough for each run, of each kind some.
func Half() []Mutant {
	var half []Mutant
	for i := 0; i < len(All); i += 2 {
		half = append(half, All[i])
	}
	return half
}

// All are defects that the fuzzer must find, by what a program would notice.
var All = []Mutant{
	one("fd-not-zero-is-accepted", "uapi/dmaheap.go", "case r.FD != 0:", "case false:"),
	one("unknown-fd-flags-are-accepted", "uapi/dmaheap.go", "case r.FDFlags&^uint32(ValidFDFlags) != 0:", "case false:"),
	one("heap-flags-are-ignored", "uapi/dmaheap.go", "case r.HeapFlags&^valid != 0:", "case false:"),
	one("a-length-that-wraps-is-accepted", "uapi/dmaheap.go",
		"size := (r.Len + PageSize - 1) &^ (PageSize - 1)", "size := max(PageSize, (r.Len+PageSize-1)&^(PageSize-1))"),
	one("the-number-is-not-written", "uapi/dmaheap.go", "copy(out[allocFD:], b[:])", "_ = b"),
	one("the-tail-is-overwritten", "heapnodes/ioctl.go",
		"err := n.alloc(ctx, c, req, n.extra(data), data[:cmd.Out()], arg)",
		"clear(data[min(24, cmd.Out()):cmd.Out()])\n\terr := n.alloc(ctx, c, req, n.extra(data), data[:cmd.Out()], arg)"),
	one("unknown-numbers-are-ENOTTY", "heapnodes/ioctl.go", "return n.extended(ctx, c, cmd, arg)", "return ErrNotTTY"),
	one("a-short-struct-is-refused", "heapnodes/ioctl.go", "if cmd.NR() >= 1 {", "if cmd.NR() >= 1 || cmd.In() < 24 {"),
	one("every-descriptor-is-cloexec", "heapnodes/ioctl.go", "req.FDFlags&unix.O_CLOEXEC != 0)", "true)"),
	one("every-buffer-can-be-written", "heapnodes/ioctl.go", "AccMode: int(req.FDFlags & unix.O_ACCMODE),", "AccMode: unix.O_RDWR,"),
	one("extents-leak", "heapnodes/ioctl.go",
		"func (b *Buffer) giveBack() {\n", "func (b *Buffer) giveBack() {\n\tif b.ID%8 == 0 {\n\t\treturn\n\t}\n"),
	one("extents-leak-without-a-descriptor", "heapnodes/ioctl.go", "if h.remove(b) {", "if false && h.remove(b) {"),
	{"two-buffers-share-their-memory", []edit{
		{"heapnodes/ioctl.go", "fd, err := c.Install(b.export.FD(), ", "fd, err := c.Install(shared(b), "},
		{"heapnodes/ioctl.go", "func (b *Buffer) giveBack() {", `var last = map[uint64]int{}

func shared(b *Buffer) int {
	b.node.heaps.mu.Lock()
	defer b.node.heaps.mu.Unlock()
	if fd, ok := last[b.Len]; ok {
		delete(last, b.Len)
		return fd
	}
	fd, _ := unix.Dup(b.export.FD())
	last[b.Len] = fd
	time.AfterFunc(50*time.Millisecond, func() { // so that it is no leak
		b.node.heaps.mu.Lock()
		defer b.node.heaps.mu.Unlock()
		if last[b.Len] == fd {
			delete(last, b.Len)
		}
		_ = unix.Close(fd)
	})
	return b.export.FD()
}

func (b *Buffer) giveBack() {`},
	}},
	one("cloexec-is-lost", "internal/sys/seccomp_unsafe.go", "req.newFDFlags = unix.O_CLOEXEC", "req.newFDFlags = 0"),
	one("the-number-is-not-the-lowest", "internal/sys/seccomp_unsafe.go",
		"req := notifAddFD{id: id, srcFD: uint32(fd)}", "req := notifAddFD{id: id, srcFD: uint32(fd), flags: unix.SECCOMP_ADDFD_FLAG_SETFD, newFD: 77}"),
	one("ENFILE-for-EMFILE", "heapnodes/errno.go", "{ErrCallerFiles, syscall.EMFILE},", "{ErrCallerFiles, syscall.ENFILE},"),
	one("EINVAL-for-ENOTTY", "heapnodes/errno.go", "{ErrNotTTY, syscall.ENOTTY},", "{ErrNotTTY, syscall.EINVAL},"),
	one("EINVAL-for-EFAULT", "heapnodes/errno.go", "{ErrFault, syscall.EFAULT},", "{ErrFault, syscall.EINVAL},"),
	one("sync-takes-unknown-flags", "uapi/dmabuf.go", "if flags&^uint64(syncRW|syncEnd) != 0 || flags&syncRW == 0 {", "if flags&syncRW == 0 {"),
	one("sync-takes-no-direction", "uapi/dmabuf.go",
		"if flags&^uint64(syncRW|syncEnd) != 0 || flags&syncRW == 0 {", "if flags&^uint64(syncRW|syncEnd) != 0 {"),
	one("a-name-may-be-a-byte-longer", "uapi/dmabuf.go", "\tNameLen = 32\n", "\tNameLen = 33\n"),
	one("export-flags-are-ignored", "uapi/dmabuf.go", "if a.Flags&^uint32(syncRW) != 0 || a.Flags&syncRW == 0 {", "if false {"),
	one("anything-is-a-sync-file", "heapnodes/buffer.go", "if !isSyncFile(b.node.heaps.cfg.Sync, c, req.FD) {", "if false {"),
	one("sync-files-survive-exec", "heapnodes/syncfile.go", "return c.Install(own, true)", "return c.Install(own, false)"),
	one("descriptors-of-buffers-leak", "backing/memfd.go", "sys.Close(f.lease)\n", "_ = f.lease\n"),
	one("memory-is-not-zeroed", "backing/memfd.go",
		"if err := sys.AddSeals(f.caller, seals); err != nil {", "_, _ = unix.Pwrite(f.caller, []byte{1}, int64(size)-1)\n\tif err := sys.AddSeals(f.caller, seals); err != nil {"),
	one("the-size-is-not-whole-pages", "backing/memfd.go", "sys.Truncate(f.caller, int64(size))", "sys.Truncate(f.caller, int64(size)-1)"),
	one("buffers-end-while-they-are-held", "backing/memfd.go", "if !unheld {", "if !unheld && false {"),
	one("buffers-never-end", "backing/memfd.go", "if !unheld {", "if !unheld || true {"),
	one("the-mode-is-another", "backing/memfd.go", "bufferMode = 0o600", "bufferMode = 0o644"),
	one("nodes-can-be-sought", "fs/node.go", "fuse.FOPEN_DIRECT_IO | fuse.FOPEN_NONSEEKABLE | ", "fuse.FOPEN_DIRECT_IO | "),
	one("nodes-can-be-mapped", "fs/node.go", "fuse.FOPEN_DIRECT_IO | fuse.FOPEN_NONSEEKABLE | ", "fuse.FOPEN_NONSEEKABLE | "),
}
