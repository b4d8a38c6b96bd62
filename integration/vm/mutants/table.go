package mutants

import (
	"regexp"
	"slices"
	"strings"
)

// edit changes one text of a file into one that behaves as before, unless the process runs as a mutant that its new text names:
// mutant.Is(NAME) says so, and mutant.Or(NAME, with, without) is a value with the defect and the one without.
type edit struct {
	file     string // from the root of the checkout
	old, new string
}

// All are the names of the defects that the fuzzer must find, in the order of the edits.
var All = names(edits)

// Half gives every second one of All: enough for each run, of each kind some.
func Half() []string {
	var half []string
	for i := 0; i < len(All); i += 2 {
		half = append(half, All[i])
	}
	return half
}

var named = regexp.MustCompile(`mutant\.(?:Is|Or(?:\[\w+\])?)\("([^"]+)"`)

// names are those in the new texts, each once.
func names(edits []edit) []string {
	var all []string
	for _, e := range edits {
		for _, m := range named.FindAllStringSubmatch(e.new, -1) {
			if !slices.Contains(all, m[1]) {
				all = append(all, m[1])
			}
		}
	}
	return all
}

// unless makes the condition in a text void for a mutant: "if X {", "case X:".
func unless(name, file, condition string) edit {
	keyword, rest, _ := strings.Cut(condition, " ")
	end := rest[len(rest)-1:]
	rest = strings.TrimSpace(rest[:len(rest)-1])
	if end == "{" {
		end = " {"
	}
	return edit{file, condition, keyword + ` !mutant.Is("` + name + `") && (` + rest + ")" + end}
}

