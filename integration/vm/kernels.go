package vm

import (
	"fmt"
	"strings"
)

// Kernel is a line of Debian's kernels, and what it can do for a test.
type Kernel struct {
	Version string // "6.12": the newest package of this line is taken
	Suite   string // Debian suite that has it
	Smoke   bool   // part of the smoke run
	Heaps   bool   // /dev/dma_heap/system and /dev/udmabuf, the kernel's own: a judge, and not for the doors alone

	Passthrough bool // FUSE passthrough
	// HugeVmapBug: the kernel's own mapping of a udmabuf sends each page of a huge folio to its first (mended in 6.13).
	HugeVmapBug bool

	modules []string // loaded in each boot
}

// Kernels is the one table of them, oldest first.
var Kernels = []Kernel{
	{Version: "6.1", Suite: "bookworm", Smoke: true, modules: []string{"fuse"}},
	{Version: "6.12", Suite: "bookworm-backports", Smoke: true, Heaps: true, Passthrough: true, HugeVmapBug: true},
	{Version: "6.18", Suite: "trixie-backports", Heaps: true, Passthrough: true},
	{Version: "7.3", Suite: "trixie-backports", Heaps: true, Passthrough: true},
}

// wantedModules are taken from each kernel's packages where it has them, with all that they depend on.
var wantedModules = []string{"fuse", "cuse", "vgem", "vivid"}

// Find returns the kernel of a version as the table has it.
func Find(version string) (Kernel, error) {
	var known []string
	for _, k := range Kernels {
		if k.Version == version {
			return k, nil
		}
		known = append(known, k.Version)
	}
	return Kernel{}, fmt.Errorf("unknown kernel %q: choose one of %s", version, strings.Join(known, ", "))
}
