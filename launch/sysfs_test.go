package launch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/devices"
	"github.com/heapfs/heapfs/devices/board"
	"github.com/heapfs/heapfs/devices/sysfs"
)

var twoHeaps = sysfs.View{Nodes: []board.Node{{Name: "system"}, {Name: "linux,cma"}}, Major: 244}

// inMountNamespace runs f in a mount namespace of its own that ends with it. No thread but f's is there: f must not use t.
func inMountNamespace(t *testing.T, f func() error) error {
	if os.Geteuid() != 0 {
		t.Skip("a mount namespace for one thread is root's: sudo go test ./launch")
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its goroutine
		err := unix.Unshare(unix.CLONE_NEWNS)
		if err == nil {
			err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// tree builds entries below root: a name that ends in / is a directory, "a -> b" a symbolic link, all else a file with its own
// name in it.
func tree(t *testing.T, root string, entries []string) {
	for _, e := range entries {
		name, to, link := strings.Cut(e, " -> ")
		path := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		switch {
		case link:
			require.NoError(t, os.Symlink(to, path))
		case strings.HasSuffix(name, "/"):
			require.NoError(t, os.MkdirAll(path, 0o755))
		default:
			require.NoError(t, os.WriteFile(path, []byte(name), 0o644))
		}
	}
}

// names lists all that is below root, in the form that tree takes; of the heaps only their directories.
func names(root string) ([]string, error) {
	var all []string
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		switch {
		case e.Type()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			name += " -> " + to
		case e.IsDir():
			name += "/"
		}
		all = append(all, name)
		if e.IsDir() && filepath.Base(filepath.Dir(path)) == "dma_heap" {
			return fs.SkipDir
		}
		return nil
	})
	return all, err
}

func TestPrivateSysChangesNothingWhereThereIsNone(t *testing.T) {
	tests := []struct {
		name    string
		entries []string
		root    string
	}{
		{"absent", nil, "sys"},
		{"a file", []string{"sys"}, "sys"},
		{"a file where the classes would be", []string{"sys/class", "sys/devices/virtual/dma_heap/"}, "sys/class"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			tree(t, dir, tt.entries)
			var before, after []string
			err := inMountNamespace(t, func() (err error) {
				if before, err = names(dir); err != nil {
					return err
				}
				if err = privateSys(filepath.Join(dir, tt.root), twoHeaps); err != nil {
					return err
				}
				after, err = names(dir)
				return err
			})
			require.NoError(t, err)
			assert.Equal(t, before, after)
		})
	}
}

func TestPrivateSysKeepsTheHosts(t *testing.T) {
	heaps := []string{
		"class/dma_heap/linux,cma -> ../../devices/virtual/dma_heap/linux,cma",
		"class/dma_heap/system -> ../../devices/virtual/dma_heap/system",
		"devices/virtual/dma_heap/linux,cma/",
		"devices/virtual/dma_heap/system/",
	}
	tests := []struct {
		name       string
		host, want []string
		reads      []string // files that can be read
		mounts     int      // of ours
	}{
		{"empty", nil, []string{"class/", "class/dma_heap/", "devices/", "devices/virtual/", "devices/virtual/dma_heap/"}, nil, 1},
		{
			"without virtual devices",
			[]string{"bus/", "class/mem/", "devices/pci0/a"},
			[]string{
				"bus/", "class/", "class/dma_heap/", "class/mem/", "devices/", "devices/pci0/", "devices/pci0/a", "devices/virtual/",
				"devices/virtual/dma_heap/",
			},
			[]string{"devices/pci0/a"}, 2,
		},
		{
			"a kernel's",
			[]string{"class/mem/null -> ../../devices/virtual/mem/null", "class/version", "class/alias -> mem", "devices/virtual/mem/null/dev"},
			[]string{
				"class/", "class/dma_heap/", "class/alias -> mem", "class/mem/", "class/mem/null -> ../../devices/virtual/mem/null",
				"class/version", "devices/", "devices/virtual/", "devices/virtual/dma_heap/", "devices/virtual/mem/",
				"devices/virtual/mem/null/", "devices/virtual/mem/null/dev",
			},
			[]string{"class/version", "class/mem/null/dev", "class/alias/null/dev"}, 2,
		},
		{
			"a kernel's with heaps",
			[]string{"class/dma_heap/reserved -> ../../devices/virtual/dma_heap/reserved", "devices/virtual/dma_heap/reserved/dev"},
			[]string{"class/", "class/dma_heap/", "devices/", "devices/virtual/", "devices/virtual/dma_heap/"},
			[]string{"class/dma_heap/linux,cma/dev"}, 2,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			tree(t, root, tt.host)
			var got []string
			var mounts int
			err := inMountNamespace(t, func() (err error) {
				if err = privateSys(root, twoHeaps); err != nil {
					return err
				}
				info, err := os.ReadFile("/proc/thread-self/mountinfo")
				if err != nil {
					return err
				}
				mounts = strings.Count(string(info), " heapfs-sys ")
				if got, err = names(root); err != nil {
					return err
				}
				// By way of the links: they lead through what lies over the host's.
				for _, f := range tt.reads {
					if _, err := os.ReadFile(filepath.Join(root, f)); err != nil {
						return err
					}
				}
				for _, f := range []string{"class/dma_heap/new", "devices/virtual/dma_heap/system/uevent", "devices/virtual/dma_heap/system/power/control"} {
					if err := os.WriteFile(filepath.Join(root, f), nil, 0o644); !errors.Is(err, unix.EROFS) {
						return fmt.Errorf("write %s: %w", f, err)
					}
				}
				return nil
			})
			require.NoError(t, err)
			want := append(append([]string{}, tt.want...), heaps...)
			assert.ElementsMatch(t, want, got)
			assert.Equal(t, tt.mounts, mounts)

			outside, err := names(root)
			require.NoError(t, err)
			for _, name := range outside {
				assert.NotContains(t, name, "system", "the host's is changed")
			}
		})
	}
}

