package launch

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/devices/sysfs"
)

const (
	sysDir = "/sys"

	// verifySysfs is systemd's: without it libudev refuses a device whose directory is not on a sysfs.
	// It can't tell ours for one.
	verifySysfs = "SYSTEMD_DEVICE_VERIFY_SYSFS"
)

// privateSys shows a view in the sysfs at root. Where the place of the heaps is absent or closed to this user, so is a kernel's view of
// them, and nothing is to be done.
//
// Only the directories that gain an entry are covered, so that the rest stays the one sysfs that it is, with all that is mounted
// in it and with the devices that come later.
func privateSys(root string, view sysfs.View) error {
	// CMD's umask says nothing about what a kernel shows.
	defer unix.Umask(unix.Umask(0))
	view.Devices = present(root, view.Devices)
	c := &cover{root: root, open: map[string]bool{}}
	return c.show(view)
}

// fillSys shows a view in an empty directory that is a mount of ours, and makes it unchangeable. Nothing of the machine's is in it.
func fillSys(dir string, view sysfs.View) error {
	defer unix.Umask(unix.Umask(0))
	c := &cover{root: dir, open: map[string]bool{dir: true}, mounts: []string{dir}}
	return c.show(view)
}

// newView makes what is to be seen of a plan's heaps and devices.
func (p *plan) newView() sysfs.View {
	return sysfs.View{Nodes: p.Nodes, Devices: p.Devices, Major: charMajor()}
}

// present marks the devices that the machine has itself, with the place where it has them.
func present(root string, all []sysfs.Device) []sysfs.Device {
	all = slices.Clone(all)
	for i := range all {
		d := &all[i]
		link := filepath.Join(root, sysfs.BusLink(d))
		if to, err := os.Readlink(link); err == nil && !filepath.IsAbs(to) {
			if dir, err := filepath.Rel(root, filepath.Join(filepath.Dir(link), to)); err == nil && filepath.IsLocal(dir) {
				d.Path, d.Present = dir, true
			}
			continue
		}
		_, err := os.Stat(filepath.Join(root, d.Path, "uevent"))
		d.Present = err == nil
	}
	return all
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
