// Package fs is the FUSE side: the directory of heap nodes that a caller sees (Tree), with the kernel's file rules on each node, and the
// front door for ioctls that come by FUSE; and a second file system that nobody sees, whose files are buffers and sync files (Buffers).
//
// It translates and decides nothing: a call on a node or a buffer ends in heapnodes, like one that came by notification (deliver), and
// what FUSE can't give to the caller comes through a Door. Mounting the directory is launch's.
package fs
