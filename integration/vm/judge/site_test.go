package judge

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// site is what TestMain prepares: the programs that go into the machines.
var site struct {
	dir      string
	heapfs   string
	clients  string // folder
	heaptest string
}

// clients are those that need no C library, nor an interpreter. timer is not among them: it bounds how often a call may be interrupted
// by a timer of the real clock, and under tcg the processor may be ten times slower, or not.
var clients = []string{
	"basic-static", "basic-musl", "basic-32", "goclient", "threads", "forks", "passfd", "maps", "otheruid",
	"exhaust", "killed", "hang",
}

func prepareSite() error {
	dir, err := os.MkdirTemp("/tmp", "heapfs-judge-")
	if err != nil {
		return err
	}
	site.dir, site.heapfs, site.clients = dir, filepath.Join(dir, "heapfs"), filepath.Join(dir, "clients")
	if err := prepareHeapfs(); err != nil {
		return err
	}
	site.heaptest = filepath.Join(dir, "heaptest")
	if err := buildProgram(site.heaptest, "../../../cmd/heaptest"); err != nil {
		return err
	}
	build := exec.Command("make", "--silent", "--jobs="+strconv.Itoa(runtime.NumCPU()), "--directory=../../clients", "OUT="+site.clients, "PROGRAMS="+strings.Join(clients, " "))
	build.Env = append(os.Environ(), "GOFLAGS=-buildvcs=false")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build of the clients: %w (install gcc, gcc-multilib, musl-tools and make, or run `make deps`)\n%s", err, out)
	}
	return nil
}

// prepareHeapfs takes the binary under test, or builds one.
func prepareHeapfs() error {
	if given := os.Getenv("HEAPFS_BIN"); given != "" {
		data, err := os.ReadFile(given)
		if err != nil {
			return fmt.Errorf("HEAPFS_BIN: %w", err)
		}
		return os.WriteFile(site.heapfs, data, 0o755)
	}
	return buildProgram(site.heapfs, "../../../cmd/heapfs")
}

// buildProgram builds a Go program for the machines.
func buildProgram(out, source string) error {
	return buildGo(source, "build", "-trimpath", "-buildvcs=false", "-o", out)
}

// buildUnitTests builds the tests of a package for the machines.
func buildUnitTests(out, source string) error { return buildGo(source, "test", "-c", "-o", out) }

func buildGo(source string, args ...string) error {
	build := exec.Command("go", append(args, source)...)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build of %s: %w\n%s", source, err, text)
	}
	return nil
}