// The board's devices are shown where the machine has none of the name, and the machine's own stay as they are.
func TestPrivateSysShowsDevices(t *testing.T) {
	view := twoHeaps
	at := func(path string) sysfs.Device {
		return sysfs.Device{
			Device: devices.Device{Name: filepath.Base(path), Heap: "system"}, Path: path, Compatible: []string{"maker,model"},
			Serving: []string{"system", "linux,cma"},
		}
	}
	view.Devices = []sysfs.Device{
		at("devices/platform/soc/1.absent"), at("devices/platform/2.there"), at("devices/platform/3.elsewhere"),
		at("devices/platform/4.file"), at("devices/pci0000:00/0000:00:02.0"),
	}
	host := []string{
		"bus/platform/devices/2.there -> ../../../devices/platform/2.there", "devices/platform/2.there/uevent", "devices/platform/2.there/power/control",
		"devices/platform/2.there/net/eth0/address", "class/net/eth0 -> ../../devices/platform/2.there/net/eth0",
		"bus/platform/devices/3.elsewhere -> ../../../devices/platform/bridge/3.elsewhere", "devices/platform/bridge/3.elsewhere/modalias",
		"devices/platform/4.file", "devices/platform/uevent",
	}
	root := t.TempDir()
	tree(t, root, host)
	reads := map[string]string{ // file → what is in it
		"bus/platform/devices/1.absent/uevent":                           "OF_NAME=absent\nOF_COMPATIBLE_0=maker,model\nOF_COMPATIBLE_N=1\nMODALIAS=of:NabsentT(null)Cmaker,model\n",
		"bus/platform/devices/1.absent/modalias":                         "of:NabsentT(null)Cmaker,model\n",
		"bus/platform/devices/1.absent/subsystem/devices/2.there/uevent": "devices/platform/2.there/uevent",
		"devices/platform/soc/1.absent/dma_heap/dev":                     "244:0\n",
		"devices/platform/soc/1.absent/dma_heaps/linux,cma/dev":          "244:1\n",
		"devices/platform/soc/1.absent/power/control":                    "auto\n",
		"class/net/eth0/address":                                         "devices/platform/2.there/net/eth0/address",
		"devices/platform/2.there/uevent":                                "devices/platform/2.there/uevent",
		"devices/platform/2.there/power/control":                         "devices/platform/2.there/power/control",
		"bus/platform/devices/2.there/dma_heaps/system/dev":              "244:0\n",
		"bus/platform/devices/2.there/dma_constraints/protected":         "refuses\n",
		"bus/platform/devices/3.elsewhere/modalias":                      "devices/platform/bridge/3.elsewhere/modalias",
		"bus/platform/devices/3.elsewhere/dma_heap/uevent":               "MAJOR=244\nMINOR=0\nDEVNAME=dma_heap/system\n",
		"devices/platform/bridge/3.elsewhere/dma_constraints/contiguous": "0\n",
		"devices/platform/4.file":                                        "devices/platform/4.file",
		"devices/platform/uevent":                                        "devices/platform/uevent",
		"bus/pci/devices/0000:00:02.0/dma_heap/dev":                      "244:0\n",
	}
	absent := []string{
		"devices/platform/2.there/modalias", "devices/platform/3.elsewhere", "devices/platform/bridge/3.elsewhere/uevent",
		"devices/platform/2.there/power/runtime_status",
	}
	var got []string
	err := inMountNamespace(t, func() error {
		if err := privateSys(root, view); err != nil {
			return err
		}
		for file, want := range reads {
			text, err := os.ReadFile(filepath.Join(root, file))
			if err != nil {
				return err
			}
			if string(text) != want {
				got = append(got, fmt.Sprintf("%s: %q", file, text))
			}
		}
		for _, file := range absent {
			if _, err := os.Lstat(filepath.Join(root, file)); err == nil {
				got = append(got, file+" is there")
			}
		}
		for _, f := range []string{"devices/platform/new", "devices/platform/2.there/new", "bus/platform/devices/new", "devices/platform/soc/1.absent/uevent"} {
			if err := os.WriteFile(filepath.Join(root, f), nil, 0o644); !errors.Is(err, unix.EROFS) {
				return fmt.Errorf("write %s: %w", f, err)
			}
		}
		return nil
	})
	require.NoError(t, err)
	assert.Empty(t, got)
}

