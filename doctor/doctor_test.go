package doctor

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const nobody = 1001

// denials by name: what is refused.
var denials = map[string]denial{
	"seccomp":           {calls: []int{unix.SYS_SECCOMP}, errno: unix.EPERM},
	"wait-killable":     {calls: []int{unix.SYS_SECCOMP}, arg: 1, bits: unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, errno: unix.EINVAL},
	"addfd":             {calls: []int{unix.SYS_IOCTL}, arg: 1, value: unix.SECCOMP_IOCTL_NOTIF_ADDFD, errno: unix.EINVAL},
	"sync-wakeup":       {calls: []int{unix.SYS_IOCTL}, arg: 1, value: unix.SECCOMP_IOCTL_NOTIF_SET_FLAGS, errno: unix.EINVAL},
	"mount":             {calls: []int{unix.SYS_MOUNT}, errno: unix.EPERM},
	"process_vm":        {calls: []int{unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV}, errno: unix.EPERM},
	"process_vm_write":  {calls: []int{unix.SYS_PROCESS_VM_WRITEV}, errno: unix.EPERM},
	"pidfd_getfd":       {calls: []int{unix.SYS_PIDFD_GETFD}, errno: unix.EPERM},
	"ptrace":            {calls: []int{unix.SYS_PTRACE}, errno: unix.EPERM},
	"lease":             {calls: []int{unix.SYS_FCNTL}, arg: 1, value: unix.F_SETLEASE, errno: unix.EINVAL},
	"seals":             {calls: []int{unix.SYS_FCNTL}, arg: 1, value: unix.F_ADD_SEALS, errno: unix.EINVAL},
	"subreaper":         {calls: []int{unix.SYS_PRCTL}, arg: 0, value: unix.PR_SET_CHILD_SUBREAPER, errno: unix.EINVAL},
	"inotify":           {calls: []int{unix.SYS_INOTIFY_INIT1}, errno: unix.EMFILE},
	"memfd":             {calls: []int{unix.SYS_MEMFD_CREATE}, errno: unix.ENOMEM},
	"user-namespace":    {calls: []int{unix.SYS_CLONE}, arg: 0, bits: unix.CLONE_NEWUSER, errno: unix.EPERM},
	"no-user-namespace": {calls: []int{unix.SYS_CLONE}, arg: 0, bits: unix.CLONE_NEWUSER, errno: unix.ENOSPC},
	"passthrough":       {calls: []int{unix.SYS_IOCTL}, arg: 1, value: 0x4010e501, errno: unix.EPERM},
	"fsopen":            {calls: []int{unix.SYS_FSOPEN}, errno: unix.ENOSYS},
}

func TestADeniedCallFailsItsProbeConclusively(t *testing.T) {
	requireRoot(t)
	tests := []struct {
		denial string
		fails  []string
		run    bool
		hint   string
	}{
		{"seccomp", []string{"seccomp-listener"}, false, "a seccomp filter forbids seccomp()"},
		{"wait-killable", []string{"seccomp-wait-killable"}, false, "newer kernel"},
		{"addfd", []string{"seccomp-addfd"}, false, "newer kernel"},
		{"sync-wakeup", []string{"seccomp-sync-wakeup"}, true, "newer kernel"},
		{"mount", []string{"private-mounts", "user-namespace"}, false, "in a container"},
		{"process_vm", nil, true, ""},
		{"process_vm_write", nil, true, ""},
		{"pidfd_getfd", []string{"pidfd-getfd"}, true, "SYS_PTRACE"},
		{"ptrace", []string{"ptrace-child", "ptrace-other", "ptrace-suspend-seccomp"}, true, ""},
		{"lease", []string{"lease"}, false, "newer kernel"},
		{"seals", []string{"memfd-seals"}, false, "newer kernel"},
		{"subreaper", []string{"subreaper"}, false, "newer kernel"},
		{"inotify", []string{"inotify"}, true, "fs.inotify.max_user_instances="},
		{"user-namespace", []string{"user-namespace"}, true, ""},
		{"passthrough", []string{"fuse-passthrough"}, true, "CAP_SYS_ADMIN"},
		{"fsopen", []string{"tmpfs-huge"}, true, ""},
	}
	plain := play(t, stage{}, "plain")
	for _, tt := range tests {
		t.Run(tt.denial, func(t *testing.T) {
			report := play(t, stage{}, "denied", tt.denial)
			assert.Equal(t, tt.run, report.Run, "%+v", report.Missing())
			for _, name := range tt.fails {
				p := get(t, report, name)
				assert.False(t, p.OK, "%+v", p)
				assert.False(t, p.Unknown, "%+v", p)
				assert.NotEmpty(t, p.Hint)
			}
			if tt.hint != "" {
				assert.Contains(t, get(t, report, tt.fails[0]).Hint, tt.hint)
			}
			if tt.run { // then it takes nothing else away
				for _, p := range report.Probes {
					was := get(t, plain, p.Name)
					if p.Needed && was.OK {
						assert.True(t, p.OK, "%+v", p)
					}
				}
			}
		})
	}
}

