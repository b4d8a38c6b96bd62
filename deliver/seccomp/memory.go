package seccomp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
)

// readMemory and writeMemory move bytes between this process and a thread's memory, and say how many; a bad address is EFAULT.
// Where a container's profile refuses process_vm_readv and process_vm_writev, /proc/PID/mem does the same.

func (t *thread) readMemory(p []byte, addr uint64) (int, error) {
	n, err := sys.ReadVM(t.tid, p, addr)
	// A page that is mapped for writing only can be read all the same, by the processor and so by the kernel's own copy; the call
	// above goes by what was asked of mmap.
	short := errors.Is(err, unix.EFAULT) || err == nil && n < len(p)
	if !refusedByProfile(err) && !short {
		return n, err
	}
	return t.throughMem(p, addr, "rw", func(fd int) (int, error) { return unix.Pread(fd, p, int64(addr)) })
}

func (t *thread) writeMemory(p []byte, addr uint64) (int, error) {
	n, err := sys.WriteVM(t.tid, p, addr)
	if !refusedByProfile(err) {
		return n, err
	}
	return t.throughMem(p, addr, "w", func(fd int) (int, error) { return unix.Pwrite(fd, p, int64(addr)) })
}

func refusedByProfile(err error) bool {
	return errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS)
}

// throughMem opens the thread's mem file for one access. That file overrides the protection of pages, which a caller's own access
// would not, so the mappings are asked first.
func (t *thread) throughMem(p []byte, addr uint64, perms string, access func(fd int) (int, error)) (int, error) {
	if addr > 1<<62 {
		return 0, unix.EFAULT
	}
	ok, err := t.mapped(addr, addr+uint64(len(p)), perms)
	if err != nil {
		return 0, err
	}
	if !ok {
		return 0, unix.EFAULT
	}
	fd, err := unix.Openat(t.dir, "mem", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer sys.Close(fd)
	n, err := access(fd)
	if errors.Is(err, unix.EIO) {
		err = unix.EFAULT
	}
	return n, err
}

// mapped is whether all of from to to (exclusive) lies in mappings that have one of the permissions each.
func (t *thread) mapped(from, to uint64, perms string) (bool, error) {
	fd, err := unix.Openat(t.dir, "maps", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, err
	}
	f := os.NewFile(uintptr(fd), "maps")
	defer func() { _ = f.Close() }() // read only
	return covers(f, from, to, perms)
}

// covers reads lines of a maps file, which are in the order of addresses.
func covers(maps io.Reader, from, to uint64, wanted string) (bool, error) {
	lines := bufio.NewScanner(maps)
	for from < to && lines.Scan() {
		var start, end uint64
		var perms string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &start, &end, &perms); err != nil {
			return false, fmt.Errorf("/proc/PID/maps: %w", err)
		}
		switch {
		case end <= from:
		case start > from || !strings.ContainsAny(perms, wanted):
			return false, nil
		default:
			from = end
		}
	}
	return from >= to, lines.Err()
}
