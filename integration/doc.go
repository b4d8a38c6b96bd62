// Package integration holds the tests of the built heapfs, as its users meet
// it: a binary, its arguments, its exit status, and unmodified programs that
// run under it.
//
// The programs are in integration/clients; they know a directory of heap
// nodes and nothing of heapfs, and each runs without heapfs first, where it
// must fail. selftest.sh makes the kernel's own test of heaps from Debian's
// kernel sources. rootfs has the recipe of a root file system with media
// programs, and record.sh, which tells what they do on a kernel's own heap.
//
// Most tests run in two legs, as root and as an ordinary user. Root's test
// run makes that user itself: uid 1001 in a private mount namespace in which
// everybody may open /dev/fuse, as on a desktop. HEAPFS_BIN names the binary;
// without it TestMain builds one. The run fails when it leaves a mount, a
// process, a descriptor or a socket behind.
package integration
