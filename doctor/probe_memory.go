package doctor

import (
	"bytes"
	"context"
	"fmt"
	"os"

	"github.com/heapfs/heapfs/internal/sys"
	"golang.org/x/sys/unix"
)

const hugePage = 2 << 20 // bytes

var memoryProbes = []string{
	"memfd-seals", "lease", "inotify", "hugetlb", "shmem-thp", "udmabuf",
}

func probeMemory(ctx context.Context, h host) []finding {
	return runChild(ctx, 0, memoryProbes, roleMemory, h.shmemTHP, h.freeHuge)
}

// memoryRole has the setting of shmem_enabled and the number of free huge
// pages as arguments, for the details.
func memoryRole(args []string) []finding {
	if len(args) != 2 {
		return allUnknown(memoryProbes, "the probe's arguments are missing")
	}
	return []finding{
		memfdSeals(), lease(), inotify(), hugetlb(args[1]), shmemTHP(args[0]), udmabuf(),
	}
}

// buffer is a memfd of size bytes with the seals of a heapfs buffer, the
// caller's to close.
func buffer(size int64) (int, error) {
	fd, err := sys.Memfd("heapfs-doctor")
	if err != nil {
		return -1, err
	}
	err = sys.Truncate(fd, size)
	if err == nil {
		err = sys.AddSeals(fd, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL)
	}
	if err != nil {
		sys.Close(fd)
		return -1, err
	}
	return fd, nil
}

func memfdSeals() finding {
	const name = "memfd-seals"
	fd, err := buffer(4096)
	if err != nil {
		return fails(name, "make a sealed memfd", err)
	}
	defer sys.Close(fd)
	if err := unix.Ftruncate(fd, 0); err != unix.EPERM {
		return finding{Name: name, Detail: fmt.Sprintf("a sealed memfd was shrunk (%v)", err)}
	}
	return works(name, "a memfd sealed against resizing")
}

// lease asks as the end-of-life check does: on an O_RDONLY open of the file,
// while somebody else has it open (refused) and after that (granted).
func lease() finding {
	const name = "lease"
	fd, err := buffer(4096)
	if err != nil {
		return fails(name, "make a memfd", err)
	}
	defer sys.Close(fd)
	ours, err := sys.Reopen(fd, unix.O_RDONLY)
	if err != nil {
		return fails(name, "open the memfd again, read-only", err)
	}
	defer sys.Close(ours)
	theirs, err := sys.Reopen(fd, unix.O_RDWR)
	if err != nil {
		return fails(name, "open the memfd again, read-write", err)
	}
	free, err := sys.Unheld(ours)
	sys.Close(theirs)
	if err != nil {
		return fails(name, "F_SETLEASE", err)
	}
	if free {
		return finding{Name: name, Detail: "F_SETLEASE was granted while the file was open elsewhere"}
	}
	if free, err = sys.Unheld(ours); err != nil {
		return fails(name, "F_SETLEASE", err)
	}
	if !free {
		return finding{Name: name, Detail: "F_SETLEASE is refused although the file is open nowhere else"}
	}
	return works(name, "F_SETLEASE refused while the memfd is open elsewhere, granted after")
}

func inotify() finding {
	const name = "inotify"
	fd, err := buffer(4096)
	if err != nil {
		return fails(name, "make a memfd", err)
	}
	defer sys.Close(fd)
	in, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return refused(name, "inotify_init1", err) // EMFILE: the user's instances are used up
	}
	defer sys.Close(in)
	if _, err := unix.InotifyAddWatch(in, sys.FDPath(fd), unix.IN_CLOSE); err != nil {
		return refused(name, "watch a memfd by /proc/self/fd", err)
	}
	theirs, err := sys.Reopen(fd, unix.O_RDWR)
	if err != nil {
		return fails(name, "open the memfd again", err)
	}
	sys.Close(theirs)
	if _, err := unix.Read(in, make([]byte, 4096)); err != nil {
		return refused(name, "no event at the close of a memfd", err)
	}
	return works(name, "IN_CLOSE seen on a memfd")
}

