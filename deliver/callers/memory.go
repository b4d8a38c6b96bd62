package callers

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/heapnodes"
	"github.com/heapfs/heapfs/internal/sys"
)

// ReadMemory copies from the thread's memory and says how many bytes; a bad address is EFAULT. Where a container's profile refuses
// process_vm_readv, /proc/PID/mem does the same. It waits as long as the page takes to arrive.
func (t *Thread) ReadMemory(p []byte, addr uint64) (int, error) {
	n, err := sys.ReadVM(t.TID, p, addr)
	// A page that is mapped for writing only can be read all the same, by the processor and so by the kernel's own copy; the call
	// above goes by what was asked of mmap.
	short := errors.Is(err, unix.EFAULT) || err == nil && n < len(p)
	if !refusedByProfile(err) && !short {
		return n, err
	}
	return t.throughMem(p, addr, "rw", func(fd int) (int, error) { return unix.Pread(fd, p, int64(addr)) })
}

// WriteMemory is the same in the other direction.
func (t *Thread) WriteMemory(p []byte, addr uint64) (int, error) {
	n, err := sys.WriteVM(t.TID, p, addr)
	if !refusedByProfile(err) {
		return n, err
	}
	return t.throughMem(p, addr, "w", func(fd int) (int, error) { return unix.Pwrite(fd, p, int64(addr)) })
}

// Moved judges what ReadMemory or WriteMemory gave: heapnodes.ErrFault, ErrGone, ErrDenied, or nil.
func Moved(n, want int, err error) error {
	switch {
	case err == nil && n == want:
		return nil
	case err == nil, errors.Is(err, unix.EFAULT):
		return heapnodes.ErrFault
	case errors.Is(err, unix.ESRCH):
		return heapnodes.ErrGone
	default:
		return fmt.Errorf("%w: %v", heapnodes.ErrDenied, err)
	}
}

func refusedByProfile(err error) bool {
	return errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS)
}

// throughMem opens the thread's mem file for one access. That file overrides the protection of pages, which a caller's own access
// would not, so the mappings are asked first.
func (t *Thread) throughMem(p []byte, addr uint64, perms string, access func(fd int) (int, error)) (int, error) {
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
	fd, err := unix.Openat(t.Dir, "mem", unix.O_RDWR|unix.O_CLOEXEC, 0)
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
func (t *Thread) mapped(from, to uint64, perms string) (bool, error) {
	fd, err := unix.Openat(t.Dir, "maps", unix.O_RDONLY|unix.O_CLOEXEC, 0)
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
