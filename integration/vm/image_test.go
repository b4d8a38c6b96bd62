package vm

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/integration/vm/wire"
)

// fakeTools puts shell scripts in place of apt's commands.
func fakeTools(t *testing.T, scripts map[string]string) {
	t.Helper()
	dir := t.TempDir()
	for name, script := range scripts {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755))
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func TestUnknownKernelIsRefusedWithTheKnownOnes(t *testing.T) {
	_, err := Prepare(t.Context(), "5.10")
	assert.ErrorContains(t, err, `unknown kernel "5.10": choose one of 6.1, 6.12, 6.18, 7.3`)
}

func TestPackageThatCannotBeHadIsNamed(t *testing.T) {
	const mirror = `case "$*" in *indextargets*) echo http://mirror.example/debian bookworm main;; `
	none := map[string]string{"apt-get": "exit 0", "apt-cache": "exit 0", "dpkg": "exit 1", "dpkg-deb": "exit 2"}
	tests := map[string]struct {
		tool, script string
		says         string
	}{
		"no network":  {"apt-get", mirror + `*update*) echo "E: no route" >&2; exit 100;; esac`, "E: no route"},
		"no mirror":   {"apt-get", "exit 0", mirrorEnv},
		"no sources":  {"apt-get", "exit 7", "indextargets"},
		"no such one": {"apt-get", mirror + "esac", "has no linux-image-6.18*-amd64"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if !exists(keyrings[0]) && !exists(keyrings[1]) {
				t.Skip("no keyring of Debian's archive; to run it: apt-get install debian-archive-keyring")
			}
			t.Setenv("HEAPFS_CACHE", t.TempDir())
			t.Setenv(mirrorEnv, "")
			fakeTools(t, none)
			fakeTools(t, map[string]string{tt.tool: tt.script})
			_, err := Prepare(t.Context(), "6.18")
			require.ErrorIs(t, err, ErrPackage)
			assert.ErrorContains(t, err, "Linux 6.18")
			assert.ErrorContains(t, err, tt.says)
			left, err := filepath.Glob(filepath.Join(os.Getenv("HEAPFS_CACHE"), "vm", "debs", "*"))
			require.NoError(t, err)
			assert.Empty(t, left)
		})
	}
}

func TestDownloadThatHangsEndsWithItsTime(t *testing.T) {
	t.Setenv("HEAPFS_CACHE", t.TempDir())
	t.Setenv(mirrorEnv, "http://mirror.example/debian")
	fakeTools(t, map[string]string{"apt-get": "exec sleep 1000", "apt-cache": "", "dpkg": ""})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := Prepare(ctx, "6.12")
	require.ErrorIs(t, err, ErrPackage)
}

func TestPackageThatIsBrokenIsNamed(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("HEAPFS_CACHE", cache)
	debs := filepath.Join(cache, "vm", "debs", "6.12")
	require.NoError(t, os.MkdirAll(debs, 0o755))
	_, err := Prepare(t.Context(), "6.12")
	require.ErrorIs(t, err, ErrPackage)
	assert.ErrorContains(t, err, "no vmlinuz in 0 packages")
	assert.ErrorContains(t, err, "delete "+debs)
	require.NoError(t, os.WriteFile(filepath.Join(debs, "x.deb"), []byte("no package"), 0o644))
	fakeTools(t, map[string]string{"dpkg-deb": "echo not a Debian archive >&2; exit 2"})
	_, err = Prepare(t.Context(), "6.12")
	require.ErrorIs(t, err, ErrPackage)
	assert.ErrorContains(t, err, "not a Debian archive")
	left, err := filepath.Glob(filepath.Join(cache, "vm", "kernels", "*"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestAnotherRunThatFetchesIsWaitedForWithinTheTime(t *testing.T) {
	cache := t.TempDir()
	release, err := lock(t.Context(), cache)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = lock(ctx, cache)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	release()
	release, err = lock(t.Context(), cache)
	require.NoError(t, err)
	release()
}

func TestModulesAreLoadedAfterWhatTheyNeed(t *testing.T) {
	image := Image{Kernel: Kernel{Version: "6.12"}, dir: t.TempDir()}
	_, err := image.loader()
	require.ErrorIs(t, err, ErrPackage)
	require.NoError(t, os.MkdirAll(filepath.Join(image.dir, "modules"), 0o755))
	order := "mc \nvideodev mc\nvivid videodev,mc,cec_builtin\nvgem \n"
	require.NoError(t, os.WriteFile(filepath.Join(image.dir, "modules", "order"), []byte(order), 0o644))
	modules, err := image.loader()
	require.NoError(t, err)
	_, err = modules.load([]string{"udmabuf"})
	require.ErrorIs(t, err, ErrPackage)
	assert.ErrorContains(t, err, "Linux 6.12: it has no module udmabuf")
	first, err := modules.load([]string{"vivid n_devs=2 allocators=0,1"})
	require.NoError(t, err)
	assert.Equal(t, []wire.Module{
		{Path: "/lib/modules/mc.ko"}, {Path: "/lib/modules/videodev.ko"}, {Path: "/lib/modules/vivid.ko", Params: "n_devs=2 allocators=0,1"},
	}, first)
	second, err := modules.load([]string{"vgem", "vivid", "mc"})
	require.NoError(t, err)
	assert.Equal(t, []wire.Module{{Path: "/lib/modules/vgem.ko"}}, second, "the others are loaded")
	assert.Len(t, modules.files, 4)
}

func TestDependsOfWhatIsNoModule(t *testing.T) {
	_, err := moduleDepends(bytes.NewReader([]byte("no module")))
	require.Error(t, err)
	self, err := os.ReadFile("/proc/self/exe")
	require.NoError(t, err)
	_, err = moduleDepends(bytes.NewReader(self))
	assert.ErrorContains(t, err, "no .modinfo section")
}
