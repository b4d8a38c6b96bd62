package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The programs find nothing of a board where heapfs does not run them.
func TestWithoutHeapfsNothingIsDiscovered(t *testing.T) {
	if _, err := os.Stat("/sys/class/dma_heap"); err != nil {
		r := run(t, asRoot, options{}, client("udev"), "dma_heap")
		assert.Equal(t, 0, r.status)
		assert.Empty(t, r.stdout)
		r = run(t, asRoot, options{stderrWanted: true}, "udevadm", "info", "-p", "/sys/class/dma_heap/system")
		assert.NotEqual(t, 0, r.status)
		r = run(t, asRoot, options{}, client("names"), "libcamera", decoder)
		assert.Equal(t, 2, r.status)
		assert.Equal(t, "libcamera: no heap\n", r.stdout)
	}
	assert.NoFileExists(t, "/sys/bus/platform/devices/"+decoder)
	r := run(t, asRoot, options{env: []string{"HEAPFS_SOCKET="}, stderrWanted: true}, site.heapfs, "policy", "video-decode")
	assert.Equal(t, 1, r.status)
	assert.Contains(t, oneLine(t, r.stderr), "no board")
}

// libudev takes its own view of what a device is; ours must be one to it.
func TestHeapsAreFoundByLibudev(t *testing.T) {
	legs(t, func(t *testing.T, who leg) {
		r := heapfs(t, who, options{}, "run", "--board", "imx8mq-evk", "--", client("udev"), "dma_heap")
		require.Equal(t, 0, r.status)
		lines := strings.Split(strings.TrimSuffix(r.stdout, "\n"), "\n")
		ls := heapfs(t, who, options{env: []string{"LC_ALL=C"}}, "run", "--board", "imx8mq-evk", "--", "ls", "/dev/dma_heap")
		names := strings.Fields(ls.stdout)
		require.Len(t, lines, len(names))
		minors := map[string]bool{}
		for i, line := range lines {
			f := strings.Fields(line)
			require.Len(t, f, 6, line)
			assert.Equal(t, []string{names[i], "/sys/devices/virtual/dma_heap/" + names[i], "/dev/dma_heap/" + names[i]}, f[:3])
			_, minor, _ := strings.Cut(f[3], ":")
			minors[minor] = true
			assert.Equal(t, []string{"auto", "found"}, f[4:])
		}
		assert.Len(t, minors, len(names), "each has a number of its own")
	})
}

func TestUdevadmKnowsHeapsAndDevices(t *testing.T) {
	legs(t, func(t *testing.T, who leg) {
		r := heapfs(t, who, options{}, "run", "--board", "imx8mq-evk", "--", "udevadm", "info", "--query=property", "--path=/sys/class/dma_heap/linux,cma")
		require.Equal(t, 0, r.status)
		for _, want := range []string{"SUBSYSTEM=dma_heap\n", "DEVNAME=/dev/dma_heap/linux,cma\n", "DEVPATH=/devices/virtual/dma_heap/linux,cma\n"} {
			assert.Contains(t, r.stdout, want)
		}
		r = heapfs(t, who, options{}, "run", "--board", "imx8mq-evk", "--", "udevadm", "info", "--attribute-walk", "--path=/sys/bus/platform/devices/"+decoder)
		require.Equal(t, 0, r.status)
		for _, want := range []string{
			"looking at device '/devices/platform/soc@0/" + decoder + "'", `SUBSYSTEM=="platform"`, `ATTR{dma_constraints/contiguous}=="1"`,
		} {
			assert.Contains(t, r.stdout, want)
		}
	})
}

// A program intersects the lists of its devices, as the kernel's maintainers had it in mind, and gets the heap that negotiation chooses.
func TestProgramsIntersectTheListsOfTheirDevices(t *testing.T) {
	const script = `set -e
cd /sys/bus/platform/devices
for heap in $(ls "$1/dma_heaps"); do
	if [ -e "$2/dma_heaps/$heap" ]; then echo "$heap"; fi
done
for d in "$1" "$2"; do
	test "$(readlink -f $d/dma_heap)" = "$(readlink -f $d/dma_heaps/"$(basename "$(readlink $d/dma_heap)")")"
	test "$(readlink -f $d/dma_heap/subsystem)" = /sys/class/dma_heap
done`
	tests := []struct {
		board, a, b string
		want        string
	}{
		{"imx8mq-evk", decoder, gpu, "default_cma_region\nlinux,cma\n"},
		{"rk3399-rockpro64", "ff650000.video-codec", "ff9a0000.gpu", "default_cma_region\nlinux,cma\nsystem\n"},
	}
	for _, tt := range tests {
		t.Run(tt.board, func(t *testing.T) {
			legs(t, func(t *testing.T, who leg) {
				r := heapfs(t, who, options{env: []string{"LC_ALL=C"}}, "run", "--board", tt.board, "--", "sh", "-c", script, "sh", tt.a, tt.b)
				assert.Equal(t, 0, r.status)
				assert.Equal(t, tt.want, r.stdout)
				n := heapfs(t, who, options{}, "negotiate", "--board", tt.board, "--json", tt.a, tt.b)
				var answer struct{ Choice string }
				require.NoError(t, json.Unmarshal([]byte(n.stdout), &answer))
				assert.Contains(t, strings.Fields(tt.want), answer.Choice)
			})
		})
	}
}

