// Package attach is what an importer makes of a buffer: for a buffer and a device it gives the segments that the device sees, or the
// errno with which a driver of the device's class refuses it, and why.
//
// It owns the I/O virtual addresses: those of a buffer in an IOMMU's domain are allocated when the first device of the domain maps it and
// freed with the last one. Physical placement is backing's, constraints are devices', and who may attach what for how long is
// heapnodes'. It does no I/O.
package attach
