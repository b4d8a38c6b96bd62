package sysfs

import (
	"slices"
	"strings"

	"github.com/heapfs/heapfs/devices"
	"github.com/heapfs/heapfs/devices/board"
)

// View is what is to be seen.
type View struct {
	// Nodes are the heaps in the order of their minor numbers. Nodes of sets are none of them.
	Nodes []board.Node
	// Devices are the board's.
	Devices []Device
	// Major is the number of the driver of heaps.
	Major int
}

// Device is a device with what /sys tells of it.
type Device struct {
	devices.Device
	// Path is the device's directory, below /sys: "devices/platform/soc@0/38300000.video-codec".
	Path string `json:"path"`
	// Present says that the machine has the device itself, in that directory: what it shows of it stays as it is.
	Present bool `json:"present,omitempty"`
	// Compatible is as in the device tree.
	Compatible []string `json:"compatible,omitempty"`
	// Serving are the names of all heaps that serve the device, further names of heaps included.
	Serving []string `json:"serving,omitempty"`
}

// Devices gives the devices of a valid board as a view shows them. nodes and platform are the board's.
func Devices(b *board.Board, nodes []board.Node, platform *devices.Platform) []Device {
	all := make([]Device, len(b.Devices))
	for i := range b.Devices {
		d := &all[i]
		d.Device = platform.Devices[i]
		d.Path = strings.TrimPrefix(b.Devices[i].SysfsPath(), "/sys/")
		d.Compatible = b.Devices[i].Compatible
		for _, v := range devices.Negotiate(platform.Heaps, []devices.Device{d.Device}, devices.Ask{}).Heaps {
			if v.Serves {
				d.Serving = append(d.Serving, namesOf(nodes, v.Name)...)
			}
		}
	}
	return all
}

// namesOf gives the nodes that are a heap: itself and its further names, but no device's view of it.
func namesOf(nodes []board.Node, heap string) (names []string) {
	for _, n := range nodes {
		if n.Name == heap || n.Heap == heap && n.Device == "" {
			names = append(names, n.Name)
		}
	}
	return names
}

// Entries lists the view, each directory before what is in it.
func (v *View) Entries() []Entry {
	var l list
	for _, dir := range []string{deviceHeaps, classHeaps} {
		l.dir(dir)
		l[len(l)-1].Hides = true
	}
	for minor := range v.Nodes {
		l.heap(v.Nodes[minor].Name, v.Major, minor)
	}
	byPath := slices.Clone(v.Devices)
	slices.SortStableFunc(byPath, func(a, b Device) int { return strings.Compare(a.Path, b.Path) })
	for i := range byPath {
		l.device(&byPath[i])
	}
	return l
}

// heap is what the driver core says of a heap.
func (l *list) heap(name string, major, minor int) {
	device := deviceHeaps + "/" + name
	l.dir(device)
	l.file(device+"/dev", 0o444, "%d:%d\n", major, minor)
	l.link(device+"/subsystem", classHeaps)
	l.file(device+"/uevent", 0o644, "MAJOR=%d\nMINOR=%d\nDEVNAME=dma_heap/%s\n", major, minor, name)
	l.power(device)
	l.link(classHeaps+"/"+name, device)
}
