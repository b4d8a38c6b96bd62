package judge

import (
	"fmt"
	"slices"
)

// Export is who answers: a kernel's own heap, or heapfs with buffers of one kind.
type Export string

// Who may answer.
const (
	Kernel     Export = "kernel"
	Memfd      Export = "memfd"
	Udmabuf    Export = "udmabuf"
	Fuse       Export = "fuse"        // with passthrough
	FuseCached Export = "fuse-cached" // without: pages of the page cache
)

// Exports are those that may have deviations.
var Exports = []Export{Memfd, Udmabuf, Fuse, FuseCached}

// ParseExport reads a name.
func ParseExport(name string) (Export, error) {
	e := Export(name)
	if e != Kernel && !slices.Contains(Exports, e) {
		return "", fmt.Errorf("export %q: must be kernel, memfd, udmabuf, fuse or fuse-cached", name)
	}
	return e, nil
}

// Version is a kernel's, as far as behaviour depends on it.
type Version struct{ Major, Minor int }

// ParseVersion reads the beginning of a kernel's release: "6.12.117+deb12-amd64".
func ParseVersion(release string) (Version, error) {
	var v Version
	if _, err := fmt.Sscanf(release, "%d.%d", &v.Major, &v.Minor); err != nil {
		return Version{}, fmt.Errorf("kernel release %q: must begin with two numbers", release)
	}
	return v, nil
}

func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// Before reports whether v is older than o.
func (v Version) Before(o Version) bool {
	return v.Major < o.Major || v.Major == o.Major && v.Minor < o.Minor
}

// Compare orders versions by age.
func (v Version) Compare(o Version) int {
	switch {
	case v == o:
		return 0
	case v.Before(o):
		return -1
	}
	return 1
}