func TestCallerMemoryFallsBackToProcMem(t *testing.T) {
	p := get(t, play(t, stage{}, "denied", "process_vm"), "caller-memory")
	assert.True(t, p.OK, "%+v", p)
	assert.Contains(t, p.Detail, "/proc/PID/mem")
	assert.Contains(t, p.Detail, "operation not permitted")
}

func TestAShortageIsNoAnswer(t *testing.T) {
	for _, scene := range [][]string{{"few-descriptors"}, {"denied", "memfd"}} {
		report := play(t, stage{}, scene[0], scene[1:]...)
		assert.False(t, report.Run)
		for _, name := range []string{"memfd-seals", "lease"} {
			p := get(t, report, name)
			assert.False(t, p.OK, "%+v", p)
			assert.True(t, p.Unknown, "%+v", p)
			assert.Contains(t, p.Detail, "could not be tried")
			assert.Contains(t, p.Hint, "ulimit")
		}
	}
}

func TestNoFuseDevice(t *testing.T) {
	requireRoot(t)
	report := play(t, stage{flags: unix.CLONE_NEWNS}, "no-fuse")
	assert.False(t, report.Run)
	require.NotNil(t, report.Missing())
	assert.Equal(t, "fuse-device", report.Missing().Name)
	assert.Contains(t, report.Missing().Detail, "no such file or directory")
	assert.Contains(t, report.Missing().Hint, "--device /dev/fuse")
	assert.Equal(t, "see fuse-device", get(t, report, "fuse-mount").Hint)
	assert.Equal(t, "see fuse-mount", get(t, report, "fuse-protocol").Hint)
	assert.True(t, get(t, report, "private-mounts").OK)
}

func TestUserNamespacesForbidden(t *testing.T) {
	requireRoot(t)
	for _, name := range []string{"user-namespace", "no-user-namespace"} {
		report := play(t, stage{uid: nobody}, "denied", name)
		p := get(t, report, "user-namespace")
		assert.False(t, p.OK)
		assert.False(t, p.Unknown)
		assert.True(t, p.Needed)
		assert.Contains(t, p.Detail, "clone CLONE_NEWUSER")
		assert.Contains(t, p.Hint, map[string]string{"user-namespace": "a seccomp filter is active", "no-user-namespace": "user.max_user_namespaces"}[name])
		assert.False(t, get(t, report, "private-mounts").OK)
		assert.Equal(t, "see private-mounts", get(t, report, "fuse-mount").Hint)
	}
}

func TestBelowAListenerIsSaid(t *testing.T) {
	report := play(t, stage{}, "below-listener")
	assert.False(t, report.Run)
	p := get(t, report, "seccomp-listener")
	assert.Contains(t, p.Detail, "busy")
	assert.Contains(t, p.Hint, "start heapfs outside of it")
	assert.Equal(t, "see seccomp-listener", get(t, report, "seccomp-addfd").Hint)

	t.Setenv("HEAPFS_SOCKET", "/run/heapfs/1.sock")
	p = get(t, play(t, stage{}, "below-listener"), "seccomp-listener")
	assert.Contains(t, p.Hint, "a program under heapfs already")
}

