// Package heapnodes owns heaps, the nodes through which they are reached, and the whole of an ALLOC: the order of its checks, its
// rollback and its event. Every front door ends in the same Node.Ioctl or Buffer.Ioctl.
//
// It declares what it needs of others as interfaces and imports none of their makers: a Caller (one ioctl call in flight, made by
// deliver or fs) and an Exporter (files for buffers and their end of life, made by backing or fs). Physical placement is
// backing's, the argument's layout is uapi's, and what users see is read from the events of the sub-package.
package heapnodes
