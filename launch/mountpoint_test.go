package launch

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseMounts(t *testing.T) {
	text := `22 1 0:5 / / rw,relatime shared:1 - ext4 /dev/root rw
not a line
30 22 0:40 / /run/with\040space rw - tmpfs a\011b rw
31 22 0:41 / /run/heaps rw,nosuid - fuse.heapfs heapfs rw,user_id=0
32 22 0:42 /
33 22 0:43 / /x rw - nosource
`
	assert.Equal(t, []mountEntry{
		{"/", "ext4", "/dev/root"}, {"/run/with space", "tmpfs", "a\tb"}, {"/run/heaps", "fuse.heapfs", "heapfs"},
	}, parseMounts(text))
	assert.Empty(t, parseMounts(""))
	assert.Equal(t, `\04`, unescape(`\04`), "cut off")
	assert.Equal(t, `\999`, unescape(`\999`), "no octal number")
}

func TestAPathIsInTheMountWithTheLongestName(t *testing.T) {
	mounts := []mountEntry{{"/", "ext4", ""}, {"/a", "tmpfs", "below"}, {"/a/b", "xfs", ""}, {"/a", "tmpfs", "above"}}
	rows := map[string]string{"/": "ext4", "/ab": "ext4", "/a": "above", "/a/c": "above", "/a/b": "xfs", "/a/b/c": "xfs", "/a/bc": "above"}
	for path, want := range rows {
		m, ok := mountOf(mounts, path)
		require.True(t, ok)
		assert.Contains(t, []string{m.kind, m.source}, want, path)
	}
	_, ok := mountOf(nil, "/a")
	assert.False(t, ok)
}

func TestJudgeMountPoint(t *testing.T) {
	base, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	dir, file, link := filepath.Join(base, "dir"), filepath.Join(base, "file"), filepath.Join(base, "link")
	require.NoError(t, os.Mkdir(dir, 0o755))
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.NoError(t, os.Symlink("dir", link))
	root := mountEntry{"/", "ext4", "/dev/root"}
	rows := []struct {
		name, dir string
		mounts    []mountEntry
		want      string // error
	}{
		{"missing", filepath.Join(base, "nosuch"), nil, "no such directory; make it first: mkdir -p " + base + "/nosuch"},
		{"empty", "", []mountEntry{{mustAbs(t), "tmpfs", "t"}}, "a tmpfs (t) is mounted there already"},
		{"file", file, nil, "not a directory"},
		{"below a file", file + "/x", nil, "no directory"},
		{"ours", dir, []mountEntry{root, {dir, "fuse.heapfs", "heapfs"}}, "a heapfs is mounted there already; end that one, or unmount it: umount " + dir},
		{"ours by a link", link, []mountEntry{root, {dir, "fuse.heapfs", "heapfs"}}, "umount " + dir},
		{"in ours", dir, []mountEntry{root, {base, "fuse.heapfs", "heapfs"}}, "inside the heapfs at " + base},
		{"another's", dir, []mountEntry{root, {dir, "tmpfs", "t"}}, "a tmpfs (t) is mounted there already; give another directory, or unmount it"},
		{"root", "/", []mountEntry{root}, "give another directory"},
		{"good", dir, []mountEntry{root}, ""},
		{"good, in another's", dir, []mountEntry{root, {base, "tmpfs", "t"}}, ""},
		{"good, by a link", link, []mountEntry{root}, ""},
		{"good, with slashes", dir + "//./", []mountEntry{root}, ""},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			got, err := judgeMountPoint(r.dir, r.mounts)
			if r.want == "" {
				require.NoError(t, err)
				assert.Equal(t, dir, got)
				return
			}
			assert.ErrorContains(t, err, r.want)
			assert.NotContains(t, err.Error(), "\n")
		})
	}
}

func mustAbs(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("")
	require.NoError(t, err)
	return dir
}

func TestAStaleMountIsNamedWithWhatClearsIt(t *testing.T) {
	mounts := []mountEntry{{"/", "ext4", ""}, {"/run/my heaps", heapType, "heapfs"}, {"/mnt/ssh", "fuse.sshfs", "x"}}
	assert.ErrorContains(t, staleMount("h", "/run/my heaps/system", mounts), "a dead heapfs is still there")
	assert.ErrorContains(t, staleMount("h", "/run/my heaps/system", mounts), "clear it: umount -l '/run/my heaps'")
	assert.ErrorContains(t, staleMount("h", "/mnt/ssh", mounts), "a dead FUSE is still there")
	assert.ErrorContains(t, staleMount("h", "/by/a/link", mounts), "umount -l /by/a/link")
}

func TestAPathIsAWordOfTheShell(t *testing.T) {
	assert.Equal(t, "/run/a-b_c.d,e@f", word("/run/a-b_c.d,e@f"))
	assert.Equal(t, `'/a b'`, word("/a b"))
	assert.Equal(t, `'/a'\''b;$c'`, word("/a'b;$c"))
}

func FuzzParseMounts(f *testing.F) {
	f.Add("31 22 0:41 / /run/heaps rw,nosuid - fuse.heapfs heapfs rw\n", "/run/heaps")
	f.Add(`30 22 0:40 / /a\040b rw - tmpfs x rw`, "/a b/c")
	f.Fuzz(func(t *testing.T, text, path string) {
		if m, ok := mountOf(parseMounts(text), path); ok && m.point != "/" {
			assert.True(t, path == m.point || len(path) > len(m.point))
		}
	})
}
