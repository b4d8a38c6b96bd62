// Package wire is what the guest and the host of a virtual machine say to each other: the job that the host puts into the initramfs,
// and the frames that come back over a serial port.
//
// It owns the encoding, and nothing of what runs at either end.
package wire
