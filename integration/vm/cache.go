package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// cacheDir is where kernels are kept. What lies there under its final name is whole, because it was renamed into place:
//
//	debs/VERSION/*.deb      the packages
//	kernels/VERSION-N/      vmlinuz, vmlinux, modules/*.ko, modules/order; N counts the layouts of this folder
//	trees/VERSION/          VENDOR/BOARD.dtb of the arm64 kernel
//	apt/SUITE/              apt's lists, which nothing else needs
func cacheDir() (string, error) {
	base := os.Getenv("HEAPFS_CACHE")
	if base == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("cache folder: %w (set HEAPFS_CACHE)", err)
		}
		base = filepath.Join(user, "heapfs")
	}
	dir, err := filepath.Abs(filepath.Join(base, "vm"))
	if err != nil {
		return "", err
	}
	return dir, os.MkdirAll(dir, 0o755)
}

// lock keeps two runs from fetching the same thing at once. The lock goes with its holder.
func lock(ctx context.Context, dir string) (release func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock of %s: %w", dir, err), f.Close())
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("another run holds %s: %w", f.Name(), ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// install makes dir by filling a folder beside it and renaming that.
func install(dir string, fill func(tmp string) error) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	if err := fill(tmp); err != nil {
		return err
	}
	return os.Rename(tmp, dir)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
