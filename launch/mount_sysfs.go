package launch

import (
	"fmt"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/devices/sysfs"
)

// sysfsView is a directory that shows the heaps and the board's devices as a kernel's /sys does, for those who bind it, or parts of it,
// where programs look.
type sysfsView struct{ dir string }

// mountSysfs makes one on dir, which mountPoint has judged.
func mountSysfs(dir string, view sysfs.View) (*sysfsView, error) {
	if err := unix.Mount("heapfs-sys", dir, "tmpfs", sysFlags, "mode=0755"); err != nil {
		return nil, &os.PathError{Op: "mount tmpfs", Path: dir, Err: err}
	}
	v := &sysfsView{dir}
	if err := fillSys(dir, view); err != nil {
		v.close()
		return nil, fmt.Errorf("sysfs view %q: %w", dir, err)
	}
	return v, nil
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