func TestAChildThatHangsOrCrashesIsNoAnswer(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	found := runChild(ctx, 0, []string{"a", "b"}, "hang")
	require.Len(t, found, 2)
	for _, f := range found {
		assert.True(t, f.Unknown)
		assert.Contains(t, f.Detail, "no answer within")
	}

	ctx, cancel = context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	found = runChild(ctx, unix.CLONE_NEWUSER|unix.CLONE_NEWNS, []string{"a"}, "hang")
	require.Len(t, found, 1)
	assert.True(t, found[0].Unknown)
	require.Eventually(t, func() bool { return !running("hang") }, time.Minute, 10*time.Millisecond)

	found = runChild(context.Background(), 0, []string{"a"}, "crash")
	require.Len(t, found, 1)
	assert.True(t, found[0].Unknown)
	assert.Contains(t, found[0].Detail, "exit status 7")
	assert.Contains(t, found[0].Detail, "no reason given")
}

// running reports whether a child with this role is anywhere on the machine.
func running(role string) bool {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		cmdline, err := os.ReadFile(f)
		if err == nil && strings.HasPrefix(string(cmdline), childName+"\x00"+role+"\x00") {
			return true
		}
	}
	return false
}

func TestEveryProbeIsConclusive(t *testing.T) {
	tests := []struct {
		name  string
		stage stage
		scene string
		root  bool // needs root to set up
		run   bool // works, where /dev/fuse is there
		admin bool
	}{
		{name: "as we are", scene: "plain", run: hasAdmin(), admin: hasAdmin()},
		{name: "ordinary user", scene: "plain", stage: stage{uid: nobody}, root: true, run: othersMayOpenFuse()},
		{name: "ordinary user, open fuse", scene: "open-fuse", stage: stage{flags: unix.CLONE_NEWNS}, root: true, run: true},
		{name: "root of a user namespace", scene: "plain", stage: stage{flags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS}, run: hasAdmin(), admin: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.root {
				requireRoot(t)
			}
			report := play(t, tt.stage, tt.scene)
			require.Len(t, report.Probes, len(catalogue))
			for i, p := range report.Probes {
				assert.Equal(t, catalogue[i].name, p.Name)
				assert.False(t, p.Unknown, "%+v", p)
				assert.NotEmpty(t, p.Detail, p.Name)
				assert.NotContains(t, p.Detail+p.Hint, "\n", p.Name)
				assert.Equal(t, p.OK, p.Hint == "", "%+v", p)
			}
			assert.Equal(t, !tt.admin, get(t, report, "user-namespace").Needed)
			if !tt.admin {
				assert.False(t, get(t, report, "fuse-passthrough").OK)
				assert.False(t, get(t, report, "ptrace-suspend-seccomp").OK)
			}
			if tt.run {
				assert.True(t, report.Run, "%+v", report.Missing())
				assert.Nil(t, report.Missing())
			}
		})
	}
}

func othersMayOpenFuse() bool {
	info, err := os.Stat(fusePath)
	return err == nil && info.Mode().Perm()&0o006 == 0o006
}

func TestTextOfAReport(t *testing.T) {
	report := Report{Run: false, Kernel: "6.1.0", Probes: []Result{
		{Name: "lease", OK: true, Needed: true, Detail: "granted", For: "the end", Since: "3.17"},
		{Name: "fuse-device", Needed: true, Detail: "open /dev/fuse: no", For: "nodes", Since: "2.6.14", Hint: "modprobe fuse"},
		{Name: "udmabuf", Detail: "open /dev/udmabuf: no", For: "imports", Since: "4.20", Hint: "modprobe udmabuf"},
		{Name: "crun", Detail: "not found", For: "containers", Hint: "install it"},
	}}
	var b strings.Builder
	require.NoError(t, report.WriteText(&b))
	assert.Equal(t, `ok  lease                    granted
no  fuse-device              open /dev/fuse: no (since Linux 2.6.14)
--  udmabuf                  open /dev/udmabuf: no (since Linux 4.20; for imports)
--  crun                     not found (for containers)

fuse-device: modprobe fuse
udmabuf: modprobe udmabuf
crun: install it

run: does not work: fuse-device: open /dev/fuse: no
`, b.String())

	b.Reset()
	report.Probes = report.Probes[:1]
	require.NoError(t, report.WriteText(&b))
	assert.Equal(t, "ok  lease                    granted\n\nrun: works\n", b.String())
}
