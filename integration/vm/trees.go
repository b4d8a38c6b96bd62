package vm

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// DeviceTrees returns a folder with the device tree blobs of Debian's arm64 kernel of a version, VENDOR/BOARD.dtb, and fetches them first
// where it has to. ctx limits the time. Errors are ErrPackage.
func DeviceTrees(ctx context.Context, version string) (dir string, err error) {
	k, err := Find(version)
	if err != nil {
		return "", err
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	dir = filepath.Join(cache, "trees", version)
	if exists(dir) {
		return dir, nil
	}
	release, err := lock(ctx, cache)
	if err != nil {
		return "", err
	}
	defer release()
	if exists(dir) { // another run has made it meanwhile
		return dir, nil
	}
	err = install(dir, func(tmp string) error {
		debs := filepath.Join(tmp, "debs")
		if err := os.Mkdir(debs, 0o755); err != nil {
			return err
		}
		if err := (apt{dir: filepath.Join(cache, "apt", k.Suite+"-arm64"), arch: "arm64"}).packages(ctx, k, debs); err != nil {
			return err
		}
		if err := unpackTrees(ctx, debs, tmp); err != nil {
			return err
		}
		return os.RemoveAll(debs)
	})
	if err != nil {
		return "", fmt.Errorf("%w of Linux %s for arm64: %v", ErrPackage, version, err)
	}
	return dir, nil
}

// unpackTrees takes the blobs out of the packages in debs: they are in usr/lib/linux-image-VERSION/VENDOR.
func unpackTrees(ctx context.Context, debs, dir string) error {
	all := filepath.Join(debs, "all")
	packages, err := filepath.Glob(filepath.Join(debs, "*.deb"))
	if err != nil {
		return err
	}
	for _, deb := range packages {
		if out, err := command(ctx, "dpkg-deb", "-x", deb, all).CombinedOutput(); err != nil {
			return fmt.Errorf("dpkg-deb -x %s: %w: %s", deb, err, lastLines(string(out), 2))
		}
	}
	vendors, err := filepath.Glob(filepath.Join(all, "usr/lib/linux-image-*/*"))
	if err != nil {
		return err
	}
	for _, v := range vendors {
		if err := os.Rename(v, filepath.Join(dir, filepath.Base(v))); err != nil {
			return err
		}
	}
	blobs, err := filepath.Glob(filepath.Join(dir, "*", "*.dtb"))
	if err == nil && len(blobs) == 0 {
		err = fmt.Errorf("no blobs in %s", strings.Join(packages, ", "))
	}
	return err
}
