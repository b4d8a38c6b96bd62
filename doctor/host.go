package doctor

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// host is what the machine says about itself: it explains a failure and never
// decides a probe. Values are as the files give them, trimmed; empty when the
// file is not there.
type host struct {
	admin bool // CAP_SYS_ADMIN in the effective set of the own user namespace
	root  bool // effective uid 0
	inner bool // below a heapfs already: HEAPFS_SOCKET is set

	yama        string // kernel.yama.ptrace_scope
	apparmor    string // kernel.apparmor_restrict_unprivileged_userns (Ubuntu)
	debianClone string // kernel.unprivileged_userns_clone (Debian)
	maxUserNS   string // user.max_user_namespaces
	maxInotify  string // fs.inotify.max_user_instances
	shmemTHP    string // the chosen word of shmem_enabled
	freeHuge    string // free huge pages of 2 MiB
	seccomp     string // Seccomp: of /proc/self/status, 2 below a filter
}

// readHost reads from the tree at root ("/", or a test's own).
func readHost(root string) host {
	word := func(path string) string {
		b, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(b))
	}
	return host{
		admin:       hasAdmin(),
		root:        os.Geteuid() == 0,
		inner:       os.Getenv("HEAPFS_SOCKET") != "",
		yama:        word("proc/sys/kernel/yama/ptrace_scope"),
		apparmor:    word("proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
		debianClone: word("proc/sys/kernel/unprivileged_userns_clone"),
		maxUserNS:   word("proc/sys/user/max_user_namespaces"),
		maxInotify:  word("proc/sys/fs/inotify/max_user_instances"),
		shmemTHP:    chosen(word("sys/kernel/mm/transparent_hugepage/shmem_enabled")),
		freeHuge:    word("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"),
		seccomp:     statusField(word("proc/self/status"), "Seccomp"),
	}
}

// chosen picks the bracketed word of a sysfs choice: "always [never] force".
func chosen(line string) string {
	_, after, ok := strings.Cut(line, "[")
	if !ok {
		return ""
	}
	word, _, _ := strings.Cut(after, "]")
	return word
}

func statusField(status, key string) string {
	for line := range strings.Lines(status) {
		if v, ok := strings.CutPrefix(line, key+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// hasAdmin reports whether mounting is possible without a user namespace of
// our own. It is not the same as being uid 0: a container's root often lacks it.
func hasAdmin() bool {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return false
	}
	return data[0].Effective&(1<<unix.CAP_SYS_ADMIN) != 0
}
