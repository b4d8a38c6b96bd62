package judge

import "slices"

// syncFileList: an epoll set stands in for a sync file.
func syncFileList() []Deviation {
	return []Deviation{
		{
			ID:     "S1",
			Kernel: "link text `anon_inode:sync_file`",
			Here:   "`anon_inode:[eventpoll]`, and `tfd:` lines in fdinfo",
			Why:    "only a driver makes sync files",
			On:     []Export{Memfd},
			Unless: UdmabufOpens,
			Rows: slices.Concat(
				differ("anon_inode:[eventpoll]",
					"syncfile-link"),
				differ("tfd",
					"syncfile-fdinfo-keys"),
			),
		},
		{
			ID:     "S2",
			Kernel: "an unknown ioctl is ENOTTY",
			Here:   "EINVAL from Linux 6.9 on, where EPIOCGPARAMS even succeeds; ENOTTY before",
			Why:    "epoll sets have ioctls of their own since 6.9, and the filter traps the commands it knows",
			On:     []Export{Memfd},
			Unless: UdmabufOpens,
			Rows: slices.Concat(
				differ("EINVAL",
					"syncfile-ioctl-99", "syncfile-ioctl-fionread", "syncfile-ioctl-tcgets"),
				differ("0",
					"syncfile-ioctl-eventpoll"),
				differ("EINVAL, EINVAL, EINVAL",
					"fileinfo-number-2"),
			),
		},
		{
			ID:     "S3",
			Kernel: "`epoll_wait` and `epoll_ctl` with it as the set are EINVAL; `poll` says POLLIN",
			Here:   "the calls work; `poll` says POLLIN and POLLRDNORM",
			Why:    "it is an epoll set",
			On:     []Export{Memfd},
			Unless: UdmabufOpens,
			Rows: slices.Concat(
				differ("rdnorm",
					"syncfile-poll-rdnorm"),
				differ("in|rdnorm",
					"syncfile-poll-all"),
				differ("in",
					"syncfile-epoll-wait"),
				differ("0",
					"syncfile-epoll-ctl"),
			),
		},
		{
			ID:     "S4",
			Kernel: "F_GETFL is read-only, `write` is EBADF",
			Here:   "read-write, `write` is EINVAL",
			Why:    "`epoll_create1` has no access mode",
			On:     []Export{Memfd},
			Unless: UdmabufOpens,
			Rows: slices.Concat(
				differ("rdwr",
					"syncfile-getfl"),
				differ("EINVAL",
					"syncfile-write"),
			),
		},
		{
			ID:     "S5",
			Kernel: "`lseek` is ESPIPE",
			Here:   "0",
			Why:    "the `llseek` of an epoll set does nothing",
			On:     []Export{Memfd},
			Unless: UdmabufOpens,
			Rows: slices.Concat(
				differ("0",
					"syncfile-lseek-cur", "syncfile-lseek-end", "syncfile-lseek-set-8"),
			),
		},
		{
			ID:     "S6",
			Kernel: "EXPORT_SYNC_FILE and MERGE without a free descriptor are EMFILE, whatever else is wrong with the argument",
			Here:   "what is wrong with the argument wins",
			Why: "a number in another process can't be reserved, only taken (SECCOMP_IOCTL_NOTIF_ADDFD), and what was put there can't be taken " +
				"back: so the argument is tried first",
			On:   []Export{Memfd},
			Test: "TestFuzz",
		},
	}
}
