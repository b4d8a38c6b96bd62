// Package doctor says what of heapfs works on this machine, for this user, by
// trying it.
//
// Every probe does the thing itself: it mounts, installs a listener, attaches,
// seals. No probe reads a version to decide; the kernel version in a result is
// only the answer to "since when". Whatever could hang, or would leave a mark on
// the process that asks, is done by a child (child.go) under a time limit; a
// child's mounts, filters and descriptors end with it. A result is conclusive,
// or it says that the probe could not be made (Result.Unknown): a lack of
// descriptors or memory says nothing about the kernel.
//
// What heapfs needs is in catalogue.go, the probes are in probe_*.go, what a
// user can do about a failure is in hints.go. The product's own system calls
// live in internal/sys, the command line in cmd/heapfs.
package doctor
