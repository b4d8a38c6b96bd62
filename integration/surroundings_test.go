package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What a command finds under heapfs is what it finds without: each row is run both ways and compared.
func TestSurroundingsAreAsOutside(t *testing.T) {
	dir := filepath.Join(site.dir, "work dir")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	// The variables that run adds are documented.
	added := regexp.MustCompile(`(?m)^(HEAPFS_SOCKET|SYSTEMD_DEVICE_VERIFY_SYSFS)=.*\n`)
	// sh sets these by itself, and the counter of shells by how it was started.
	ownOfSh := regexp.MustCompile(`(?m)^(_|SHLVL|PWD|OLDPWD)=.*\n`)
	// In a user namespace with one mapped group the others are shown as the overflow group.
	unmapped := regexp.MustCompile(`\b(2002|65534)\b`)
	tests := []struct {
		name, script string
		normalize    func(string) string
	}{
		{"working directory", "pwd -P", nil},
		{"environment", "env | LC_ALL=C sort", func(s string) string { return ownOfSh.ReplaceAllString(added.ReplaceAllString(s, ""), "") }},
		{"umask", "umask", nil},
		{"resource limits", "cat /proc/self/limits", nil},
		{"user", "id -u; id -ru; id -g; id -rg", nil},
		{"groups", "grep ^Groups /proc/self/status", func(s string) string { return unmapped.ReplaceAllString(s, "OTHER") }},
		{"signals ignored and blocked", "grep -E '^Sig(Ign|Blk)' /proc/self/status", nil},
		{"capabilities", "grep -E '^Cap(Inh|Prm|Eff|Amb)' /proc/self/status", nil},
		{"niceness", "nice", nil},
		{"oom_score_adj", "cat /proc/self/oom_score_adj", nil},
		{"cgroup", "cat /proc/self/cgroup", nil},
		{"open descriptors", "ls /proc/self/fd", nil},
		{"names in /", "ls -a /", nil},
		{"names in /dev", "ls /dev | grep -v '^dma_heap$'", nil},
		{"devices in /dev", "cd /dev && stat -L -c '%n %F %t:%T %a' null zero full random urandom tty", nil},
		{"links in /dev", "cd /dev && ls -l fd stdin stdout stderr | sed 's/.* \\(.* ->\\)/\\1/'", nil},
		{"mode of /dev", "stat -c %a /dev", nil},
		{"names in /sys", "ls /sys", nil},
		{"names in /sys/class", "ls /sys/class | grep -v '^dma_heap$'", nil},
		{"names in /sys/devices", "ls /sys/devices", nil},
		{"names in /sys/devices/virtual", "ls /sys/devices/virtual | grep -v '^dma_heap$'", nil},
		{"names in /sys/bus", "ls /sys/bus", nil},
		{"names in /run", "ls /run | grep -v '^heapfs$'", nil},
		{"hostname", "uname -n", nil},
		{"namespaces", "readlink /proc/self/ns/pid /proc/self/ns/net /proc/self/ns/ipc /proc/self/ns/uts /proc/self/ns/cgroup", nil},
		{"controlling terminal and session", "ps -o sid= -p $$ | grep -c .", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			legs(t, func(t *testing.T, who leg) {
				o := options{dir: dir, umask: 0o027, env: []string{"A VARIABLE=with = and\ttab", "PLAIN=1"}, stderrWanted: true}
				outside := run(t, who, o, "sh", "-c", tt.script)
				inside := heapfs(t, who, o, "run", "--", "sh", "-c", tt.script)
				want, got := outside.stdout, inside.stdout
				if tt.normalize != nil {
					want, got = tt.normalize(want), tt.normalize(got)
				}
				assert.Equal(t, want, got)
				assert.Equal(t, outside.status, inside.status)
				assert.Equal(t, outside.stderr, inside.stderr)
			})
		})
	}
}

// The kernel keeps groups that the user namespace cannot name.
func TestSupplementaryGroupsStillCount(t *testing.T) {
	requireRoot(t)
	t.Parallel()
	file := filepath.Join(site.dir, "of-the-group")
	require.NoError(t, os.WriteFile(file, []byte("readable\n"), 0o640))
	require.NoError(t, os.Chown(file, 0, supplementaryGID))
	outside := run(t, asUser, options{}, "cat", file)
	require.Equal(t, "readable\n", outside.stdout)
	r := heapfs(t, asUser, options{}, "run", "--", "cat", file)
	assert.Equal(t, "readable\n", r.stdout)
}

