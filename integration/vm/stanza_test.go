package vm

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestKernelPackagesAreThePlainOnesOfTheVersion(t *testing.T) {
	names := []string{
		"linux-image-6.1.0-50-amd64", "linux-image-6.1.0-50-amd64-unsigned", "linux-image-6.1.0-50-amd64-dbg", "linux-image-6.1.0-50-rt-amd64",
		"linux-image-6.1.0-50-cloud-amd64", "linux-image-6.12.95+deb12-amd64", "linux-image-6.12.90+deb12.1-amd64",
		"linux-image-6.12.95+deb12-rt-amd64", "linux-image-6.12.95+deb12-cloud-amd64-unsigned", "linux-image-7.3.4+deb13-amd64",
		"linux-image-amd64", "linux-image-6.12.95+deb12-arm64",
	}
	tests := map[string][]string{
		"6.1":  {"linux-image-6.1.0-50-amd64", "linux-image-6.1.0-50-amd64-unsigned"},
		"6.12": {"linux-image-6.12.95+deb12-amd64", "linux-image-6.12.90+deb12.1-amd64"},
		"7.3":  {"linux-image-7.3.4+deb13-amd64"},
		"6.18": nil,
	}
	for version, want := range tests {
		assert.Equal(t, want, kernelPackages(version, "amd64", names), version)
	}
}

const shown = `Package: linux-image-7.3.4+deb13-amd64
Version: 7.3.4-1~bpo13+1
Depends: kmod, linux-base-7.3.4+deb13-amd64 (= 7.3.4-1~bpo13+1), linux-binary-7.3.4+deb13-amd64 (= 7.3.4-1~bpo13+1), linux-modules-7.3.4+deb13-amd64 (= 7.3.4-1~bpo13+1)
Description: Linux 7.3 for 64-bit PCs
 The Linux kernel.

Package: linux-image-7.3.10+deb13-amd64-unsigned
Version: 7.3.10-1
Depends: kmod

Package: linux-image-7.3.10+deb13-amd64
Version: 7.3.10-1
Depends: kmod
`

func TestNewestPackageIsTaken(t *testing.T) {
	longer := func(a, b string) bool { return len(a) > len(b) }
	_, err := newestOf(nil, longer)
	require.Error(t, err)
	_, err = newestOf(parseStanzas("Package: broken\n\nrubbish"), longer)
	require.Error(t, err)
	all := parseStanzas(shown)
	require.Len(t, all, 3)
	// By dpkg's order 7.3.10 is the newest; here a stand-in for it.
	best, err := newestOf(all, func(a, b string) bool { return a == "7.3.10-1" && b != a })
	require.NoError(t, err)
	assert.Equal(t, "linux-image-7.3.10+deb13-amd64", best.name, "the signed one of two")
	assert.Empty(t, best.parts())
	assert.Equal(t, []string{
		"linux-binary-7.3.4+deb13-amd64=7.3.4-1~bpo13+1", "linux-modules-7.3.4+deb13-amd64=7.3.4-1~bpo13+1",
	}, all[0].parts())
}

func TestMirrorsAreThoseOfDebian(t *testing.T) {
	assert.Empty(t, debianMirrors(""))
	assert.Empty(t, debianMirrors("http://vendor.example/debian bookworm stable\nhttp://mirror.example/sec bookworm-security main\nshort line\n"))
	assert.Equal(t, []string{"http://mirror.example/debian/", "http://other.example/debian/"}, debianMirrors(`http://mirror.example/sec/ bookworm-security main
http://mirror.example/debian/ bookworm main
http://mirror.example/debian/ bookworm-updates main
http://vendor.example/debian bookworm-pgdg main
http://other.example/debian/ trixie main
`))
}
