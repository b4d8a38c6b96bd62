package integration

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// attachBoard has a heap of each kind, and devices that tell them apart.
const attachBoard = `apiVersion: heapfs/v1alpha1
name: attach
memory: [{name: low, base: 1GiB, size: 1GiB}, {name: high, base: 4GiB, size: 4GiB}]
pools:
  - {name: cma, kind: contiguous, region: low, size: 64MiB}
  - {name: ram, kind: scatter, region: low, size: 256MiB}
  - {name: far, kind: scatter, region: high}
  - {name: tee, kind: protected, region: low, size: 16MiB}
heaps:
  - {name: system, pool: ram}
  - {name: reserved, pool: cma}
  - {name: far, pool: far}
  - {name: secure, pool: tee}
iommus: [{name: mmu, aperture: {base: 0x80000000, size: 16MiB}}]
devices:
  - {name: decoder}
  - {name: display, driverClass: drm-dma}
  - {name: camera, iommu: mmu}
  - {name: gpu, heap: system, driverClass: drm-shmem, constraints: {addressRanges: [{base: 0, size: 4GiB}]}}
  - {name: offset, constraints: {addressRanges: [{base: 1GiB, size: 1GiB, busOffset: 1GiB}]}}
  - {name: list, driverClass: vb2-dma-sg, constraints: {maxSegments: 2}}
  - {name: tee, iommu: mmu, driverClass: drm-shmem, constraints: {protected: requires}}
`

// driversFor are the mock drivers that play a device: the one in C all, the one in Go two of them.
func driversFor(device string) []string {
	if device == "decoder" || device == "camera" {
		return []string{"mockdriver", "gomockdriver"}
	}
	return []string{"mockdriver"}
}

// A driver's refusals, on whichever way it is asked and however often.
func TestTheWrongChoiceFailsEveryTime(t *testing.T) {
	for _, r := range []struct{ device, heap, bytes, want string }{
		{"decoder", "system", "1000000", "EFAULT"},
		{"decoder", "system", "65536", "EFAULT"}, // contiguous by chance
		{"display", "system", "1000000", "EINVAL"},
		{"gpu", "far", "1000000", "EIO"},
		{"decoder", "secure", "1000000", "EINVAL"},
		{"tee", "system", "4096", "EINVAL"},
		{"list", "system", "200000", "ENOMEM"},
		{"camera", "system", "33554432", "EINVAL"}, // beyond the aperture
	} {
		for _, driver := range driversFor(r.device) {
			t.Run(driver+"/"+r.device+"/"+r.heap, func(t *testing.T) {
				legs(t, func(t *testing.T, who leg) {
					board, file := writeBoard(t, attachBoard), filepath.Join(ownDir(t), "events.jsonl")
					args := []string{"run", "--board", board, "--events", file, "--", client(driver), r.device}
					for range 3 {
						args = append(args, r.heap, r.bytes)
					}
					got := heapfs(t, who, options{}, args...)
					assert.Equal(t, 0, got.status)
					assert.Equal(t, strings.Repeat(fmt.Sprintf("%s %s: %s\n", r.heap, r.bytes, r.want), 3), got.stdout)
					told := 0
					for _, e := range readEvents(t, file) {
						if e.Event == "attach_failed" {
							told++
							assert.Equal(t, r.want, e.Errno)
							assert.Contains(t, e.Reason, fmt.Sprintf("device %q", r.device))
							assert.Equal(t, driver, e.Comm)
						}
					}
					assert.Equal(t, 3, told)
				})
			})
		}
	}
}

func TestTheRightChoiceIsSeenAsTheDeviceSeesIt(t *testing.T) {
	for _, r := range []struct{ device, heap, bytes, want string }{
		{"decoder", "reserved", "1000000", "1 segment at 0x40000000+1003520"},
		{"decoder", "decoder", "1000000", "1 segment at 0x40000000+1003520"},
		{"camera", "system", "1000000", "1 segment at 0x80000000+1003520"},
		{"camera", "camera", "1000000", "1 segment at 0x80000000+1003520"},
		{"offset", "reserved", "4096", "1 segment at 0x0+4096"},
		{"gpu", "reserved", "4096", "1 segment at 0x40000000+4096"},
		{"tee", "secure", "4096", "1 segment at 0x80000000+4096"},
	} {
		for _, driver := range driversFor(r.device) {
			t.Run(driver+"/"+r.device+"/"+r.heap, func(t *testing.T) {
				legs(t, func(t *testing.T, who leg) {
					board, file := writeBoard(t, attachBoard), filepath.Join(ownDir(t), "events.jsonl")
					got := heapfs(t, who, options{}, "run", "--board", board, "--events", file, "--", client(driver), r.device, r.heap, r.bytes)
					assert.Equal(t, 0, got.status)
					assert.Equal(t, fmt.Sprintf("%s %s: %s\n", r.heap, r.bytes, r.want), got.stdout)
					var kinds []string
					for _, e := range readEvents(t, file) {
						kinds = append(kinds, e.Event)
					}
					// Both close the buffer before they detach it, or at once after: it is free when both have happened.
					assert.Equal(t, []string{"start", "alloc", "attach", "detach", "free", "exit"}, kinds)
				})
			})
		}
	}
}

// A list is what it is without an IOMMU.
func TestAScatteredBufferHasManySegments(t *testing.T) {
	legs(t, func(t *testing.T, who leg) {
		got := heapfs(t, who, options{}, "run", "--board", writeBoard(t, attachBoard), "--", client("mockdriver"), "gpu", "system", "1000000")
		assert.Equal(t, 0, got.status)
		assert.Regexp(t, `^system 1000000: \d\d segments at (0x[0-9a-f]+\+65536 ){4}\.\.\.\n$`, got.stdout)
	})
}

