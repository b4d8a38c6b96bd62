package launch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/devices/board"
	"github.com/heapfs/heapfs/heapnodes"
)

// bind is a real device node that stands for a device of the board.
type bind struct {
	Node   string // its path, as it was given
	Rdev   uint64 // the device number
	Device string // the board's device
}

// parseBinds reads NODE=DEVICE. The node may have a = in its name, the device may not.
func parseBinds(specs []string, importers []board.Importer) ([]bind, error) {
	var all []bind
	for _, spec := range specs {
		at := strings.LastIndex(spec, "=")
		if at <= 0 || at == len(spec)-1 {
			return nil, fmt.Errorf("bind %q: expected NODE=DEVICE, as in /dev/video0=38300000.video-codec", spec)
		}
		b := bind{Node: spec[:at], Device: spec[at+1:]}
		if err := b.check(importers); err != nil {
			return nil, fmt.Errorf("bind %q: %w", spec, err)
		}
		for _, other := range all {
			if other.Rdev == b.Rdev {
				return nil, fmt.Errorf("bind %q: %s is bound to %s already; bind a node once", spec, other.Node, other.Device)
			}
		}
		all = append(all, b)
	}
	return all, nil
}

// check finds the node's device number, and the device on the board.
func (b *bind) check(importers []board.Importer) error {
	names := make([]string, len(importers))
	found := false
	for i := range importers {
		names[i] = importers[i].Name
		found = found || names[i] == b.Device
	}
	switch {
	case len(names) == 0:
		return fmt.Errorf("no device %q: the board has none; choose one that has with --board", b.Device)
	case !found:
		return fmt.Errorf("no device %q on the board; it has %q", b.Device, names)
	}
	var st unix.Stat_t
	if err := unix.Stat(b.Node, &st); err != nil {
		err := &os.PathError{Op: "stat", Path: b.Node, Err: err}
		if errors.Is(err, fs.ErrNotExist) {
			return hint(err, "load the driver that makes the node (modprobe vivid makes a camera)")
		}
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFCHR {
		return fmt.Errorf("%s is no character device; give a driver's node, such as /dev/video0 or /dev/dri/card0", b.Node)
	}
	b.Rdev = st.Rdev
	return nil
}

// bound finds what a real node of this device number stands for, or nil.
func (in *instance) bound(rdev uint64) *heapnodes.Binding {
	for _, b := range in.plan.Binds {
		if b.Rdev == rdev {
			return in.heaps.Bind(b.Node, b.Device)
		}
	}
	return nil
}
