package main

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

var mounts = []struct{ kind, target, options string }{
	{"proc", "/proc", ""},
	{"sysfs", "/sys", ""},
	{"devtmpfs", "/dev", "mode=0755"},
	{"devpts", "/dev/pts", "mode=0620,ptmxmode=0666"},
	{"tmpfs", "/dev/shm", "mode=1777"},
	{"tmpfs", "/tmp", "mode=1777"},
	{"tmpfs", "/run", "mode=0755"},
	{"cgroup2", "/sys/fs/cgroup", ""},
	{"debugfs", "/sys/kernel/debug", ""},
}

func mountAll() error {
	for _, m := range mounts {
		// Directories of /sys are there already; those of the initramfs and of devtmpfs may not be.
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			return err
		}
		// EBUSY: the kernel has mounted its devtmpfs itself.
		if err := unix.Mount(m.kind, m.target, m.kind, 0, m.options); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mount %s on %s: %w", m.kind, m.target, err)
		}
	}
	for link, target := range map[string]string{
		"/dev/fd": "/proc/self/fd", "/dev/stdin": "/proc/self/fd/0", "/dev/stdout": "/proc/self/fd/1", "/dev/stderr": "/proc/self/fd/2",
	} {
		if err := os.Symlink(target, link); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}

// openDevices lets every user open what udev's rules let every user open.
func openDevices() error {
	if err := os.Chmod("/dev/fuse", 0o666); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