// touchHuge makes fd 4 MiB long, writes its first byte through a mapping, and
// reports whether that took a whole huge page: shmem counts in st_blocks (512
// bytes each) what it has allocated.
func touchHuge(fd int, advise bool) (bool, error) {
	if err := unix.Ftruncate(fd, 2*hugePage); err != nil {
		return false, fmt.Errorf("ftruncate: %w", err)
	}
	b, err := unix.Mmap(fd, 0, 2*hugePage, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return false, fmt.Errorf("mmap: %w", err)
	}
	defer func() { _ = unix.Munmap(b) }()
	if advise {
		if err := unix.Madvise(b, unix.MADV_HUGEPAGE); err != nil {
			return false, fmt.Errorf("MADV_HUGEPAGE: %w", err)
		}
	}
	b[0] = 1
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return false, fmt.Errorf("fstat: %w", err)
	}
	return st.Blocks*512 >= hugePage, nil
}

func shmemTHP(setting string) finding {
	const name = "shmem-thp"
	if setting == "" {
		setting = "not there"
	}
	fd, err := sys.Memfd("heapfs-doctor")
	if err != nil {
		return fails(name, "memfd_create", err)
	}
	defer sys.Close(fd)
	huge, err := touchHuge(fd, true)
	if err != nil {
		return fails(name, "touch an advised memfd (shmem_enabled "+setting+")", err)
	}
	if !huge {
		return finding{Name: name, Detail: "an advised memfd got a small page (shmem_enabled " + setting + ")"}
	}
	return works(name, "an advised memfd got a page of 2 MiB (shmem_enabled %s)", setting)
}

func hugetlb(free string) finding {
	const name = "hugetlb"
	if free == "" {
		free = "no"
	}
	count := " (" + free + " free huge pages)"
	fd, err := unix.MemfdCreate("heapfs-doctor",
		unix.MFD_CLOEXEC|unix.MFD_HUGETLB|unix.MFD_HUGE_2MB)
	if err != nil {
		return fails(name, "memfd_create MFD_HUGETLB", err)
	}
	defer sys.Close(fd)
	if err := unix.Ftruncate(fd, hugePage); err != nil {
		return refused(name, "ftruncate to 2 MiB"+count, err)
	}
	b, err := unix.Mmap(fd, 0, hugePage, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return refused(name, "map 2 MiB"+count, err) // ENOMEM: the pool is empty
	}
	defer func() { _ = unix.Munmap(b) }()
	// Not by a store: with a cgroup limit on huge pages that is a SIGBUS.
	if err := unix.Madvise(b, unix.MADV_POPULATE_WRITE); err != nil {
		return refused(name, "fill 2 MiB"+count, err)
	}
	return works(name, "a page of 2 MiB filled%s", count)
}

// udmabufLimit is a limit of the module, which root may change, in words.
func udmabufLimit(parameter, unit string) string {
	b, err := os.ReadFile("/sys/module/udmabuf/parameters/" + parameter)
	if err != nil {
		return "an unknown number of " + unit
	}
	return fmt.Sprintf("%s %s (%s)", bytes.TrimSpace(b), unit, parameter)
}

func udmabuf() finding {
	const name, path = "udmabuf", "/dev/udmabuf"
	dev, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fails(name, "open "+path+fileFacts(path), err)
	}
	defer closeFile(dev)
	dmabuf, err := sys.UdmabufOfAPage(int(dev.Fd()))
	if err != nil {
		return fails(name, "make a dma-buf of a sealed memfd", err)
	}
	sys.Close(dmabuf)
	return works(name, "a dma-buf made from a sealed memfd; a buffer may have %s and %s", udmabufLimit("size_limit_mb", "MiB"),
		udmabufLimit("list_limit", "ranges"))
}
