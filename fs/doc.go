// Package fs is the FUSE side: the directory of heap nodes that a caller sees, with the kernel's file rules on each node, and the
// front door for ioctls that come by FUSE.
//
// It translates and decides nothing: a call on a node ends in heapnodes, like one that came by notification (deliver). Mounting
// is launch's.
package fs