// A directory for those who bind parts of it where programs look has the whole view, and nothing else.
func TestViewInADirectoryOfItsOwn(t *testing.T) {
	view := twoHeaps
	view.Devices = []sysfs.Device{{
		Device: devices.Device{Name: "1.vpu", Heap: "linux,cma"}, Path: "devices/platform/1.vpu", Serving: []string{"linux,cma"},
	}}
	dir := t.TempDir()
	var heaps, top []string
	var link []byte
	err := inMountNamespace(t, func() error {
		if err := unix.Mount("heapfs-sys", dir, "tmpfs", sysFlags, "mode=0755"); err != nil {
			return err
		}
		err := fillSys(dir, view)
		if err != nil {
			return err
		}
		if link, err = os.ReadFile(filepath.Join(dir, "bus/platform/devices/1.vpu/dma_heaps/linux,cma/uevent")); err != nil {
			return err
		}
		if heaps, err = names(filepath.Join(dir, "class")); err != nil {
			return err
		}
		entries, err := os.ReadDir(dir)
		for _, e := range entries {
			top = append(top, e.Name())
		}
		if err != nil {
			return err
		}
		if err := os.Mkdir(filepath.Join(dir, "new"), 0o755); !errors.Is(err, unix.EROFS) {
			return fmt.Errorf("mkdir: %w", err)
		}
		return nil
	})
	require.NoError(t, err)
	assert.Equal(t, []string{"bus", "class", "devices"}, top)
	assert.Equal(t, "MAJOR=244\nMINOR=1\nDEVNAME=dma_heap/linux,cma\n", string(link))
	assert.Equal(t, []string{
		"dma_heap/", "dma_heap/linux,cma -> ../../devices/virtual/dma_heap/linux,cma", "dma_heap/system -> ../../devices/virtual/dma_heap/system",
	}, heaps)
}

func TestMajorIsOneThatIsFree(t *testing.T) {
	var crowd strings.Builder
	crowd.WriteString("Character devices:\n")
	for major := 234; major <= 254; major++ {
		fmt.Fprintf(&crowd, "%3d driver\n", major)
	}
	full := crowd.String()
	for major := 384; major <= 511; major++ {
		full += fmt.Sprintf("%3d driver\n", major)
	}
	tests := []struct {
		name, devices string
		want          int
	}{
		{"nothing known", "", 254},
		{"no numbers", "Character devices:\n\nBlock devices:\n", 254},
		{"a block device's does not count", "Character devices:\n  1 mem\n\nBlock devices:\n254 virtblk\n", 254},
		{"the highest are taken", "Character devices:\n  1 mem\n254 a\n253 b\n251 c\n", 252},
		{"the old range is full", crowd.String() + "511 a\n", 510},
		{"all are taken", full, 254},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want, freeMajor(tt.devices))
		})
	}
}
