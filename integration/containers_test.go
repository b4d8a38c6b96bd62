package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A container has one static program, in namespaces of its own, the user namespace included, without a capability; what it has of heapfs is
// the heap directory, bound into it from outside. Its root is this user outside.
const containerUID = 100000

// containerRoot makes the container's files: the program, and the directories that something is mounted on.
func containerRoot(t *testing.T, program string) string {
	t.Helper()
	root := filepath.Join(ownDir(t), "rootfs")
	require.NoError(t, os.Chmod(filepath.Dir(root), 0o755))
	for _, dir := range []string{"", "bin", "dev", "proc", "sys", "heaps", "tmp"} {
		require.NoError(t, os.Mkdir(filepath.Join(root, dir), 0o755))
	}
	from, err := os.Open(client(program))
	require.NoError(t, err)
	defer func() { _ = from.Close() }() // it was read only
	to, err := os.OpenFile(filepath.Join(root, "bin/client"), os.O_WRONLY|os.O_CREATE, 0o755)
	require.NoError(t, err)
	_, err = io.Copy(to, from)
	require.NoError(t, err)
	require.NoError(t, to.Close())
	return root
}

// runtimes are those that the container is tried in: each gives the command that runs it, with the heaps or, if dir is "", without.
var runtimes = []struct {
	name, program string
	command       func(t *testing.T, root, dir string) []string
}{
	{"runc", "runc", runcCommand},
	{"lxc", "lxc-start", lxcCommand},
}

// object is one of JSON.
type object = map[string]any

// runcCommand writes the container as an OCI bundle.
func runcCommand(t *testing.T, root, dir string) []string {
	t.Helper()
	mounts := []object{
		{"destination": "/proc", "type": "proc", "source": "proc"},
		{"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": []string{"nosuid", "mode=755", "size=64k"}},
		{"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666"}},
	}
	if dir != "" {
		mounts = append(mounts, object{"destination": "/heaps", "type": "bind", "source": dir, "options": []string{"bind", "nosuid", "nodev", "noexec"}})
	}
	ids := []object{{"containerID": 0, "hostID": containerUID, "size": 65536}}
	text, err := json.Marshal(object{
		"ociVersion": "1.0.2",
		"root":       object{"path": root, "readonly": true},
		"process": object{
			"user": object{"uid": 1000, "gid": 1000}, "args": []string{"/bin/client"}, "cwd": "/", "env": []string{"HEAP_DIR=/heaps"},
			"noNewPrivileges": true,
			"capabilities":    object{"bounding": []string{}, "effective": []string{}, "permitted": []string{}},
		},
		"mounts": mounts,
		"linux": object{
			"namespaces":  []object{{"type": "pid"}, {"type": "mount"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "user"}},
			"uidMappings": ids, "gidMappings": ids,
		},
	})
	require.NoError(t, err)
	bundle := ownDir(t)
	require.NoError(t, os.WriteFile(filepath.Join(bundle, "config.json"), text, 0o644))
	return []string{"runc", "--root", filepath.Join(bundle, "state"), "run", "--bundle", bundle, "heapfs-" + filepath.Base(bundle)}
}

// lxcCommand writes the container as one of LXC's.
func lxcCommand(t *testing.T, root, dir string) []string {
	t.Helper()
	own := ownDir(t)
	require.NoError(t, os.Chmod(own, 0o755)) // the container's root looks at it
	config := fmt.Sprintf(`lxc.rootfs.path = dir:%s
lxc.net.0.type = empty
lxc.pty.max = 1
lxc.console.path = none
lxc.idmap = u 0 %d 65536
lxc.idmap = g 0 %d 65536
lxc.init.cmd = /bin/client
lxc.init.uid = 1000
lxc.init.gid = 1000
lxc.cap.keep = none
lxc.no_new_privs = 1
lxc.environment = HEAP_DIR=/heaps
lxc.mount.auto = proc
`, root, containerUID, containerUID)
	if dir != "" {
		config += "lxc.mount.entry = " + dir + " heaps none bind 0 0\n"
	}
	require.NoError(t, os.WriteFile(filepath.Join(own, "config"), []byte(config), 0o644))
	// LXC leaves this behind in every hierarchy.
	const pivots = "/sys/fs/cgroup/*/lxc.pivot"
	before, err := filepath.Glob(pivots)
	require.NoError(t, err)
	if len(before) == 0 {
		t.Cleanup(func() {
			left, err := filepath.Glob(pivots)
			assert.NoError(t, err)
			for _, dir := range append(left, "/sys/fs/cgroup/lxc.pivot") {
				_ = unix.Rmdir(dir) // ENOENT: there is none
			}
		})
	}
	return []string{"lxc-start", "--foreground", "--name", "heapfs-" + filepath.Base(own), "--lxcpath", own, "--rcfile", filepath.Join(own, "config"),
		"--logfile", filepath.Join(own, "log")}
}

func TestAContainerHasBuffersOfAMountOutside(t *testing.T) {
	for _, runtime := range runtimes {
		t.Run(runtime.name, func(t *testing.T) {
			requireRoot(t)
			if _, err := exec.LookPath(runtime.program); err != nil {
				skip(t, "no "+runtime.program, "apt-get install "+runtime.name)
			}
			o := options{timeout: 2 * time.Minute, stderrWanted: true}
			root := containerRoot(t, "basic-static")
			// Not every runtime gives the program's status; what it says is the same in each.
			r := run(t, asRoot, o, runtime.command(t, root, "")...)
			require.NotContains(t, r.stdout, ": ok\n")
			require.Contains(t, r.stdout+r.stderr, "open /heaps/system: No such file or directory")

			m := mountHeaps(t, options{}, "--board", writeBoard(t, openBoard))
			r = run(t, asRoot, o, runtime.command(t, root, m.dir)...)
			assert.Equal(t, 0, r.status, r.stderr)
			for _, heap := range []string{"system", "default_cma_region", "linux,cma"} {
				assert.Contains(t, r.stdout, heap+": ok\n")
			}
			assert.Equal(t, 0, m.stop())
			assert.Empty(t, m.stderr.String())
			lines := readEvents(t, m.events)
			assert.Positive(t, count(lines, "alloc"))
			assert.Equal(t, count(lines, "alloc"), count(lines, "free"))
			for _, line := range lines {
				if line.Event == "alloc" {
					require.NotNil(t, line.UID)
					require.EqualValues(t, containerUID+1000, *line.UID)
				}
			}
		})
	}
}
