// Package seccomp is the front door of `heapfs run`: a filter that traps the few ioctl commands of heaps, buffers and sync files,
// and the listener that answers them by seccomp user notification.
//
// It finds out what the caller's descriptor is and hands the call to heapnodes; all that a command means is decided there. What is
// not ours continues in the kernel. The other door, FUSE's own ioctl, is fs'.
package seccomp
