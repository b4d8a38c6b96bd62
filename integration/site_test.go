package integration

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// binEnv names the binary under test; the race run sets it.
const binEnv = "HEAPFS_BIN"

// prepareSite builds heapfs, unless it is given, and the clients, and puts them where uid 1001 can execute them.
func prepareSite() error {
	// Not below $TMPDIR, which may be closed to other users.
	dir, err := os.MkdirTemp("/tmp", "heapfs-integration-")
	if err != nil {
		return err
	}
	site.dir = dir
	site.heapfs = filepath.Join(dir, "heapfs")
	site.clients = filepath.Join(dir, "clients")
	site.home = filepath.Join(dir, "home")
	site.runtime = filepath.Join(dir, "runtime")
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	for _, own := range []string{site.home, site.runtime} {
		if err := os.Mkdir(own, 0o700); err != nil {
			return err
		}
		if os.Geteuid() == 0 {
			if err := os.Chown(own, ordinaryUID, ordinaryUID); err != nil {
				return err
			}
		}
	}
	if err := prepareHeapfs(); err != nil {
		return err
	}
	site.heaptest = filepath.Join(dir, "heaptest")
	if err := buildProgram(site.heaptest, "../cmd/heaptest"); err != nil {
		return err
	}
	return prepareClients()
}

func prepareHeapfs() error {
	if given := os.Getenv(binEnv); given != "" {
		data, err := os.ReadFile(given)
		if err != nil {
			return fmt.Errorf("%s: %w", binEnv, err)
		}
		return os.WriteFile(site.heapfs, data, 0o755)
	}
	return buildProgram(site.heapfs, "../cmd/heapfs")
}

// buildProgram builds a Go program that every user can execute. The race run's flags are for heapfs, which it brings itself.
func buildProgram(out, source string) error {
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", out, source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build of %s: %w\n%s", source, err, text)
	}
	return os.Chmod(out, 0o755)
}

func prepareClients() error {
	build := exec.Command("make", "--silent", "--directory=clients", "OUT="+site.clients,
		"PROGRAMS="+strings.Join(slices.Concat(programs(), driverPrograms, others), " "))
	// The race run sets flags for the programs under test; a client is none.
	build.Env = append(os.Environ(), "GOFLAGS=-buildvcs=false")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build of the clients: %w (install gcc, gcc-multilib, libudev-dev, musl-tools and make, or run `make deps`)\n%s", err, out)
	}
	return filepath.WalkDir(site.clients, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Chmod(path, 0o755))
	})
}

// driverPrograms give buffers to devices. They are no checks of a heap, and their tests are in attach_test.go.
var driverPrograms = []string{"queue", "mockdriver", "gomockdriver"}

// others are programs that look for heaps in other ways; each has a test of its own.
var others = []string{"udev", "names", "uapi"}

// programs lists the clients that this architecture can have: there is no 32-bit x86 on arm64.
func programs() []string {
	list := []string{
		"basic", "basic-static", "basic-musl", "threads", "forks", "passfd", "maps", "timer", "otheruid",
		"exhaust", "killed", "hang", "hold", "goclient", "pyclient.py",
	}
	if runtime.GOARCH == "amd64" {
		list = append(list, "basic-32")
	}
	return list
}
