package doctor

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
)

// The next step for each failure, one line each. ExplainX are for launch, whose
// error messages end in the same words.

// ExplainFuseDevice says what to do when opening /dev/fuse gave err.
func ExplainFuseDevice(err error) string {
	return hintFuseDevice(host{}, finding{Errno: errnoOf(err)})
}

// ExplainUserNamespace says what to do when a user namespace, or what needs one,
// gave err.
func ExplainUserNamespace(err error) string {
	// FUSE says the same of a file that is not its device.
	if errnoOf(err) == unix.EINVAL && !isFUSE("/dev/fuse") {
		return hintFuseDevice(host{}, finding{Errno: unix.EINVAL})
	}
	return hintUserNamespace(readHost("/"), finding{Errno: errnoOf(err)})
}

// ExplainMount says what to do when a mount gave err.
func ExplainMount(err error) string {
	var at *os.PathError
	if errors.As(err, &at) && at.Path == "/" && errnoOf(err) == unix.EINVAL {
		return noMountPoint
	}
	return ExplainUserNamespace(err)
}

const noMountPoint = "/ is no mount point here, as in a chroot: bind it on itself first (mount --bind / /)"

// isFUSE is whether a file is the device of the fuse module.
func isFUSE(path string) bool {
	const major, minor = 10, 229
	rdev, char, err := sys.DeviceAt(unix.AT_FDCWD, path)
	return err == nil && char && rdev == unix.Mkdev(major, minor)
}

// ExplainListener says what to do when a seccomp listener gave err.
func ExplainListener(err error) string {
	return hintListener(readHost("/"), finding{Errno: errnoOf(err)})
}

// ExplainTrace says what to do when a look into another process, or tracing it, gave err.
func ExplainTrace(err error) string {
	h := readHost("/")
	if h.root && h.yama != "3" {
		return "this root has no CAP_SYS_PTRACE over the caller: " + container + "start it with --cap-add SYS_PTRACE; or start the program with heapfs run"
	}
	return hintTrace(h, finding{Errno: errnoOf(err)})
}

const container = "in a container: "

func hintFuseDevice(_ host, f finding) string {
	switch f.Errno {
	case unix.ENOENT:
		return "load the module (sudo modprobe fuse); " + container + "start it with --device /dev/fuse"
	case unix.ENODEV, unix.ENXIO:
		return "load the module: sudo modprobe fuse"
	case unix.EACCES:
		return "let users open it, as udev's default rule does: sudo chmod 0666 /dev/fuse"
	case unix.EPERM:
		return container + "start it with --device /dev/fuse"
	}
	return "make /dev/fuse the device of the fuse module: sudo mknod -m 0666 /dev/fuse c 10 229"
}

// hintUserNamespace names the switch that is off. Several may be: the first in
// the order in which the kernel asks.
func hintUserNamespace(h host, f finding) string {
	const orRoot = ", or run heapfs as root"
	switch {
	case h.maxUserNS == "0":
		return "user.max_user_namespaces is 0: sudo sysctl user.max_user_namespaces=10000" + orRoot
	case h.debianClone == "0":
		return "Debian's switch is off: sudo sysctl kernel.unprivileged_userns_clone=1" + orRoot
	case h.apparmor != "" && h.apparmor != "0":
		return "AppArmor restricts them (Ubuntu): sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0" +
			", or give heapfs an AppArmor profile with the rule `userns,`" + orRoot
	case f.Errno == unix.ENOSPC:
		return "the limit is used up: raise user.max_user_namespaces and leave nested namespaces (at most 32 deep)" + orRoot
	case f.Errno == unix.EINVAL || f.Errno == unix.ENOSYS:
		return "needs a kernel with CONFIG_USER_NS" + orRoot
	case h.seccomp == "2":
		return "a seccomp filter is active here: " + container + "start it with --security-opt seccomp=unconfined, or with --cap-add SYS_ADMIN"
	}
	if h.root {
		return "this root has neither CAP_SYS_ADMIN nor CAP_SETFCAP (to map uid 0): " + container + "start it with --cap-add SYS_ADMIN, or run heapfs as an ordinary user"
	}
	return "not possible in a chroot or under a security module that forbids it: try outside" + orRoot
}

func hintMount(h host, f finding) string {
	if !h.admin {
		return hintUserNamespace(h, f)
	}
	switch f.Errno {
	case unix.ENOSPC:
		return "mount namespaces are used up: raise user.max_mnt_namespaces"
	case unix.EINVAL:
		return noMountPoint
	}
	return "a seccomp filter or a security module forbids mounting: " + container +
		"start it with --security-opt seccomp=unconfined --security-opt apparmor=unconfined"
}

func hintFuseMount(h host, f finding) string {
	if f.Errno == unix.ENODEV {
		return "load the module: sudo modprobe fuse"
	}
	return hintMount(h, f)
}

