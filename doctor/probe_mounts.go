package doctor

import (
	"context"
	"fmt"
	"os"

	"github.com/heapfs/heapfs/internal/sys"
	"golang.org/x/sys/unix"
)

const fusePath = "/dev/fuse"

func probeFuseDevice(context.Context, host) []finding {
	const name = "fuse-device"
	fd, err := unix.Open(fusePath, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return []finding{fails(name, "open "+fusePath+fileFacts(fusePath), err)}
	}
	defer sys.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return []finding{fails(name, "fstat "+fusePath, err)}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFCHR {
		return []finding{{Name: name, Detail: fusePath + " is no character device"}}
	}
	return []finding{works(name, "%s opens for reading and writing", fusePath)}
}

// fileFacts is the mode and owner of path in words, for a refused open.
func fileFacts(path string) string {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return ""
	}
	return fmt.Sprintf(" (mode %04o, uid %d, gid %d)", st.Mode&0o7777, st.Uid, st.Gid)
}

func probeUserNamespace(ctx context.Context, _ host) []finding {
	return runChild(ctx, unix.CLONE_NEWUSER|unix.CLONE_NEWNS,
		[]string{"user-namespace"}, roleUserNS)
}

// userNamespaceRole runs inside the new namespace. That it was created says
// little: Ubuntu creates it and refuses each capability in it.
func userNamespaceRole([]string) []finding {
	const name = "user-namespace"
	if err := privateRoot(); err != nil {
		return []finding{fails(name, "created, but its capabilities are not real: make / private", err)}
	}
	if err := unix.Mount("heapfs-doctor", "/", "tmpfs", 0, "size=64k"); err != nil {
		return []finding{fails(name, "created, but its capabilities are not real: mount tmpfs", err)}
	}
	return []finding{works(name, "created as uid %d, a tmpfs mounted in it", os.Getuid())}
}

func probeMounts(ctx context.Context, h host) []finding {
	flags := uintptr(unix.CLONE_NEWNS)
	if !h.admin {
		flags |= unix.CLONE_NEWUSER
	}
	return runChild(ctx, flags, []string{
		"private-mounts", "fuse-mount", "fuse-protocol", "fuse-passthrough", "tmpfs-huge",
	}, roleMounts)
}

// privateRoot keeps what this process mounts from reaching any other mount
// namespace. Without it nothing may be mounted at all.
func privateRoot() error {
	return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
}

// mountsRole mounts over "/", which always exists; the process's own root stays
// below it, so later paths are not changed by it.
func mountsRole([]string) []finding {
	const name = "private-mounts"
	rest := []string{"fuse-mount", "fuse-protocol", "fuse-passthrough", "tmpfs-huge"}
	if err := privateRoot(); err != nil {
		f := fails(name, "make / private", err)
		return append([]finding{f}, notReached(f, rest...)...)
	}
	if err := unix.Mount("heapfs-doctor", "/", "tmpfs", 0, "size=64k"); err != nil {
		f := fails(name, "mount tmpfs", err)
		return append([]finding{f}, notReached(f, rest...)...)
	}
	found := []finding{works(name, "a tmpfs mounted in a private mount namespace"), tmpfsHuge()}
	return append(found, fuseMount()...)
}

// tmpfsHuge makes a tmpfs with huge=always that is attached nowhere and looks
// whether one byte takes a whole huge page of it.
func tmpfsHuge() finding {
	const name = "tmpfs-huge"
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return fails(name, "fsopen tmpfs", err)
	}
	defer sys.Close(fs)
	for _, opt := range [][2]string{{"huge", "always"}, {"size", "8m"}, {"mode", "0700"}} {
		if err := unix.FsconfigSetString(fs, opt[0], opt[1]); err != nil {
			return fails(name, fmt.Sprintf("tmpfs %s=%s", opt[0], opt[1]), err)
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return fails(name, "make a tmpfs huge=always", err)
	}
	dir, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return fails(name, "fsmount tmpfs", err)
	}
	defer sys.Close(dir)
	fd, err := unix.Openat(dir, "page", unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fails(name, "create a file in the tmpfs", err)
	}
	defer sys.Close(fd)
	huge, err := touchHuge(fd, false)
	if err != nil {
		return fails(name, "fill a page of the tmpfs", err)
	}
	if !huge {
		return finding{Name: name, Detail: "mounted with huge=always, but a small page came"}
	}
	return works(name, "a page of 2 MiB from a tmpfs huge=always")
}

// fuseMount opens the device inside the namespace (the kernel refuses a
// descriptor from another user namespace), mounts, and answers the kernel's
// INIT. The process serves nothing after that and must not look at the mount.
func fuseMount() []finding {
	const name = "fuse-mount"
	missing := func(f finding) []finding {
		return append([]finding{f}, notReached(f, "fuse-protocol", "fuse-passthrough")...)
	}
	dev, err := unix.Open(fusePath, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		f := fails(name, "open "+fusePath, err)
		f.After = "fuse-device"
		return missing(f)
	}
	defer sys.Close(dev)
	data := fmt.Sprintf("fd=%d,rootmode=40000,user_id=%d,group_id=%d", dev, os.Getuid(), os.Getgid())
	if err := unix.Mount("heapfs-doctor", "/", "fuse", unix.MS_NOSUID|unix.MS_NODEV, data); err != nil {
		return missing(fails(name, "mount fuse", err))
	}
	init, err := receiveInit(dev)
	if err != nil {
		return missing(fails(name, "receive FUSE INIT", err))
	}
	if err := answerInit(dev, init); err != nil {
		return missing(fails(name, "answer FUSE INIT", err))
	}
	return []finding{
		works(name, "mounted, INIT answered"), fuseProtocol(init), fusePassthrough(dev, init),
	}
}
