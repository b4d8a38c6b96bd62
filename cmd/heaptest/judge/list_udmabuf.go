package judge

import "slices"

// udmabufList: what a dma-buf of udmabuf does otherwise than one of a heap.
func udmabufList() []Deviation {
	return []Deviation{
		{
			ID:     "U1",
			Kernel: "the access mode of a buffer is the one in `fd_flags`; what it does not allow is EACCES, and EBADF",
			Here:   "always read-write",
			Why:    "UDMABUF_CREATE opens its file O_RDWR, and a dma-buf can't be opened again with another mode (ENXIO)",
			On:     []Export{Udmabuf},
			Rows: slices.Concat(
				differ("0: fd lowest, 4096 bytes, rdwr, told",
					"alloc-mode-rdonly", "alloc-mode-wronly", "alloc-mode-accmode"),
				differ("0: fd lowest, 4096 bytes, rdwr|cloexec, told",
					"alloc-mode-rdonly-cloexec", "alloc-mode-wronly-cloexec", "alloc-mode-accmode-cloexec"),
				differ("none 0, r 0, w 0, rw 0",
					"mmap-mode-rdonly", "mmap-mode-wronly", "mmap-mode-accmode"),
				differ("0: fd lowest, 4096 bytes, rdwr",
					"alloc-size-1-in", "alloc-size-1-both", "node-sync-1", "node-sync-2", "node-sync-3", "node-sync-4", "node-sync-5",
					"node-sync-6", "node-sync-7"),
				differ("0: fd lowest, 8192 bytes, rdwr",
					"alloc-size-4-in", "alloc-size-4-both", "alloc-size-8-in", "alloc-size-8-both", "alloc-size-9-in",
					"alloc-size-12-in"),
				differ("0: fd lowest, 8192 bytes, rdwr, told",
					"alloc-size-9-both", "alloc-size-12-both"),
				differ("0",
					"mprotect-up-rdonly"),
				differ("EINVAL",
					"buf-write-0-rdonly", "buf-read-0-wronly", "buf-write-1-rdonly", "buf-read-1-wronly", "buf-write-24576-rdonly",
					"buf-read-24576-wronly"),
			),
		},
		{
			ID:     "U2",
			Kernel: "`exp_name` in fdinfo is the heap's: `system`",
			Here:   "`udmabuf`",
			Why:    "the exporter names itself (`drivers/dma-buf/udmabuf.c`)",
			On:     []Export{Udmabuf},
			Rows: slices.Concat(
				differ("udmabuf",
					"buf-fdinfo-exp-name"),
			),
		},
		{
			ID:     "U3",
			Kernel: "a private mapping of one page of the system heap works (of more, and of CMA heaps, it is EINVAL)",
			Here:   "always EINVAL",
			Why:    "`mmap_udmabuf` wants VM_SHARED",
			On:     []Export{Udmabuf},
			Rows: slices.Concat(
				differ("EINVAL",
					"mmap-private-page", "mmap-private-read-only", "mmap-private-cow"),
			),
		},
		{
			ID:     "U4",
			Kernel: "a mapping has the flag `io` in smaps, and MADV_DOFORK is EINVAL",
			Here:   "it has not, so that MADV_DOFORK is 0 before Linux 7.x; the rest that follows from the flag follows from others, too",
			Why:    "`mmap_udmabuf` sets VM_PFNMAP without VM_IO",
			On:     []Export{Udmabuf},
			Rows: slices.Concat(
				differ("sh pf de dd",
					"pages-smaps"),
				// MADV_DOFORK looks at VM_IO; later at all that drivers set.
				before(Version{7, 3}, differ("0, kept true",
					"madvise-dofork")),
			),
		},
		{
			ID:     "U5",
			Kernel: "the argument of an ALLOC may lie in a mapped buffer",
			Here:   "EFAULT",
			Why: "the listener reads the caller's memory from outside, and the kernel takes no page of a VM_PFNMAP mapping " +
				"for that (`process_vm_readv`, `/proc/PID/mem`)",
			On: []Export{Udmabuf},
			Rows: slices.Concat(
				differ("EFAULT",
					"alloc-in-buffer"),
			),
		},
	}
}
