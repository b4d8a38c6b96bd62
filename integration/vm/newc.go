package vm

import (
	"fmt"
	"io"
	"path"
	"strings"
)

// archive writes a cpio archive in the format that the kernel unpacks as initramfs ("newc"; Documentation/driver-api/early-userspace/
// buffer-format.rst). Everything belongs to root.
type archive struct {
	out    io.Writer
	inode  int
	offset int64
	made   map[string]bool // directories
	err    error           // the first; later calls do nothing
}

// File types, as in stat(2).
const (
	typeDir     = 0o040000
	typeRegular = 0o100000
	typeLink    = 0o120000
)

func newArchive(out io.Writer) *archive { return &archive{out: out, made: map[string]bool{"": true}} }

// file adds a file, and the directories above it.
func (a *archive) file(name string, perm int, data []byte) {
	a.parents(name)
	a.entry(clean(name), typeRegular|perm&0o7777, data)
}

// link adds a symbolic link, and the directories above it.
func (a *archive) link(name, target string) {
	a.parents(name)
	a.entry(clean(name), typeLink|0o777, []byte(target))
}

// dir adds a directory, and those above it.
func (a *archive) dir(name string, perm int) {
	name = clean(name)
	if a.made[name] {
		return
	}
	a.parents(name)
	a.made[name] = true
	a.entry(name, typeDir|perm, nil)
}

func (a *archive) parents(name string) {
	if up := path.Dir("/" + clean(name)); up != "/" {
		a.dir(up, 0o755)
	}
}

// close ends the archive.
func (a *archive) close() error {
	a.entry("TRAILER!!!", 0, nil)
	return a.err
}

func (a *archive) entry(name string, mode int, data []byte) {
	if int64(len(data)) > 1<<32-1 {
		a.fail(fmt.Errorf("initramfs: %s: longer than 4 GiB", name))
	}
	a.inode++
	// magic, inode, mode, uid, gid, links, mtime, size, device and rdevice (major, minor), length of the name, checksum (unused)
	a.write(fmt.Appendf(nil, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		a.inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0))
	a.write([]byte(name + "\x00"))
	a.pad()
	a.write(data)
	a.pad()
}

// pad fills up to a multiple of four bytes.
func (a *archive) pad() { a.write(make([]byte, (4-a.offset%4)%4)) }

func (a *archive) write(data []byte) {
	if a.err != nil {
		return
	}
	n, err := a.out.Write(data)
	a.offset += int64(n)
	a.fail(err)
}

func (a *archive) fail(err error) {
	if a.err == nil {
		a.err = err
	}
}

// clean makes a guest path what the archive has: relative to the root.
func clean(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }
