// Package devices owns the vocabulary of what a device asks of a buffer, and
// the negotiation of a heap that serves several devices: the constraint types,
// Negotiate, the limits that an ALLOC is judged by, the layout of images, and
// nothing that performs I/O.
//
// The terms are those the kernel community settled on over the years
// (dma_buf_constraints in 2015, the allocation constraints of XDC 2020 and
// 2024): placement constraints decide which heaps serve a device, size-
// dependent limits are judged when a length is known, layout constraints are
// merged and reported only.
//
// docs/negotiation.md explains the rules.
//
// Boards that use these types, with their YAML form, live in devices/board.
// Pools and extents live in backing, IOVA allocation belongs to whoever
// attaches a buffer to a device. This package is stable for importers.
package devices
