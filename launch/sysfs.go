package launch

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/devices/board"
	"github.com/heapfs/heapfs/internal/sys"
)

const (
	sysDir = "/sys"

	// Where a kernel shows the heaps, below sysDir (drivers/dma-buf/dma-heap.c: class_create, device_create without a parent).
	classHeaps  = "class/dma_heap"
	deviceHeaps = "devices/virtual/dma_heap"

	// verifySysfs is systemd's: without it libudev refuses a device whose directory is not on a sysfs.
	// It can't tell ours for one.
	verifySysfs = "SYSTEMD_DEVICE_VERIFY_SYSFS"
)

// privateSys shows nodes as devices of class dma_heap in the sysfs at root. Where the place is absent or closed to this user, so is
// a kernel's view of the heaps, and nothing is to be done.
//
// Only the directories that gain an entry are covered, so that the rest stays the one sysfs that it is, with all that is mounted
// in it and with the devices that come later.
func privateSys(root string, nodes []board.Node) error {
	// CMD's umask says nothing about what a kernel shows.
	defer unix.Umask(unix.Umask(0))
	c := &cover{root: root, open: map[string]bool{}}
	for _, name := range []string{deviceHeaps, classHeaps} {
		err := c.fresh(filepath.Join(root, name))
		switch {
		case errors.Is(err, errNoPlace):
			slog.Debug("the heaps are not shown in sysfs", "error", err)
			return nil
		case err != nil:
			return err
		}
	}
	if err := describeHeaps(root, nodes, charMajor()); err != nil {
		return err
	}
	return c.seal()
}

// cover puts directories of ours over some of an existing tree, as few and as far down as it can.
type cover struct {
	root   string
	open   map[string]bool // directories that can be written to
	mounts []string        // those of them that are mounts
}

// errNoPlace says that the tree is not there, or that this user can't look into it.
var errNoPlace = errors.New("no place for it")

// fresh makes path an empty directory of ours.
func (c *cover) fresh(path string) error {
	if _, err := c.look(path); err == nil {
		return c.mount(path)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return c.make(path)
}

// writable makes path a directory that can be written to and has all that the host's has.
func (c *cover) writable(path string) error {
	if c.open[path] {
		return nil
	}
	entries, err := c.look(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && path != c.root:
		return c.make(path)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %v", errNoPlace, err)
	case err != nil:
		return err
	}
	host, err := sys.OpenDir(path)
	if err != nil {
		return err
	}
	defer sys.Close(host)
	if err := c.mount(path); err != nil {
		return err
	}
	for _, e := range entries {
		// A device may go away meanwhile.
		if err := bindEntry(host, path, e); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// look lists a directory.
func (c *cover) look(path string) ([]fs.DirEntry, error) {
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.ENOTDIR) {
		return nil, fmt.Errorf("%w: %v", errNoPlace, err)
	}
	return entries, err
}

func (c *cover) make(path string) error {
	if err := c.writable(filepath.Dir(path)); err != nil {
		return err
	}
	c.open[path] = true
	return os.Mkdir(path, 0o755)
}

func (c *cover) mount(path string) error {
	if err := unix.Mount("heapfs-sys", path, "tmpfs", sysFlags, "mode=0755"); err != nil {
		return &os.PathError{Op: "mount tmpfs", Path: path, Err: err}
	}
	c.open[path] = true
	c.mounts = append(c.mounts, path)
	return nil
}

// sysFlags are those that distributions mount sysfs with.
const sysFlags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC

// seal makes what was put there unchangeable, as a kernel's is.
func (c *cover) seal() error {
	for _, path := range c.mounts {
		if err := unix.Mount("", path, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|sysFlags, ""); err != nil {
			return &os.PathError{Op: "remount read-only", Path: path, Err: err}
		}
	}
	return nil
}

// powerFiles are what a device without runtime power management has in its power/ (drivers/base/power/sysfs.c). To read the last
// one is EIO on a kernel.
var powerFiles = []struct {
	name, text string
	mode       fs.FileMode
}{
	{"control", "auto\n", 0o644},
	{"runtime_active_time", "0\n", 0o444},
	{"runtime_status", "unsupported\n", 0o444},
	{"runtime_suspended_time", "0\n", 0o444},
	{"autosuspend_delay_ms", "", 0o644},
}

// describeHeaps writes what a kernel's driver core says of heap devices with these names and this major number, into the empty
// directories deviceHeaps and classHeaps below root. Minors count the nodes.
func describeHeaps(root string, nodes []board.Node, major int) error {
	for minor, n := range nodes {
		device := filepath.Join(root, deviceHeaps, n.Name)
		power := filepath.Join(device, "power")
		for _, dir := range []string{device, power} {
			if err := os.Mkdir(dir, 0o755); err != nil {
				return err
			}
		}
		if err := os.Symlink(filepath.Join("../../../..", classHeaps), filepath.Join(device, "subsystem")); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(device, "dev"), fmt.Appendf(nil, "%d:%d\n", major, minor), 0o444); err != nil {
			return err
		}
		event := fmt.Appendf(nil, "MAJOR=%d\nMINOR=%d\nDEVNAME=dma_heap/%s\n", major, minor, n.Name)
		if err := os.WriteFile(filepath.Join(device, "uevent"), event, 0o644); err != nil {
			return err
		}
		for _, f := range powerFiles {
			if err := os.WriteFile(filepath.Join(power, f.name), []byte(f.text), f.mode); err != nil {
				return err
			}
		}
		if err := os.Symlink(filepath.Join("../..", deviceHeaps, n.Name), filepath.Join(root, classHeaps, n.Name)); err != nil {
			return err
		}
	}
	return nil
}

// charMajor is the major number that the running kernel would give the next driver of a character device that asks for any.
func charMajor() int {
	list, err := os.ReadFile("/proc/devices")
	if err != nil {
		slog.Debug("which major numbers are free is not known", "error", err)
	}
	return freeMajor(string(list))
}

// freeMajor does as fs/char_dev.c's find_dynamic_major with the text of /proc/devices. A number in use must not be taken: udev keeps
// what it knows of a device under its number.
func freeMajor(devices string) int {
	const highest, lowest, extHighest, extLowest = 254, 234, 511, 384
	used := map[int]bool{}
	characters, _, _ := strings.Cut(devices, "Block devices:")
	for line := range strings.Lines(characters) {
		var major int
		if n, _ := fmt.Sscanf(line, "%d", &major); n == 1 {
			used[major] = true
		}
	}
	for major := highest; major >= lowest; major-- {
		if !used[major] {
			return major
		}
	}
	for major := extHighest; major >= extLowest; major-- {
		if !used[major] {
			return major
		}
	}
	return highest
}
