package sysfs

import (
	"fmt"
	"io/fs"
	"path/filepath"
)

// Entry is something below /sys.
type Entry struct {
	// Path is relative to /sys, without dots. Directories above it are there, or are to be made with mode 0755.
	Path string
	// Mode has fs.ModeDir for a directory, fs.ModeSymlink for a link, and the permission bits of a file.
	Mode fs.FileMode
	// Text is what a file holds, or where a link leads to.
	Text string
	// Hides says that nothing of the machine's own is to be seen in this directory. Any other entry gives way to one of the same path
	// that the machine has.
	Hides bool
}

// Where a kernel shows the heaps (drivers/dma-buf/dma-heap.c: class_create, device_create without a parent).
const (
	classHeaps  = "class/dma_heap"
	deviceHeaps = "devices/virtual/dma_heap"
)

// list gathers entries.
type list []Entry

func (l *list) dir(path string) { *l = append(*l, Entry{Path: path, Mode: fs.ModeDir | 0o755}) }

func (l *list) file(path string, mode fs.FileMode, format string, args ...any) {
	*l = append(*l, Entry{Path: path, Mode: mode, Text: fmt.Sprintf(format, args...)})
}

// link leads from path to another place below /sys, as sysfs_create_link does: by the shortest relative way.
func (l *list) link(path, to string) {
	way, err := filepath.Rel(filepath.Dir(path), to)
	if err != nil {
		panic(err) // both are relative to /sys
	}
	*l = append(*l, Entry{Path: path, Mode: fs.ModeSymlink | 0o777, Text: way})
}

// power is what a device without runtime power management has in its power/ (drivers/base/power/sysfs.c). To read the last one is EIO
// on a kernel.
func (l *list) power(device string) {
	dir := device + "/power"
	l.dir(dir)
	l.file(dir+"/control", 0o644, "auto\n")
	l.file(dir+"/runtime_active_time", 0o444, "0\n")
	l.file(dir+"/runtime_status", 0o444, "unsupported\n")
	l.file(dir+"/runtime_suspended_time", 0o444, "0\n")
	l.file(dir+"/autosuspend_delay_ms", 0o644, "")
}
