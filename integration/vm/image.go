package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// layout counts what an unpacked kernel's folder holds: another number, another folder.
const layout = "2"

// Image is an unpacked kernel.
type Image struct {
	Kernel  Kernel
	Vmlinuz string // host path
	Vmlinux string // the same unpacked, "" where it can't be booted so

	dir string
}

// Prepare returns the image of a kernel and makes it first, from the network where it has to. ctx limits the time.
func Prepare(ctx context.Context, version string) (Image, error) {
	k, err := Find(version)
	if err != nil {
		return Image{}, err
	}
	cache, err := cacheDir()
	if err != nil {
		return Image{}, err
	}
	image := Image{Kernel: k, dir: filepath.Join(cache, "kernels", version+"-"+layout)}
	image.Vmlinuz = filepath.Join(image.dir, "vmlinuz")
	if exists(image.dir) {
		return image.found(), nil
	}
	release, err := lock(ctx, cache)
	if err != nil {
		return Image{}, err
	}
	defer release()
	if exists(image.dir) { // another run has made it meanwhile
		return image.found(), nil
	}
	debs := filepath.Join(cache, "debs", version)
	if !exists(debs) {
		err := install(debs, func(tmp string) error {
			return apt{dir: filepath.Join(cache, "apt", k.Suite), arch: "amd64"}.packages(ctx, k, tmp)
		})
		if err != nil {
			return Image{}, fmt.Errorf("%w of Linux %s: %v", ErrPackage, version, err)
		}
	}
	if err := install(image.dir, func(tmp string) error { return unpack(ctx, debs, tmp) }); err != nil {
		return Image{}, fmt.Errorf("%w of Linux %s: %v (delete %s to fetch it anew)", ErrPackage, version, err, debs)
	}
	return image.found(), nil
}

// found fills in what is not there for each kernel.
func (i Image) found() Image {
	if path := filepath.Join(i.dir, "vmlinux"); exists(path) {
		i.Vmlinux = path
	}
	return i
}

// unpack fills dir from the packages in debs.
func unpack(ctx context.Context, debs, dir string) error {
	all := filepath.Join(dir, "all")
	if err := os.Mkdir(all, 0o755); err != nil {
		return err
	}
	packages, err := filepath.Glob(filepath.Join(debs, "*.deb"))
	if err != nil {
		return err
	}
	for _, deb := range packages {
		if out, err := command(ctx, "dpkg-deb", "-x", deb, all).CombinedOutput(); err != nil {
			return fmt.Errorf("dpkg-deb -x %s: %w: %s", deb, err, lastLines(string(out), 2))
		}
	}
	kernel, modules, err := contents(all)
	if err != nil {
		return err
	}
	if kernel == "" {
		return fmt.Errorf("%s: no vmlinuz in %d packages", debs, len(packages))
	}
	vmlinuz := filepath.Join(dir, "vmlinuz")
	if err := os.Rename(kernel, vmlinuz); err != nil {
		return err
	}
	if err := unpackKernel(ctx, vmlinuz, filepath.Join(dir, "vmlinux")); err != nil {
		return err
	}
	if err := keepModules(ctx, modules, filepath.Join(dir, "modules")); err != nil {
		return err
	}
	return os.RemoveAll(all)
}

var moduleFile = regexp.MustCompile(`^(.+)\.ko(\.xz|\.zst|\.gz)?$`)

// contents finds the kernel (in /boot, or from 7.x on among the modules) and the modules by name.
func contents(root string) (kernel string, modules map[string]string, err error) {
	modules = map[string]string{}
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		name := entry.Name()
		if m := moduleFile.FindStringSubmatch(name); m != nil {
			modules[moduleName(m[1])] = path
		} else if name == "vmlinuz" || strings.HasPrefix(name, "vmlinuz-") {
			kernel = path
		}
		return nil
	})
	return kernel, modules, err
}

// keepModules puts the wanted modules and what they depend on into dir, uncompressed, and the order of loading into dir/order.
// The packages have no modules.dep: depmod makes it when they are installed.
func keepModules(ctx context.Context, files map[string]string, dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	var order []string
	var keep func(name string) error
	keep = func(name string) error {
		if slices.Contains(order, name) {
			return nil
		}
		path, ok := files[name]
		if !ok {
			return nil // built in, or not there at all: loading it says so
		}
		data, err := decompress(ctx, path)
		if err != nil {
			return err
		}
		depends, err := moduleDepends(bytes.NewReader(data))
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for _, other := range depends {
			if err := keep(other); err != nil {
				return err
			}
		}
		order = append(order, name)
		line := name + " " + strings.Join(depends, ",") + "\n"
		return errors.Join(os.WriteFile(filepath.Join(dir, name+".ko"), data, 0o644), appendFile(filepath.Join(dir, "order"), line))
	}
	if err := os.WriteFile(filepath.Join(dir, "order"), nil, 0o644); err != nil {
		return err
	}
	for _, name := range wantedModules {
		if err := keep(name); err != nil {
			return err
		}
	}
	return nil
}

func decompress(ctx context.Context, path string) ([]byte, error) {
	tool := map[string]string{".xz": "xz", ".zst": "zstd", ".gz": "gzip"}[filepath.Ext(path)]
	if tool == "" {
		return os.ReadFile(path)
	}
	out, err := command(ctx, tool, "-dc", path).Output()
	if err != nil {
		return nil, fmt.Errorf("%s -dc %s: %w", tool, path, err)
	}
	return out, nil
}

// command is a command that ends with ctx, and whose children are not waited for then.
func command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = 5 * time.Second
	return cmd
}