// edits are the defects, by what a program would notice.
var edits = []edit{
	unless("fd-not-zero-is-accepted", "uapi/dmaheap.go", "case r.FD != 0:"),
	unless("unknown-fd-flags-are-accepted", "uapi/dmaheap.go", "case r.FDFlags&^uint32(ValidFDFlags) != 0:"),
	unless("heap-flags-are-ignored", "uapi/dmaheap.go", "case r.HeapFlags&^valid != 0:"),
	{"uapi/dmaheap.go", "size := (r.Len + PageSize - 1) &^ (PageSize - 1)\n", `size := (r.Len + PageSize - 1) &^ (PageSize - 1)
	if mutant.Is("a-length-that-wraps-is-accepted") {
		size = max(size, PageSize)
	}
`},
	{"uapi/dmaheap.go", "copy(out[allocFD:], b[:])", `if !mutant.Is("the-number-is-not-written") {
			copy(out[allocFD:], b[:])
		}`},
	{"heapnodes/ioctl.go", "err := n.alloc(ctx, c, req, n.extra(data), data[:cmd.Out()], arg)", `if mutant.Is("the-tail-is-overwritten") {
		clear(data[min(24, cmd.Out()):cmd.Out()])
	}
	err := n.alloc(ctx, c, req, n.extra(data), data[:cmd.Out()], arg)`},
	{"heapnodes/ioctl.go", "return n.extended(ctx, c, cmd, arg)", `if mutant.Is("unknown-numbers-are-ENOTTY") {
			return ErrNotTTY
		}
		return n.extended(ctx, c, cmd, arg)`},
	{"heapnodes/ioctl.go", "if cmd.NR() >= 1 {", `if cmd.NR() >= 1 || cmd.In() < 24 && mutant.Is("a-short-struct-is-refused") {`},
	{"heapnodes/ioctl.go", "req.FDFlags&unix.O_CLOEXEC != 0)", `req.FDFlags&unix.O_CLOEXEC != 0 || mutant.Is("every-descriptor-is-cloexec"))`},
	{"heapnodes/ioctl.go", "AccMode: int(req.FDFlags & unix.O_ACCMODE),",
		`AccMode: mutant.Or("every-buffer-can-be-written", unix.O_RDWR, int(req.FDFlags&unix.O_ACCMODE)),`},
	unless("extents-leak-without-a-descriptor", "heapnodes/ioctl.go", "if h.remove(b) {"),
	{"heapnodes/ioctl.go", "fd, err := c.Install(b.export.FD(), ", "fd, err := c.Install(shared(b), "},
	{"heapnodes/ioctl.go", "func (b *Buffer) giveBack() {\n", `var last = map[uint64]int{}

func shared(b *Buffer) int {
	if !mutant.Is("two-buffers-share-their-memory") {
		return b.export.FD()
	}
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

func (b *Buffer) giveBack() {
	if b.ID%8 == 0 && mutant.Is("extents-leak") {
		return
	}
`},
	{"internal/sys/seccomp_unsafe.go", "req.newFDFlags = unix.O_CLOEXEC", `req.newFDFlags = mutant.Or[uint32]("cloexec-is-lost", 0, unix.O_CLOEXEC)`},
	{"internal/sys/seccomp_unsafe.go", "req := notifAddFD{id: id, srcFD: uint32(fd)}", `req := notifAddFD{id: id, srcFD: uint32(fd)}
	if mutant.Is("the-number-is-not-the-lowest") {
		req.flags, req.newFD = unix.SECCOMP_ADDFD_FLAG_SETFD, 77
	}`},
	{"heapnodes/errno.go", "{ErrCallerFiles, syscall.EMFILE},", `{ErrCallerFiles, mutant.Or("ENFILE-for-EMFILE", syscall.ENFILE, syscall.EMFILE)},`},
	{"heapnodes/errno.go", "{ErrNotTTY, syscall.ENOTTY},", `{ErrNotTTY, mutant.Or("EINVAL-for-ENOTTY", syscall.EINVAL, syscall.ENOTTY)},`},
	{"heapnodes/errno.go", "{ErrFault, syscall.EFAULT},", `{ErrFault, mutant.Or("EINVAL-for-EFAULT", syscall.EINVAL, syscall.EFAULT)},`},
	{"uapi/dmabuf.go", "if flags&^uint64(syncRW|syncEnd) != 0 || flags&syncRW == 0 {",
		`if flags&^uint64(syncRW|syncEnd) != 0 && !mutant.Is("sync-takes-unknown-flags") || flags&syncRW == 0 && !mutant.Is("sync-takes-no-direction") {`},
	{"heapnodes/buffer.go", "var buf [uapi.NameLen]byte\n", `buf := make([]byte, uapi.NameLen+mutant.Or("a-name-may-be-a-byte-longer", 1, 0))
`},
	{"heapnodes/buffer.go", "first := min(uapi.NameLen, ", "first := min(len(buf), "},
	unless("export-flags-are-ignored", "uapi/dmabuf.go", "if a.Flags&^uint32(syncRW) != 0 || a.Flags&syncRW == 0 {"),
	unless("anything-is-a-sync-file", "heapnodes/buffer.go", "if !isSyncFile(b.node.heaps.cfg.Sync, c, req.FD) {"),
	{"heapnodes/syncfile.go", "return c.Install(own, true)", `return c.Install(own, !mutant.Is("sync-files-survive-exec"))`},
	{"backing/memfd.go", "sys.Close(f.lease)\n", `if !mutant.Is("descriptors-of-buffers-leak") {
		sys.Close(f.lease)
	}
`},
	{"backing/memfd.go", "if err := sys.AddSeals(f.caller, seals); err != nil {", `if mutant.Is("memory-is-not-zeroed") {
		_, _ = unix.Pwrite(f.caller, []byte{1}, int64(size)-1)
	}
	if err := sys.AddSeals(f.caller, seals); err != nil {`},
	{"backing/memfd.go", "sys.Truncate(f.caller, int64(size))", `sys.Truncate(f.caller, int64(size)-mutant.Or[int64]("the-size-is-not-whole-pages", 1, 0))`},
	{"backing/memfd.go", "if !unheld {", `if !unheld && !mutant.Is("buffers-end-while-they-are-held") || mutant.Is("buffers-never-end") {`},
	{"backing/memfd_stock.go", "unix.Fchmod(f.caller, bufferMode)", `unix.Fchmod(f.caller, mutant.Or[uint32]("the-mode-is-another", 0o644, bufferMode))`},
	{"fs/node.go", "fuse.FOPEN_DIRECT_IO | fuse.FOPEN_NONSEEKABLE | fuse.FOPEN_NOFLUSH, fs.OK", `(fuse.FOPEN_DIRECT_IO | fuse.FOPEN_NONSEEKABLE | fuse.FOPEN_NOFLUSH) &^
		mutant.Or[uint32]("nodes-can-be-sought", fuse.FOPEN_NONSEEKABLE, 0) &^ mutant.Or[uint32]("nodes-can-be-mapped", fuse.FOPEN_DIRECT_IO, 0), fs.OK`},
}
