package launch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/doctor"
	"github.com/heapfs/heapfs/internal/sys"
)

const (
	devDir  = "/dev"
	heapDir = "/dev/dma_heap"
	// deviceDir has the device files. It is none of a kernel's.
	deviceDir = "/dev/heapfs"

	// hostDev is where the private /dev keeps the host's whole one. Only ptmx needs it: opening it looks for "pts" beside the
	// file that was opened, and a file that is bound alone has nothing beside it.
	hostDev = "/dev/.heapfs"
)

// privateDev puts a /dev of our own over the host's that has everything of it and the empty heap directory. Where the host has a
// heap directory, nothing is to be made: it is mounted over. withDevices is whether there must be a directory for device files too.
//
// The directory is a tmpfs of mode 0755: with a sticky one the kernel refuses `> /dev/null` (fs.protected_regular).
func privateDev(withDevices bool) error {
	if isDir(heapDir) && (!withDevices || isDir(deviceDir)) {
		return nil
	}
	host, err := sys.OpenDir(devDir)
	if err != nil {
		return err
	}
	defer sys.Close(host)
	// Cloned while nothing of ours lies over it.
	whole, err := cloneTree(host, devDir, "")
	if err != nil {
		return err
	}
	defer sys.Close(whole)
	entries, err := os.ReadDir(devDir)
	if err != nil {
		return err
	}
	if err := unix.Mount("heapfs-dev", devDir, "tmpfs", unix.MS_NOSUID, "mode=0755,size=1m"); err != nil {
		return &os.PathError{Op: "mount tmpfs", Path: devDir, Err: err}
	}
	if err := os.Mkdir(hostDev, 0o755); err != nil {
		return err
	}
	if err := attachTree(whole, hostDev); err != nil {
		return err
	}
	for _, e := range entries {
		// An entry may go away meanwhile.
		if err := copyEntry(host, e); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for _, dir := range []string{heapDir, deviceDir} {
		if dir == deviceDir && !withDevices {
			continue
		}
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

// copyEntry makes one entry of the host's /dev appear in ours.
func copyEntry(host int, e fs.DirEntry) error {
	name := e.Name()
	target := filepath.Join(devDir, name)
	switch {
	case target == hostDev || target == heapDir || target == deviceDir:
		return nil
	case name == "ptmx" && e.Type()&fs.ModeSymlink == 0:
		return makePtmx(host, target)
	default:
		return bindEntry(host, devDir, e)
	}
}

// makePtmx makes a node of its own where that is permitted: then a terminal's name is as outside. Else ptmx leads to the host's,
// and the terminals that come of it are called /dev/.heapfs/pts/N (and are at /dev/pts, too).
func makePtmx(host int, target string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(host, "ptmx", &st, 0); err != nil {
		return &os.PathError{Op: "stat", Path: target, Err: err}
	}
	if err := unix.Mknod(target, st.Mode&unix.S_IFMT, int(st.Rdev)); err != nil {
		return os.Symlink(filepath.Join(filepath.Base(hostDev), "ptmx"), target)
	}
	if err := os.Chmod(target, os.FileMode(st.Mode&0o777)); err != nil {
		return err
	}
	return os.Chown(target, int(st.Uid), int(st.Gid))
}

// bindEntry makes one entry of directory host appear in the directory base that now lies over it: a symbolic link as a copy, all
// else as a mount of the host's own.
func bindEntry(host int, base string, e fs.DirEntry) error {
	name := e.Name()
	target := filepath.Join(base, name)
	switch {
	case e.Type()&fs.ModeSymlink != 0:
		to, err := os.Readlink(filepath.Join(sys.FDPath(host), name))
		if err != nil {
			return err
		}
		return os.Symlink(to, target)
	case e.IsDir():
		if err := os.Mkdir(target, 0o755); err != nil {
			return err
		}
	default:
		f, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	tree, err := cloneTree(host, base, name)
	if err != nil {
		return err
	}
	defer sys.Close(tree)
	return attachTree(tree, target)
}

// cloneTree makes a detached copy of the mounts at name of directory host, which was opened as base, or at the directory itself.
// The descriptor is the caller's; if it is closed before it is attached, the copy is gone. All that is mounted below comes
// along: a user namespace does not let go of one mount without those that hide parts of it.
func cloneTree(host int, base, name string) (int, error) {
	flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC | unix.AT_RECURSIVE | unix.AT_SYMLINK_NOFOLLOW)
	if name == "" {
		flags |= unix.AT_EMPTY_PATH
	}
	tree, err := unix.OpenTree(host, name, flags)
	if err != nil {
		return -1, &os.PathError{Op: "open_tree", Path: filepath.Join(base, name), Err: err}
	}
	return tree, nil
}

func attachTree(tree int, target string) error {
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return &os.PathError{Op: "move_mount", Path: target, Err: err}
	}
	return nil
}

// openFUSE opens the kernel's FUSE device. It must happen in the user namespace of the mount.
func openFUSE() (int, error) {
	const path = "/dev/fuse"
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err == nil {
		return fd, nil
	}
	return -1, hint(&os.PathError{Op: "open", Path: path, Err: err}, doctor.ExplainFuseDevice(err))
}

// mountHeaps mounts the file system behind fuse on the directory dir of heaps.
func mountHeaps(fuse int, dir string, uid, gid int) error { return mountFUSE(fuse, dir, uid, gid) }

// mountDevices mounts the file system behind fuse on the directory of device files.
func mountDevices(fuse, uid, gid int) error { return mountFUSE(fuse, deviceDir, uid, gid) }

func mountFUSE(fuse int, dir string, uid, gid int) error {
	data := fmt.Sprintf("fd=%d,rootmode=40000,user_id=%d,group_id=%d,default_permissions,allow_other", fuse, uid, gid)
	if err := unix.Mount("heapfs", dir, heapType, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, data); err != nil {
		return &os.PathError{Op: "mount fuse", Path: dir, Err: err}
	}
	return nil
}
