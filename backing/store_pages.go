package backing

import (
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/heapfs/heapfs/internal/sys"
)

const (
	thpDir     = "/sys/kernel/mm/transparent_hugepage"
	hugetlbDir = "/sys/kernel/mm/hugepages/hugepages-2048kB"
)

// choosePages decides what pages a pool of size bytes gets; reserved is that its board asks for huge ones. Nothing on the machine is
// changed for it.
func choosePages(size uint64, reserved bool) storePages {
	if reserved && vmapGood() && size%hugePage == 0 {
		free := readNumber(filepath.Join(hugetlbDir, "free_hugepages"))
		if free*hugePage >= size {
			return reservedPages
		}
		slog.Info("a pool that asks for huge pages goes without reserved ones", "free", free, "needed", size/hugePage,
			"see", "/proc/sys/vm/nr_hugepages")
	}
	if !advised() {
		return smallPages
	}
	switch {
	case vmapGood():
		return hugePages
	case otherSizes() || !sys.CanTellHuge():
		// It could not be seen to that every page is single.
		return smallPages
	default:
		return splitPages
	}
}

// advised is whether a memfd gets huge pages where that was advised.
func advised() bool {
	switch chosen(filepath.Join(thpDir, "shmem_enabled")) {
	case "advise", "always", "within_size", "force":
		return true
	default:
		return false
	}
}

// otherSizes is whether a memfd may get pages of sizes between a small and a huge one.
func otherSizes() bool {
	files, err := filepath.Glob(filepath.Join(thpDir, "hugepages-*kB/shmem_enabled"))
	if err != nil {
		return true
	}
	for _, f := range files {
		if set := chosen(f); set != "never" && !strings.Contains(f, "/hugepages-2048kB/") {
			return true
		}
	}
	return false
}

// chosen is the word in brackets of a setting such as "always [never]", "" if there is none.
func chosen(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	_, after, _ := strings.Cut(string(b), "[")
	word, _, _ := strings.Cut(after, "]")
	return word
}

// readNumber is the decimal number in a file, 0 if there is none.
func readNumber(file string) uint64 {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