// Of a device that the machine has, all stays, and the ways to its heaps are there in addition.
func TestARealDeviceKeepsWhatItShows(t *testing.T) {
	entries, err := os.ReadDir("/sys/bus/platform/devices")
	if err != nil || len(entries) == 0 {
		kernelLacks(t, "platform devices")
	}
	device := entries[0].Name()
	dir, err := filepath.EvalSymlinks("/sys/bus/platform/devices/" + device)
	require.NoError(t, err)
	const script = `cd "$1" && ls -a | grep -v '^dma_' && cat uevent && readlink subsystem`
	outside := run(t, asRoot, options{env: []string{"LC_ALL=C"}}, "sh", "-c", script, "sh", dir)
	require.Equal(t, 0, outside.status)
	text := fmt.Sprintf(`{apiVersion: heapfs/v1alpha1, name: b, memory: [{name: m, base: 0, size: 1GiB}],
pools: [{name: p, kind: scatter}], heaps: [{name: system, pool: p}], devices: [{name: %q, heap: system}, {name: absent, heap: system}]}`, device)
	legs(t, func(t *testing.T, who leg) {
		board := writeBoard(t, text)
		inside := heapfs(t, who, options{env: []string{"LC_ALL=C"}}, "run", "--board", board, "--", "sh", "-c", script, "sh", dir)
		assert.Equal(t, outside.stdout, inside.stdout)
		r := heapfs(t, who, options{}, "run", "--board", board, "--", "sh", "-c",
			`for d in "$@"; do cat /sys/bus/platform/devices/$d/dma_heap/uevent /sys/bus/platform/devices/$d/dma_constraints/contiguous; done; ls /sys/bus/platform/devices`,
			"sh", device, "absent")
		require.Equal(t, 0, r.status)
		assert.Equal(t, 2, strings.Count(r.stdout, "DEVNAME=dma_heap/system\n0\n"))
		names := []string{"absent"}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		shown := strings.Split(strings.TrimSpace(r.stdout), "\n")
		slices.Sort(names)
		slices.Sort(shown)
		assert.Subset(t, shown, names)
	})
	_, err = os.Lstat("/sys/bus/platform/devices/absent")
	assert.ErrorIs(t, err, os.ErrNotExist, "the machine's own is left alone")
}

func TestSetsAreNotInSysfs(t *testing.T) {
	set := decoder + "+" + gpu
	legs(t, func(t *testing.T, who leg) {
		r := heapfs(t, who, options{}, "run", "--board", "imx8mq-evk", "--", "sh", "-c",
			`test -e "/dev/dma_heap/$1" && ls /sys/class/dma_heap /sys/devices/virtual/dma_heap | grep -c +`, "sh", set)
		assert.Equal(t, "0\n", r.stdout)
	})
}

func TestPolicyUnderRunIsThatOfItsBoard(t *testing.T) {
	legs(t, func(t *testing.T, who leg) {
		r := heapfs(t, who, options{}, "run", "--board", "imx8mq-evk", "--heap-names", "6.17-no-legacy", "--", site.heapfs, "policy", "video-decode")
		assert.Equal(t, 0, r.status)
		assert.Equal(t, "default_cma_region\n", r.stdout)
		r = heapfs(t, who, options{stderrWanted: true}, "run", "--board", "imx8mq-evk", "--", site.heapfs, "policy", "kitchen")
		assert.Equal(t, 1, r.status)
		assert.Empty(t, r.stdout)
		assert.Contains(t, oneLine(t, r.stderr), `usage "kitchen"`)

		r = heapfs(t, who, options{}, "run", "--board", "imx8mq-evk", "--heap-names", "rpi", "--", site.heapfs, "ls", "--json")
		var list struct {
			Instance struct {
				HeapNames string `json:"heap_names"`
				Policy    map[string]string
			}
			Heaps []struct {
				Name, Device string
				Links        []string
			}
		}
		require.NoError(t, json.Unmarshal([]byte(r.stdout), &list), r.stdout)
		assert.Equal(t, "rpi", list.Instance.HeapNames)
		assert.Equal(t, "linux,cma", list.Instance.Policy["display"])
		at := slices.IndexFunc(list.Heaps, func(h struct {
			Name, Device string
			Links        []string
		}) bool {
			return h.Name == "linux,cma"
		})
		require.GreaterOrEqual(t, at, 0)
		assert.Equal(t, []string{"vidbuf_cached"}, list.Heaps[at].Links)
	})
}
