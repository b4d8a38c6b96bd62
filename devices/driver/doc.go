// Package driver owns what the kernel's drivers know of devices and a device
// tree doesn't tell: what a device is for, how its driver imports a buffer,
// whether it has an MMU of its own, which addresses it reaches and how it wants
// images laid out. Each entry is keyed by compatible string and names the
// kernel's source file that it was read in.
//
// Nothing here reads a tree or a machine: devices/dtb and devices/probe do, and
// look up here what they find.
package driver
