// Package trees holds the import of device trees against an independent judge: every blob of Debian's arm64 kernel, read once by
// devices/dtb and once by dtc, the device tree compiler.
//
// It is part of `make test-vm`, which fetches kernels, though it needs no virtual machine. There is nothing in it but tests.
package trees
