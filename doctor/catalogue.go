package doctor

import "context"

// spec is what is known about a thing before it is tried.
type spec struct {
	name   string
	since  string
	use    string
	needed func(host) bool
	// hint says how to get it; nil where hints.go has nothing better than
	// the kernel version.
	hint func(host, finding) string
}

func always(host) bool { return true }
func never(host) bool  { return false }

// withoutAdmin: only who may not mount needs a user namespace for it.
func withoutAdmin(h host) bool { return !h.admin }

// catalogue is in the order of the report: the first needed thing that is
// missing is the verdict, so causes stand before their consequences.
var catalogue = []spec{
	{"fuse-device", "2.6.14", "the heap nodes", always, hintFuseDevice},
	{"user-namespace", "3.8", "a private /dev as an ordinary user", withoutAdmin, hintUserNamespace},
	{"private-mounts", "2.4.19", "a private /dev", always, hintMount},
	{"fuse-mount", "4.18", "the heap nodes", always, hintFuseMount},
	{"fuse-protocol", "6.1", "the oldest supported kernel's FUSE", always, hintKernel},
	{"seccomp-listener", "5.0", "answering ALLOC", always, hintListener},
	{"seccomp-wait-killable", "5.19", "ALLOC under timer signals", always, hintKernel},
	{"seccomp-addfd", "5.9", "putting the buffer into the caller", always, hintKernel},
	{"caller-memory", "3.2", "reading and writing the ioctl's argument", always, hintTrace},
	{"subreaper", "3.4", "serving daemonised children", always, hintKernel},
	{"memfd-seals", "3.17", "the buffers", always, hintKernel},
	{"lease", "3.17", "knowing exactly when a buffer is gone", always, hintKernel},

	{"seccomp-sync-wakeup", "6.6", "a faster ALLOC", never, hintKernel},
	{"inotify", "2.6.13", "seeing the end of a buffer without delay", never, hintInotify},
	{"pidfd-getfd", "5.6", "heapfs mount: handing a buffer over; run: a faster ALLOC", never, hintTrace},
	{"ptrace-child", "3.4", "ioctls of other magics under run", never, hintTrace},
	{"ptrace-other", "3.4", "heapfs mount: programs that heapfs did not start", never, hintTrace},
	{"ptrace-suspend-seccomp", "4.3", "callers with a filter of their own under mount; ioctls of other magics under run", never, hintSuspend},
	{"fuse-passthrough", "6.9", "heapfs mount: --export fuse at memory speed", never, hintPassthrough},
	{"hugetlb", "3.8", "boards that ask for pages: 2M", never, hintHugetlb},
	{"shmem-thp", "4.8", "a fast first touch of sealed buffers", never, hintShmemTHP},
	{"tmpfs-huge", "4.8", "a fast first touch of unsealed buffers", never, hintTmpfsHuge},
	{"udmabuf", "4.20", "--export udmabuf: buffers that drivers can import", never, hintUdmabuf},
	{"sync-files", "4.12", "sync files of the kernel's own making, which drivers wait for", never, hintSyncFiles},
	{"runc", "", "heapfs mount: containers", never, hintRuntime},
	{"crun", "", "heapfs mount: containers", never, hintRuntime},
}

// result joins what was seen with what is known.
func (s spec) result(h host, f finding) Result {
	r := Result{
		Name: s.name, OK: f.OK, Unknown: f.Unknown, Detail: f.Detail,
		Needed: s.needed(h), For: s.use, Since: s.since,
	}
	switch {
	case f.OK:
	case f.After != "":
		r.Hint = "see " + f.After
	case f.Unknown:
		r.Hint = "try again with less load, more descriptors, processes and memory (ulimit -a), and /proc mounted"
	default:
		r.Hint = s.hint(h, f)
	}
	return r
}

// groups are the probes, by what is made together.
var groups = []func(context.Context, host) []finding{
	probeFuseDevice,
	probeUserNamespace,
	probeMounts,
	probeSeccomp,
	probeProcesses,
	probeMemory,
	probeSyncFiles,
	probeRuntimes,
}
