// Package devices owns the vocabulary of what a device asks of a buffer: the
// constraint types, and nothing that performs I/O.
//
// The terms are those the kernel community settled on over the years
// (dma_buf_constraints in 2015, the allocation constraints of XDC 2020 and
// 2024): placement constraints decide which heaps serve a device, size-
// dependent limits are judged when a length is known, layout constraints are
// merged and reported only.
//
// Boards that use these types, with their YAML form, live in devices/board.
// Pools and extents live in backing, IOVA allocation belongs to whoever
// attaches a buffer to a device. This package is stable for importers.
package devices