func hintListener(h host, f finding) string {
	switch {
	case f.Errno == unix.EBUSY && h.inner:
		return "this is a program under heapfs already: use its /dev/dma_heap, or start heapfs outside of it"
	case f.Errno == unix.EBUSY:
		return "a parent has a listener already (heapfs, or a container runtime with a seccomp agent): start heapfs outside of it"
	case f.Errno == unix.EPERM || f.Errno == unix.EACCES:
		return "a seccomp filter forbids seccomp(): " + container + "start it with --security-opt seccomp=unconfined"
	}
	return "needs Linux 6.1 or newer with CONFIG_SECCOMP_FILTER"
}

// hintKernel is for what every supported kernel has.
func hintKernel(h host, f finding) string {
	if h.seccomp == "2" && (f.Errno == unix.EPERM || f.Errno == unix.EACCES || f.Errno == unix.ENOSYS) {
		return "a seccomp filter is active here: " + container + "start it with --security-opt seccomp=unconfined"
	}
	return "use a newer kernel (heapfs supports Linux 6.1 and later)"
}

// hintTrace is for everything that the kernel guards by PTRACE_MODE_ATTACH.
func hintTrace(h host, f finding) string {
	if f.Errno == unix.ENOSYS {
		return hintKernel(h, f)
	}
	switch h.yama {
	case "1", "2":
		return "Yama restricts it: sudo sysctl kernel.yama.ptrace_scope=0, or run heapfs as root (CAP_SYS_PTRACE)"
	case "3":
		return "Yama forbids it until the next boot: set kernel.yama.ptrace_scope=0 in /etc/sysctl.d and boot again"
	}
	if h.seccomp == "2" {
		return "a seccomp filter is active here: " + container + "start it with --cap-add SYS_PTRACE"
	}
	return "a security module forbids it: run heapfs as root (CAP_SYS_PTRACE)"
}

func hintSuspend(h host, f finding) string {
	switch {
	case f.Errno == unix.EPERM && h.seccomp == "2":
		return "not possible below a seccomp filter: start heapfs outside of it, as root"
	case f.Errno == unix.EPERM:
		return "run heapfs as root (CAP_SYS_ADMIN in the first user namespace)"
	}
	return "needs a kernel with CONFIG_CHECKPOINT_RESTORE"
}

func hintPassthrough(_ host, f finding) string {
	if f.Errno == unix.EPERM {
		return "run heapfs as root (CAP_SYS_ADMIN in the first user namespace)"
	}
	return "needs Linux 6.9 or newer with CONFIG_FUSE_PASSTHROUGH"
}

func hintInotify(h host, f finding) string {
	switch f.Errno {
	case unix.EMFILE:
		return fmt.Sprintf("the user's inotify instances are used up (fs.inotify.max_user_instances=%s): sudo sysctl fs.inotify.max_user_instances=512", h.maxInotify)
	case unix.ENOSPC:
		return "the user's inotify watches are used up: sudo sysctl fs.inotify.max_user_watches=524288"
	}
	return "needs a kernel with CONFIG_INOTIFY_USER"
}

func hintHugetlb(_ host, f finding) string {
	switch f.Errno {
	case unix.ENOMEM, unix.EFAULT:
		return "reserve pages: sudo sysctl vm.nr_hugepages=64"
	}
	return "needs a kernel with CONFIG_HUGETLBFS and huge pages of 2 MiB"
}

func hintShmemTHP(h host, _ finding) string {
	switch h.shmemTHP {
	case "never", "deny":
		return "echo advise | sudo tee /sys/kernel/mm/transparent_hugepage/shmem_enabled"
	case "":
		return "needs a kernel with CONFIG_TRANSPARENT_HUGEPAGE"
	}
	return "memory is fragmented: echo 1 | sudo tee /proc/sys/vm/compact_memory"
}

func hintTmpfsHuge(h host, f finding) string {
	switch {
	case f.Errno == unix.EINVAL || h.shmemTHP == "":
		return "needs a kernel with CONFIG_TRANSPARENT_HUGEPAGE"
	case h.shmemTHP == "deny":
		return "echo never | sudo tee /sys/kernel/mm/transparent_hugepage/shmem_enabled"
	}
	return "memory is fragmented: echo 1 | sudo tee /proc/sys/vm/compact_memory"
}

func hintUdmabuf(_ host, f finding) string {
	switch f.Errno {
	case unix.ENOENT:
		return "load the module (sudo modprobe udmabuf), or use a kernel with CONFIG_UDMABUF"
	case unix.EACCES:
		return "open it to the user: sudo chmod 0666 /dev/udmabuf, or a udev rule"
	case unix.EPERM:
		return container + "start it with --device /dev/udmabuf"
	}
	return "the udmabuf module refused: see its limits in /sys/module/udmabuf/parameters"
}

func hintRuntime(_ host, f finding) string {
	return "install it, if you want heapfs in containers: sudo apt install " + f.Name
}
