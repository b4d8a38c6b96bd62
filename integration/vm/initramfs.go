package vm

import (
	"bufio"
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/heapfs/heapfs/integration/vm/wire"
)

// initramfs writes what the guest boots into.
func initramfs(ctx context.Context, out string, cfg Config, job wire.Job, modules map[string]string) error {
	init, err := guestInit(ctx)
	if err != nil {
		return err
	}
	busybox, err := findBusybox(ctx)
	if err != nil {
		return err
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	defer f.Close()
	buffered := bufio.NewWriterSize(f, 1<<20)
	a := newArchive(buffered)
	for _, dir := range []string{"proc", "sys", "dev", "run", "root", "etc", "mnt"} {
		a.dir(dir, 0o755)
	}
	a.dir("tmp", 0o1777)
	a.dir("home/user", 0o777)
	a.file("init", 0o755, init)
	a.file("bin/busybox", 0o755, busybox.data)
	for _, applet := range busybox.applets {
		if applet != "busybox" && !given(cfg, applet) {
			a.link("bin/"+applet, "busybox")
		}
	}
	a.dir("usr", 0o755)
	for _, link := range []string{"sbin", "usr/bin", "usr/sbin"} {
		a.link(link, "/bin")
	}
	a.file("etc/passwd", 0o644, []byte("root:x:0:0:root:/root:/bin/sh\nuser:x:1001:1001:user:/home/user:/bin/sh\n"))
	a.file("etc/group", 0o644, []byte("root:x:0:\nuser:x:1001:\n"))
	for _, guest := range slices.Sorted(maps.Keys(modules)) {
		if err := addHostFile(a, guest, modules[guest]); err != nil {
			return err
		}
	}
	for _, guest := range slices.Sorted(maps.Keys(cfg.Files)) {
		if err := addHostFile(a, guest, cfg.Files[guest]); err != nil {
			return err
		}
	}
	for _, guest := range slices.Sorted(maps.Keys(cfg.Texts)) {
		a.file(guest, 0o755, []byte(cfg.Texts[guest]))
	}
	text, err := json.Marshal(job)
	if err != nil {
		return err
	}
	a.file(wire.JobPath, 0o400, text)
	if err := a.close(); err != nil {
		return fmt.Errorf("%s: %w", out, err)
	}
	return errors.Join(buffered.Flush(), f.Close())
}

// given: does the caller bring a program of this name itself?
func given(cfg Config, applet string) bool {
	for _, guest := range append(slices.Collect(maps.Keys(cfg.Files)), slices.Collect(maps.Keys(cfg.Texts))...) {
		if path.Clean(guest) == "/bin/"+applet {
			return true
		}
	}
	return false
}

// addHostFile adds a file, or a folder with all in it.
func addHostFile(a *archive, guest, host string) error {
	return filepath.WalkDir(host, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Stat(file)
		if err != nil {
			return err
		}
		inside := path.Join(guest, filepath.ToSlash(strings.TrimPrefix(file, host)))
		if info.IsDir() {
			a.dir(inside, 0o755)
			return nil
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		a.file(inside, int(info.Mode().Perm()), data)
		return nil
	})
}

type busyboxProgram struct {
	data    []byte
	applets []string
}

// findBusybox returns a static busybox.
func findBusybox(ctx context.Context) (busyboxProgram, error) {
	file, err := exec.LookPath("busybox")
	if err != nil {
		return busyboxProgram{}, fmt.Errorf("%w: busybox: apt-get install busybox-static, or scripts/deps.sh vm", ErrTools)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return busyboxProgram{}, fmt.Errorf("%w: busybox: %v", ErrTools, err)
	}
	if static, err := isStatic(data); err != nil || !static {
		return busyboxProgram{}, fmt.Errorf("%w: %s is not static: apt-get install busybox-static, or scripts/deps.sh vm", ErrTools, file)
	}
	list, err := command(ctx, file, "--list").Output()
	if err != nil {
		return busyboxProgram{}, fmt.Errorf("%w: %s --list: %v", ErrTools, file, err)
	}
	return busyboxProgram{data: data, applets: strings.Fields(string(list))}, nil
}

// isStatic: does a program start without a loader?
func isStatic(program []byte) (bool, error) {
	f, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return false, err
	}
	for _, segment := range f.Progs {
		if segment.Type == elf.PT_INTERP {
			return false, nil
		}
	}
	return true, nil
}

const guestPackage = "github.com/heapfs/heapfs/integration/vm/guest"

var builtInit struct {
	sync.Mutex
	program []byte
}

// guestInit builds the guest's /init, once a process. It must be called from within the module.
func guestInit(ctx context.Context) ([]byte, error) {
	builtInit.Lock()
	defer builtInit.Unlock()
	if builtInit.program != nil {
		return builtInit.program, nil
	}
	dir, err := os.MkdirTemp("", "heapfs-vm-init-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "init")
	build := command(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", out, guestPackage)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64", "GOFLAGS=")
	if text, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: go build %s: %v\n%s", ErrTools, guestPackage, err, text)
	}
	builtInit.program, err = os.ReadFile(out)
	return builtInit.program, err
}
