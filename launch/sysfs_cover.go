package launch

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/devices/sysfs"
	"github.com/heapfs/heapfs/internal/sys"
)

// cover puts directories of ours over some of an existing tree, as few and as far down as it can.
type cover struct {
	root   string
	open   map[string]bool // directories that can be written to
	mounts []string        // those of them that are mounts
}

// errNoPlace says that the tree is not there, or that this user can't look into it.
var errNoPlace = errors.New("no place for it")

// show makes all of a view appear that there is a place for, and seals it.
func (c *cover) show(view sysfs.View) error {
	for _, e := range view.Entries() {
		err := c.put(e)
		switch {
		case errors.Is(err, errNoPlace) && e.Hides:
			slog.Debug("the heaps are not shown in sysfs", "error", err)
			return nil
		case errors.Is(err, errNoPlace):
			slog.Debug("not shown in sysfs", "path", e.Path, "error", err)
		case err != nil:
			return err
		}
	}
	return c.seal()
}

// put makes an entry appear, unless there is one of that name: then only a directory that hides what it had changes.
func (c *cover) put(e sysfs.Entry) error {
	path := filepath.Join(c.root, e.Path)
	if e.Hides {
		return c.fresh(path)
	}
	if err := c.writable(filepath.Dir(path)); err != nil {
		return err
	}
	var err error
	switch {
	case e.Mode.IsDir():
		if err = os.Mkdir(path, e.Mode.Perm()); err == nil {
			c.open[path] = true
		}
	case e.Mode&fs.ModeSymlink != 0:
		err = os.Symlink(e.Text, path)
	default:
		err = writeNew(path, e.Text, e.Mode)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// writeNew writes a file that must not be there.
func writeNew(path, text string, mode fs.FileMode) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, uint32(mode))
	if err != nil {
		return &os.PathError{Op: "create", Path: path, Err: err}
	}
	defer sys.Close(fd)
	if text == "" {
		return nil
	}
	if _, err := unix.Write(fd, []byte(text)); err != nil { // to a tmpfs: all of it or nothing
		return &os.PathError{Op: "write", Path: path, Err: err}
	}
	return nil
}

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
