package launch

import (
	"fmt"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/devices/sysfs"
	"github.com/heapfs/heapfs/internal/sys"
)

// sysfsView is a directory that shows the heaps and the board's devices as a kernel's /sys does, for those who bind it, or parts of it,
// where programs look.
type sysfsView struct {
	dir string
	dev uint64 // of the file system, 0 as long as it is not known
}

// mountSysfs makes one on dir, which mountPoint has judged.
func mountSysfs(dir string, view sysfs.View) (*sysfsView, error) {
	if err := unix.Mount("heapfs-sys", dir, "tmpfs", sysFlags, "mode=0755"); err != nil {
		return nil, &os.PathError{Op: "mount tmpfs", Path: dir, Err: err}
	}
	v := &sysfsView{dir: dir}
	id, err := sys.StatAt(unix.AT_FDCWD, dir)
	if err != nil {
		v.close()
		return nil, fmt.Errorf("sysfs view %q: %w", dir, err)
	}
	v.dev = id.Dev
	if err := fillSys(dir, view); err != nil {
		v.close()
		return nil, fmt.Errorf("sysfs view %q: %w", dir, err)
	}
	return v, nil
}

// close takes it away from its place, if it is there still; who has bound it keeps what it saw.
func (v *sysfsView) close() {
	if v == nil {
		return
	}
	if id, err := sys.StatAt(unix.AT_FDCWD, v.dir); err != nil || v.dev != 0 && id.Dev != v.dev {
		return
	}
	if err := unix.Unmount(v.dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
		slog.Error("the sysfs view could not be unmounted", "dir", v.dir, "error", err, "next", "umount -l "+word(v.dir))
	}
}
