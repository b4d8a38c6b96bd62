// Package dtb makes a board of a device tree: of a blob as kernel packages and
// boot loaders carry it, or of the tree that a running machine shows. It owns
// what the kernel derives from a tree before any driver runs: translated
// addresses and device names, the ranges that a bus reaches, reserved memory
// and its pools.
//
// Blobs are parsed by github.com/u-root/u-root/pkg/dt; what could make that
// stumble is refused before. What drivers know is in devices/driver, boards and
// their checks are in devices/board, and the running machine is devices/probe's.
package dtb
