package integration

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// Boards of two devices with the same heaps: one decoder needs contiguous memory, the other sits behind an IOMMU.
const (
	contiguousBoard = namesBoardHead + `devices: [{name: "38300000.video-codec"}]
`
	iommuBoard = namesBoardHead + `iommus: [{name: mmu}]
devices: [{name: "38300000.video-codec", iommu: mmu}]
`
	namesBoardHead = `apiVersion: heapfs/v1alpha1
name: names
memory: [{name: m, base: 0x40000000, size: 6GiB}]
pools: [{name: cma, kind: contiguous, size: 64MiB}, {name: ram, kind: scatter}]
heaps:
  - {name: system, pool: ram}
  - {name: default_cma_region, pool: cma, aliases: ["linux,cma"], default: true}
`
)

func TestHeapNamesThatAreRefused(t *testing.T) {
	for set, says := range map[string]string{
		"5.4": "use one of 6.1, 6.12, 6.17, 6.17-no-legacy, android, rockchip, rpi, nxp",
		"RPI": `heap names "RPI": unknown`,
	} {
		r := heapfs(t, asRoot, options{stderrWanted: true}, "run", "--heap-names", set, "--", "true")
		assert.Equal(t, 125, r.status)
		assert.Contains(t, oneLine(t, r.stderr), says)
	}
}

// What real programs find under each set of names: the heap, and on the board without an IOMMU whether it suits the decoder. Behind
// the IOMMU every heap suits, so what is wrong there is only to find none.
func TestWhichHeapProgramsEndUpWith(t *testing.T) {
	const suits, wrong, none = " suits", " does not suit", "no heap"
	programs := []string{"libcamera", "kodi", "rpicam", "mpp", "mpp-dma32", "mpp-cma"}
	tests := []struct {
		set  string
		want [6]string // by program
	}{
		{"", [6]string{"linux,cma" + suits, "linux,cma" + suits, "linux,cma" + suits, "system" + wrong, "system" + wrong, none}},
		{"6.1", [6]string{"linux,cma" + suits, "linux,cma" + suits, "linux,cma" + suits, "system" + wrong, "system" + wrong, none}},
		{"6.12", [6]string{"linux,cma" + suits, "linux,cma" + suits, "linux,cma" + suits, "system" + wrong, "system" + wrong, none}},
		{"6.17", [6]string{"linux,cma" + suits, "linux,cma" + suits, "linux,cma" + suits, "system" + wrong, "system" + wrong, none}},
		// The name that none of them knows is the only one of the heap that is needed.
		{"6.17-no-legacy", [6]string{"system" + wrong, "system" + wrong, none, "system" + wrong, "system" + wrong, none}},
		{"android", [6]string{
			"linux,cma" + suits, "linux,cma" + suits, "linux,cma" + suits, "system-uncached" + wrong, "system-uncached" + wrong, none,
		}},
		{"rockchip", [6]string{
			"system" + wrong, "system" + wrong, none, "system-uncached" + wrong, "system-uncached-dma32" + wrong, "cma-uncached" + suits,
		}},
		{"rpi", [6]string{
			"linux,cma" + suits, "linux,cma" + suits, "vidbuf_cached -> linux,cma" + suits, "system" + wrong, "system" + wrong, none,
		}},
		{"nxp", [6]string{"linux,cma" + suits, "linux,cma" + suits, "linux,cma" + suits, "system" + wrong, "system" + wrong, none}},
	}
	for _, tt := range tests {
		t.Run("names "+tt.set, func(t *testing.T) {
			legs(t, func(t *testing.T, who leg) {
				for _, board := range []string{contiguousBoard, iommuBoard} {
					args := []string{"run", "--board", writeBoard(t, board), "--heap-names", tt.set, "--", "sh", "-c",
						`names=$0 device=$1; shift; for p in "$@"; do "$names" "$p" "$device" || true; done`, client("names"), decoder}
					r := heapfs(t, who, options{}, append(args, programs...)...)
					assert.Equal(t, 0, r.status)
					var want strings.Builder
					for i, p := range programs {
						heap, verdict, found := strings.Cut(tt.want[i], suits)
						switch {
						case board == iommuBoard && strings.HasPrefix(heap, "vidbuf_cached"):
							heap, verdict = "vidbuf_cached -> system", suits // a Pi 5
						case found:
							verdict = suits
						case tt.want[i] == none:
						case board == iommuBoard:
							heap, verdict = strings.TrimSuffix(heap, wrong), suits
						default:
							heap, verdict = strings.TrimSuffix(heap, wrong), wrong
						}
						want.WriteString(p + ": " + heap)
						if verdict != "" {
							want.WriteString(", which" + verdict + " " + decoder)
						}
						want.WriteByte('\n')
					}
					assert.Equal(t, want.String(), r.stdout)
				}
			})
		})
	}
}
