package doctor

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"golang.org/x/sys/unix"
)

func TestHintNamesTheSwitchThatIsOff(t *testing.T) {
	tests := []struct {
		name  string
		hint  func(host, finding) string
		host  host
		errno unix.Errno
		want  string
	}{
		{"no namespaces at all", hintUserNamespace, host{maxUserNS: "0"}, unix.ENOSPC, "user.max_user_namespaces is 0"},
		{"Debian", hintUserNamespace, host{maxUserNS: "100", debianClone: "0"}, unix.EPERM, "kernel.unprivileged_userns_clone=1"},
		{"Ubuntu", hintUserNamespace, host{maxUserNS: "100", apparmor: "1"}, unix.EACCES, "kernel.apparmor_restrict_unprivileged_userns=0"},
		{"Ubuntu, switched off, in a container", hintUserNamespace, host{apparmor: "0", seccomp: "2"}, unix.EPERM, "seccomp=unconfined"},
		{"nested too deep", hintUserNamespace, host{maxUserNS: "100"}, unix.ENOSPC, "at most 32 deep"},
		{"not built in", hintUserNamespace, host{}, unix.EINVAL, "CONFIG_USER_NS"},
		{"root without capabilities", hintUserNamespace, host{root: true}, unix.EPERM, "CAP_SETFCAP"},
		{"chroot", hintUserNamespace, host{}, unix.EPERM, "chroot"},
		{"mount as a user is the namespace's affair", hintMount, host{apparmor: "1"}, unix.EACCES, "AppArmor"},
		{"mount as root in a chroot", hintMount, host{admin: true}, unix.EINVAL, "mount --bind / /"},
		{"no module", hintFuseMount, host{admin: true}, unix.ENODEV, "modprobe fuse"},
		{"device closed to users", hintFuseDevice, host{}, unix.EACCES, "chmod 0666 /dev/fuse"},
		{"device not there", hintFuseDevice, host{}, unix.ENOENT, "--device /dev/fuse"},
		{"device forbidden by a cgroup", hintFuseDevice, host{}, unix.EPERM, "--device /dev/fuse"},
		{"module unloaded", hintFuseDevice, host{}, unix.ENODEV, "modprobe fuse"},
		{"a plain file", hintFuseDevice, host{}, 0, "mknod"},
		{"Yama", hintTrace, host{yama: "1"}, unix.EPERM, "kernel.yama.ptrace_scope=0"},
		{"Yama for ever", hintTrace, host{yama: "3"}, unix.EPERM, "boot"},
		{"profile", hintTrace, host{yama: "0", seccomp: "2"}, unix.EPERM, "SYS_PTRACE"},
		{"no such call", hintTrace, host{yama: "1"}, unix.ENOSYS, "newer kernel"},
		{"no huge pages", hintHugetlb, host{}, unix.ENOMEM, "vm.nr_hugepages"},
		{"THP off", hintShmemTHP, host{shmemTHP: "never"}, 0, "shmem_enabled"},
		{"THP on, none free", hintShmemTHP, host{shmemTHP: "advise"}, 0, "fragmented"},
		{"no passthrough", hintPassthrough, host{}, unix.ENOSYS, "6.9"},
		{"watches", hintInotify, host{}, unix.ENOSPC, "max_user_watches"},
		{"no device for sync files", hintSyncFiles, host{}, unix.ENOENT, "modprobe udmabuf"},
		{"devices for sync files closed", hintSyncFiles, host{}, unix.EACCES, "render"},
		{"device for sync files forbidden by a cgroup", hintSyncFiles, host{}, unix.EPERM, "--device"},
		{"driver without fences", hintSyncFiles, host{}, unix.EOPNOTSUPP, "modprobe udmabuf"},
		{"udmabuf closed", hintUdmabuf, host{}, unix.EACCES, "chmod"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			assert.Contains(t, tt.hint(tt.host, finding{Errno: tt.errno}), tt.want)
		})
	}
}

func TestExplainSpeaksOfAWrappedErrno(t *testing.T) {
	assert.Contains(t, ExplainFuseDevice(&wrapped{unix.EACCES}), "chmod 0666")
	assert.Contains(t, ExplainListener(&wrapped{unix.EBUSY}), "start heapfs outside of it")
	assert.NotEmpty(t, ExplainUserNamespace(&wrapped{unix.EPERM}))
	assert.Contains(t, ExplainMount(&wrapped{&os.PathError{Op: "mount", Path: "/", Err: unix.EINVAL}}), "mount --bind / /")
	assert.NotContains(t, ExplainMount(&os.PathError{Op: "mount", Path: "/dev/dma_heap", Err: unix.EINVAL}), "mount --bind / /")
}

type wrapped struct{ err error }

func (w *wrapped) Error() string { return "wrapped: " + w.err.Error() }
func (w *wrapped) Unwrap() error { return w.err }

func TestHostIsReadFromFiles(t *testing.T) {
	h := readHost(tree(t, nil))
	assert.Empty(t, h.yama+h.apparmor+h.debianClone+h.maxUserNS+h.shmemTHP+h.freeHuge+h.seccomp)

	h = readHost(tree(t, map[string]string{
		"proc/sys/kernel/yama/ptrace_scope":                       "1\n",
		"proc/sys/kernel/apparmor_restrict_unprivileged_userns":   "1\n",
		"proc/sys/kernel/unprivileged_userns_clone":               "0\n",
		"proc/sys/user/max_user_namespaces":                       "96364\n",
		"proc/self/status":                                        "Name:\tx\nSeccomp:\t2\nSeccomp_filters:\t1\n",
		"sys/kernel/mm/transparent_hugepage/shmem_enabled":        "always within_size advise [never] deny force\n",
		"sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages": "12\n",
		"proc/sys/fs/inotify/max_user_instances":                  "128\n",
	}))
	h.admin, h.root, h.inner = false, false, false
	assert.Equal(t, host{
		yama: "1", apparmor: "1", debianClone: "0", maxUserNS: "96364",
		maxInotify: "128", shmemTHP: "never", freeHuge: "12", seccomp: "2",
	}, h)
}