func TestTheVariablesThatRunAdds(t *testing.T) {
	legs(t, func(t *testing.T, who leg) {
		const script = `echo "$HEAPFS_SOCKET"; test -S "$HEAPFS_SOCKET"; echo $?; echo "$SYSTEMD_DEVICE_VERIFY_SYSFS"`
		r := heapfs(t, who, options{}, "run", "--", "sh", "-c", script)
		socket, rest, _ := strings.Cut(r.stdout, "\n")
		assert.True(t, filepath.IsAbs(socket), socket)
		assert.Equal(t, "0\n0\n", rest, "the socket is one, and libudev takes a /sys that is no sysfs")

		r = heapfs(t, who, options{env: []string{"SYSTEMD_DEVICE_VERIFY_SYSFS=1"}}, "run", "--", "sh", "-c", script)
		assert.True(t, strings.HasSuffix(r.stdout, "\n0\n1\n"), "the user's own choice stands: %s", r.stdout)
	})
}

func TestDevicesWork(t *testing.T) {
	tests := []struct{ name, script, want string }{
		{"redirection into /dev/null", "echo gone > /dev/null && echo ok", "ok\n"},
		{"appending to /dev/null", "echo gone >> /dev/null && echo ok", "ok\n"},
		{"/dev/zero", "head -c 3 /dev/zero | od -An -tx1 | tr -d ' '", "000000\n"},
		{"/dev/stdin", "echo in | cat /dev/stdin", "in\n"},
		{"/dev/fd", "cat /dev/fd/3 3<<E\nthree\nE", "three\n"},
		{"/dev/shm", "f=/dev/shm/heapfs-test-$$; echo in > $f && cat $f && rm $f", "in\n"},
		{"openpty", `python3 -c '
import os
master, slave = os.openpty()
assert os.isatty(slave) and os.stat(os.ttyname(slave)).st_rdev == os.fstat(slave).st_rdev, os.ttyname(slave)
os.write(slave, b"x")
assert os.read(master, 1) == b"x"
print("ok")'`, "ok\n"},
		{"a terminal for a child", "script -qec 'test -t 0 && echo tty' /dev/null | tr -d '\\r'", "tty\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			legs(t, func(t *testing.T, who leg) {
				r := heapfs(t, who, options{}, "run", "--", "sh", "-c", tt.script)
				assert.Equal(t, 0, r.status)
				assert.Equal(t, tt.want, r.stdout)
			})
		})
	}
}

func TestNodesBelongToTheCommandsUser(t *testing.T) {
	legs(t, func(t *testing.T, who leg) {
		r := heapfs(t, who, options{env: []string{"LC_ALL=C"}}, "run", "--", "sh", "-c",
			`cd /dev/dma_heap && for n in *; do stat -c '%n %a' "$n"; test -O "$n" && test -G "$n" || echo not mine; done`)
		assert.Equal(t, "default_cma_region 600\nlinux,cma 600\nsystem 600\n", r.stdout)
	})
}

func TestSysfsShowsTheHeaps(t *testing.T) {
	const script = `cd /sys/class/dma_heap && for n in *; do
	echo "$n $(readlink "$n")"
	test -d "$n" && test -s "$n/dev" && test -f "$n/uevent" && test -d "$n/power" || echo "$n lacks an entry"
	grep -q "^DEVNAME=dma_heap/$n$" "$n/uevent" || echo "$n has the uevent: $(cat "$n/uevent")"
	test "$(readlink -f "$n/subsystem")" = /sys/class/dma_heap || echo "$n has the subsystem $(readlink "$n/subsystem")"
done`
	legs(t, func(t *testing.T, who leg) {
		r := heapfs(t, who, options{env: []string{"LC_ALL=C"}}, "run", "--", "sh", "-c", script)
		var want strings.Builder
		for _, heap := range []string{"default_cma_region", "linux,cma", "system"} {
			want.WriteString(heap + " ../../devices/virtual/dma_heap/" + heap + "\n")
		}
		assert.Equal(t, want.String(), r.stdout)
	})
}

// Nothing of a run is seen outside it.
func TestTheHostKeepsItsDev(t *testing.T) {
	legs(t, func(t *testing.T, who leg) {
		before, err := os.ReadDir("/dev")
		require.NoError(t, err)
		p := start(t, who, options{}, site.heapfs, "run", "--", client("hold"), "system", "4096", "1")
		p.until("ready")
		after, err := os.ReadDir("/dev")
		require.NoError(t, err)
		assert.Len(t, after, len(before))
		assert.Equal(t, 0, p.wait())
	})
}

func TestRunAsAnotherUser(t *testing.T) {
	requireRoot(t)
	t.Parallel()
	r := heapfs(t, asRoot, options{}, "run", "--user", "nobody", "--", "sh", "-c", "id -un; id -gn")
	assert.Equal(t, "nobody\nnogroup\n", r.stdout)
	r = heapfs(t, asRoot, options{}, "run", "--user", "nobody", "--", client("basic-static"))
	assert.Equal(t, 0, r.status)
	assert.Contains(t, r.stdout, ": ok\n")

	r = heapfs(t, asRoot, options{stderrWanted: true}, "run", "--user", "no-such-user", "--", "true")
	assert.Equal(t, 125, r.status)
	assert.Contains(t, oneLine(t, r.stderr), "no-such-user")
}
