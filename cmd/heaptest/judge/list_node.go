package judge

import "slices"

// nodeList: a node is a file of a FUSE file system, whatever its buffers are.
func nodeList() []Deviation {
	return []Deviation{
		{
			ID:     "N1",
			Kernel: "a node is a character device: `S_ISCHR`, `st_rdev` set, `[ -c … ]` true",
			Here:   "a regular file, `st_rdev` 0, on a file system of type FUSE",
			Why:    "FUSE never sees the open of a character-device inode: the kernel takes it to the driver of that number",
			On:     []Export{Memfd, Udmabuf, Fuse, FuseCached},
			Rows: slices.Concat(
				differ("regular file, rdev 0, 0 bytes",
					"node-stat"),
				differ("fuse",
					"node-statfs"),
				differ("EXDEV",
					"node-copy-file-range"),
			),
		},
		{
			ID: "N2",
			Kernel: "FIONREAD and FIBMAP are EINVAL, like every number from 1; FIOQSIZE is ENOTTY; F_SETLEASE and O_DIRECT by " +
				"F_SETFL are EINVAL",
			Here: "FIONREAD and FIOQSIZE give 0, FIBMAP (root) succeeds, F_SETLEASE is EAGAIN or a lease, O_DIRECT can be set",
			Why:  "for regular files the VFS answers these itself (`fs/ioctl.c`, `fs/locks.c`, `fs/fcntl.c`)",
			On:   []Export{Memfd, Udmabuf, Fuse, FuseCached},
			Rows: slices.Concat(
				differ("0, then rdwr+direct",
					"node-setfl-direct"),
				differ("0 or EAGAIN",
					"node-lease-read", "node-lease-write"),
				differ("0",
					"node-ioctl-fionread", "node-ioctl-fioqsize", "node-ioctl-fibmap"),
			),
		},
		{
			ID:     "N3",
			Kernel: "an unknown number with a bad pointer: EINVAL, the pointer is not looked at",
			Here:   "EFAULT, when the command carries an argument in",
			Why: "FUSE copies the argument in before it asks the server (`fs/fuse/ioctl.c`); to trap all commands would " +
				"make every ioctl of the program pay",
			On: []Export{Memfd, Udmabuf, Fuse, FuseCached},
			Rows: slices.Concat(
				differ("EFAULT",
					"node-ioctl-h-1-at-null", "node-ioctl-h-1-at-8", "node-ioctl-h-1-at-kernel", "node-ioctl-h-1-at-no-address",
					"node-ioctl-h-1-at-wraps", "node-ioctl-h-1-at-hole", "node-ioctl-h-1-at-into-hole-by-1",
					"node-ioctl-h-1-at-into-hole-by-16", "node-ioctl-h-1-at-out-of-hole"),
			),
		},
		{
			ID:     "N4",
			Kernel: "number 0 of any type is an ALLOC",
			Here: "number 0 of the types `H` and `b` is; of any other, too, where the server may trace the caller; else a request that " +
				"would succeed is ENOMEM, with the reason in the events",
			Why: "the filter traps by type and number; the rest arrives by FUSE, whose answer carries bytes and no descriptor, and the way " +
				"in by ptrace is closed where the caller is traced already or the system forbids it (`kernel.yama.ptrace_scope`)",
			On:        []Export{Memfd, Udmabuf, Fuse, FuseCached},
			Sometimes: true,
			Rows: slices.Concat(
				differ("ENOMEM",
					"node-ioctl-type-0x5a", "node-ioctl-type-0x55", "node-ioctl-type-0x64", "node-ioctl-type-0x0",
					"node-ioctl-type-0xff", "node-ioctl-type-0x54", "node-ioctl-type-0x3e"),
			),
		},
		{
			ID:     "N5",
			Kernel: "a private mapping of a node is ENODEV, like a shared one",
			Here:   "a private mapping succeeds; touching it is SIGBUS",
			Why:    "FUSE refuses only shared mappings of files with direct I/O (`fuse_file_mmap`)",
			On:     []Export{Memfd, Udmabuf, Fuse, FuseCached},
			Rows: slices.Concat(
				differ("0, touch: fault",
					"node-mmap-private-r", "node-mmap-private-w", "node-mmap-private-rw"),
			),
		},
		{
			ID:     "N6",
			Kernel: "`read` and `write` of 0 bytes, `sendfile` and `splice` are EINVAL",
			Here:   "they return 0",
			Why:    "FUSE returns before it asks the server: there is nothing to move, or nothing in a file of 0 bytes",
			On:     []Export{Memfd, Udmabuf, Fuse, FuseCached},
			Rows: slices.Concat(
				differ("0",
					"node-read-0-rdonly", "node-write-0-wronly", "node-read-0-rdwr", "node-write-0-rdwr"),
				from(Version{6, 5}, differ("0",
					"node-sendfile", "node-splice")),
			),
		},
		{
			ID:     "N7",
			Kernel: "EPOLL_CTL_ADD of a node is EPERM",
			Here:   "it succeeds; the node is always ready",
			Why:    "FUSE's file operations have a `poll`, whatever the server supports",
			On:     []Export{Memfd, Udmabuf, Fuse, FuseCached},
			Rows: slices.Concat(
				differ("0, in",
					"node-epoll-in"),
				differ("0, out",
					"node-epoll-out"),
				differ("0, in|out",
					"node-epoll-in-out-edge"),
				differ("0, nothing",
					"node-epoll-none"),
				differ("ENOENT, ENOENT",
					"node-epoll-mod-del"),
			),
		},
		{
			ID:     "N8",
			Kernel: "an ALLOC is not interrupted by a signal that has a handler",
			Here: "without SA_RESTART it may be EINTR, when the signal comes before the listener has received the call; " +
				"with SA_RESTART it never is",
			Why:       "WAIT_KILLABLE_RECV protects a caller only once its notification has been received (`kernel/seccomp.c`)",
			On:        []Export{Memfd, Udmabuf, Fuse, FuseCached},
			Sometimes: true,
			Test:      "clients/timer",
			Rows: slices.Concat(
				differ("EINTR",
					"caller-signal"),
			),
		},
		{
			ID: "N9",
			Kernel: "Linux 6.12.95 and 6.18.15 copy the argument out after a failure, too, and let a fault of that win; a success that " +
				"can't be written back leaves its descriptor behind. 6.12.117 and 7.3 do neither",
			Here: "the error wins or the fault does; a descriptor is never left behind",
			Why: "the correction came to stable releases of older versions, and nothing in a running kernel tells whether " +
				"it has it",
			On:        []Export{Kernel, Memfd, Udmabuf, Fuse, FuseCached}, // of one version some kernels do this, some that
			Sometimes: true,
			Rows: slices.Concat(
				before(Version{7, 3}, differ("EINVAL",
					"alloc-size-1-out", "alloc-size-4-out", "alloc-size-8-out", "alloc-size-9-out", "alloc-size-12-out",
					"alloc-size-16-out", "alloc-size-23-out", "alloc-size-24-out", "alloc-size-32-out", "alloc-size-48-out",
					"alloc-size-128-out", "alloc-size-200-out", "alloc-size-4096-out", "alloc-size-16383-out", "alloc-out-at-null",
					"alloc-out-at-8", "alloc-out-at-kernel", "alloc-out-at-no-address", "alloc-out-at-wraps", "alloc-out-at-hole",
					"alloc-out-at-into-hole-by-1", "alloc-out-at-into-hole-by-16", "alloc-out-at-out-of-hole")),
				before(Version{7, 3}, differ("EINVAL, no fd",
					"alloc-out-on-read-only", "alloc-out-on-read-only-fd", "alloc-both-on-read-only-fd",
					"alloc-out-on-read-only-flags", "alloc-both-on-read-only-flags", "alloc-out-on-read-only-len-0",
					"alloc-both-on-read-only-len-0", "alloc-out-on-write-only", "alloc-out-on-no-access")),
				before(Version{7, 3}, differ("EFAULT, no fd",
					"alloc-both-on-read-only")),
				before(Version{7, 3}, differ("EFAULT",
					"alloc-across-read-only")),
			),
		},
		{
			ID:     "N10",
			Kernel: "an argument on a page that is mapped for writing only is read",
			Here:   "EFAULT, where the kernel lets nobody read such a page by force (`proc_mem.force_override`, Linux 6.12)",
			Why: "another process's page is read by what was asked of `mmap` (`get_user_pages`), not by what the processor allows; only " +
				"/proc/PID/mem may override that",
			On:        []Export{Memfd, Udmabuf, Fuse, FuseCached},
			Sometimes: true,
			Rows:      from(Version{6, 12}, differ("EFAULT, no fd", "alloc-in-on-write-only", "alloc-both-on-write-only")),
		},
	}
}
