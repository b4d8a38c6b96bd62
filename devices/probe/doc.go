// Package probe makes a board of the machine that it runs on: of the device tree that the kernel shows where there is one, of the PCI
// devices and their IOMMUs, of the physical memory and of the heaps in /sys/class/dma_heap.
//
// It only reads, and needs no privilege; what it can't see it says. All paths are below a root that a test may choose. What a device
// tree means is devices/dtb's, what drivers know devices/driver's.
package probe
