package launch

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/devices/board"
)

// sysfsView is a directory that shows the heaps as a kernel's /sys does, for those who bind it, or parts of it, where programs look.
type sysfsView struct{ dir string }

// mountSysfs makes one on dir, which mountPoint has judged.
func mountSysfs(dir string, nodes []board.Node) (*sysfsView, error) {
	// This process's umask says nothing about what a kernel shows.
	defer unix.Umask(unix.Umask(0))
	if err := unix.Mount("heapfs-sys", dir, "tmpfs", sysFlags, "mode=0755"); err != nil {
		return nil, &os.PathError{Op: "mount tmpfs", Path: dir, Err: err}
	}
	v := &sysfsView{dir}
	if err := v.fill(nodes); err != nil {
		v.close()
		return nil, fmt.Errorf("sysfs view %q: %w", dir, err)
	}
	return v, nil
}

func (v *sysfsView) fill(nodes []board.Node) error {
	for _, name := range []string{deviceHeaps, classHeaps} {
		if err := os.MkdirAll(filepath.Join(v.dir, name), 0o755); err != nil {
			return err
		}
	}
	if err := describeHeaps(v.dir, nodes, charMajor()); err != nil {
		return err
	}
	if err := unix.Mount("", v.dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|sysFlags, ""); err != nil {
		return &os.PathError{Op: "remount read-only", Path: v.dir, Err: err}
	}
	return nil
}

// close takes it away from its place; who has bound it keeps what it saw.
func (v *sysfsView) close() {
	if v == nil {
		return
	}
	if err := unix.Unmount(v.dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
		slog.Error("the sysfs view could not be unmounted", "dir", v.dir, "error", err, "next", "umount -l "+word(v.dir))
	}
}