func TestDeviceFilesAreThereOnlyForABoardWithDevices(t *testing.T) {
	legs(t, func(t *testing.T, who leg) {
		got := heapfs(t, who, options{}, "run", "--", "sh", "-c", "test ! -e /dev/heapfs && echo none")
		assert.Equal(t, "none\n", got.stdout)
		got = heapfs(t, who, options{}, "run", "--board", "imx8mq-evk", "--", "sh", "-c", "ls /dev/heapfs; ls /dev/null /dev/dma_heap/system")
		assert.Equal(t, "30320000.lcd-controller\n38000000.gpu\n38300000.video-codec\n38310000.video-codec\n/dev/dma_heap/system\n/dev/null\n", got.stdout)
	})
}

func TestBuffersShowWhoHasThem(t *testing.T) {
	legs(t, func(t *testing.T, who leg) {
		socket := filepath.Join(ownDir(t), "s.sock")
		p := start(t, who, options{}, site.heapfs, "run", "--board", writeBoard(t, attachBoard), "--socket", socket, "--",
			client("mockdriver"), "--hold", "camera", "camera", "65536", "system", "65536")
		p.until("held")
		r := heapfs(t, who, options{}, "buffers", "--socket", socket, "--json")
		var all []struct {
			Heap        string `json:"heap"`
			Device      string `json:"device"`
			DMAAddr     uint64 `json:"dma_addr"`
			Attachments []struct {
				ID       uint64 `json:"id"`
				Device   string `json:"device"`
				DMAAddr  uint64 `json:"dma_addr"`
				Segments int    `json:"segments"`
				PID      int    `json:"pid"`
				Comm     string `json:"comm"`
			} `json:"attachments"`
		}
		require.NoError(t, json.Unmarshal([]byte(r.stdout), &all), r.stdout)
		require.Len(t, all, 2)
		require.Len(t, all[0].Attachments, 1)
		require.Len(t, all[1].Attachments, 1)
		assert.Equal(t, "camera", all[0].Heap)
		assert.Equal(t, uint64(0x80000000), all[0].DMAAddr)
		assert.Zero(t, all[1].DMAAddr)
		a := all[0].Attachments[0]
		assert.Equal(t, "camera", a.Device)
		assert.Equal(t, uint64(0x80000000), a.DMAAddr)
		assert.Equal(t, 1, a.Segments)
		assert.Equal(t, "mockdriver", a.Comm)
		assert.NotZero(t, a.PID)
		r = heapfs(t, who, options{}, "buffers", "--socket", socket)
		assert.Contains(t, r.stdout, "camera:1@0x80000000")
		assert.Equal(t, 0, p.wait())
	})
}

// binding runs queue on a node that stands for a device. /dev/null has no calls of its own: the driver says ENOTTY.
func binding(t *testing.T, who leg, heap, bytes string, flags ...string) []string {
	t.Helper()
	args := append([]string{"run", "--board", writeBoard(t, attachBoard)}, flags...)
	r := heapfs(t, who, options{}, append(args, "--", client("queue"), "/dev/null", heap, bytes)...)
	assert.Equal(t, 0, r.status)
	return strings.Split(strings.TrimSpace(r.stdout), "\n")
}

func TestABoundNodeRefusesWhatItsDeviceRefuses(t *testing.T) {
	passed := []string{"single ENOTTY", "planes ENOTTY", "short planes ENOTTY", "mmap ENOTTY", "prime ENOTTY", "another file ENOTTY", "no file ENOTTY"}
	refused := func(errno string) []string {
		all := append([]string(nil), passed...)
		all[0], all[1], all[4] = "single "+errno, "planes "+errno, "prime "+errno
		return all
	}
	legs(t, func(t *testing.T, who leg) {
		assert.Equal(t, passed, binding(t, who, "system", "1000000"), "without --bind")
		assert.Equal(t, passed, binding(t, who, "system", "1000000", "--bind", "/dev/zero=decoder"), "another node is bound")
		assert.Equal(t, refused("EFAULT"), binding(t, who, "system", "1000000", "--bind", "/dev/null=decoder"))
		assert.Equal(t, refused("EINVAL"), binding(t, who, "system", "1000000", "--bind", "/dev/zero=decoder", "--bind", "/dev/null=display"))
		assert.Equal(t, passed, binding(t, who, "reserved", "1000000", "--bind", "/dev/null=decoder"))
		assert.Equal(t, passed, binding(t, who, "system", "1000000", "--bind", "/dev/null=camera"))
	})
}

func TestBindingsThatCannotBe(t *testing.T) {
	for _, r := range []struct{ spec, says string }{
		{"/dev/null", "expected NODE=DEVICE"},
		{"/dev/null=nosuch", `no device "nosuch" on the board`},
		{"/dev/nosuch=decoder", "/dev/nosuch: no such file or directory"},
		{"/dev=decoder", "/dev is no character device"},
	} {
		t.Run(r.spec, func(t *testing.T) {
			legs(t, func(t *testing.T, who leg) {
				got := heapfs(t, who, options{stderrWanted: true}, "run", "--board", writeBoard(t, attachBoard), "--bind", r.spec, "--", "echo", "started")
				assert.Equal(t, 125, got.status)
				assert.Empty(t, got.stdout)
				line := oneLine(t, got.stderr)
				assert.Contains(t, line, fmt.Sprintf("heapfs: run: bind %q: ", r.spec))
				assert.Contains(t, line, r.says)
			})
		})
	}
}
