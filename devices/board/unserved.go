package board

import "github.com/heapfs/heapfs/devices"

// Unserved is a device for which no heap of its board will do.
type Unserved struct {
	// Device is its name.
	Device string
	// Reason is what stands against each heap, on one line.
	Reason string
}

// Unserved lists the devices of a valid board that no heap serves, in the order of declaration. A board may have such devices: a program
// that asks for a buffer for one of them has to be told so. The error is an ErrorList.
func (b *Board) Unserved() ([]Unserved, error) {
	p, err := b.Platform()
	if err != nil {
		return nil, err
	}
	var list []Unserved
	for i := range p.Devices {
		r := devices.Negotiate(p.Heaps, p.Devices[i:i+1], devices.Ask{})
		if r.Choice != nil {
			continue
		}
		reason := r.Why()
		if len(p.Heaps) == 0 {
			reason = "the board has no heaps"
		}
		list = append(list, Unserved{p.Devices[i].Name, reason})
	}
	return list, nil
}
