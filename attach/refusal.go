package attach

import (
	"fmt"
	"syscall"
)

// Aperture is the constraint of an IOMMU that has no room for the buffer.
const Aperture = "aperture"

// Refusal is why a device does not take a buffer.
type Refusal struct {
	// Errno is what a caller of a driver of the device's class gets.
	Errno syscall.Errno
	// Device is the device's name.
	Device string
	// Constraint is named as in a board file: contiguous, addressRanges, maxSize, … or Aperture, of the IOMMU.
	Constraint string
	// Reason is a short text for people.
	Reason string
}

// Error is one line with the device, the constraint and the reason.
func (r *Refusal) Error() string {
	return fmt.Sprintf("device %q %s: %s", r.Device, r.Constraint, r.Reason)
}

// Unwrap gives the errno.
func (r *Refusal) Unwrap() error { return r.Errno }

func (d *Device) refuse(f failure, dma syscall.Errno, constraint, format string, args ...any) *Refusal {
	return &Refusal{
		Errno: errnoOf(d.Class, f, dma), Device: d.Name, Constraint: constraint, Reason: fmt.Sprintf(format, args...),
	}
}
