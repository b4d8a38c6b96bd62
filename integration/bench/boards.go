package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/u-root/u-root/pkg/dt"

	"github.com/heapfs/heapfs/devices"
	"github.com/heapfs/heapfs/devices/dtb"
)

const (
	negotiateSamples = 50
	importSamples    = 5

	negotiateTarget = 1.0  // ms, at most
	importTarget    = 20.0 // ms, at most

	milli = 1e6 // nanoseconds
)

// boards measures what heapfs works out about a board, in this process. The bounds are absolute: nothing else does the same.
func boards(_ *site, rounds int) ([]figure, error) {
	heaps, set := negotiation()
	blob, err := largeBlob()
	if err != nil {
		return nil, err
	}
	r := records{}
	for range rounds {
		r.add("negotiate", timed(negotiateSamples, func() { devices.Negotiate(heaps, set, devices.Ask{Size: 8 << 20}) }))
		r.add("import", timed(importSamples, func() {
			tree, perr := dtb.Parse(blob)
			if perr == nil {
				_, perr = tree.Import(dtb.Options{Name: "bench"})
			}
			err = errors.Join(err, perr)
		}))
	}
	if err != nil {
		return nil, err
	}
	return []figure{
		{
			Name: "negotiation, 64 devices × 32 heaps", Unit: "ms", Value: r.of("negotiate", milli), FloorIs: "none, the bound is absolute",
			Target: atMost(more, negotiateTarget),
		},
		{
			Name: fmt.Sprintf("import of a blob of %d KiB", len(blob)>>10), Unit: "ms", Value: r.of("import", milli),
			FloorIs: "none, the bound is absolute", Target: atMost(more, importTarget),
		},
	}, nil
}

// timed gives median, mean and best of samples calls, in nanoseconds.
func timed(samples int, call func()) series {
	all := make([]float64, samples)
	sum := 0.0
	for i := range all {
		start := time.Now()
		call()
		all[i] = float64(time.Since(start))
		sum += all[i]
	}
	return series{median(slices.Clone(all)), sum / float64(samples), slices.Min(all)}
}

// negotiation is the worst case: each device excludes each heap for several reasons.
func negotiation() ([]devices.Heap, []devices.Device) {
	heaps, set := make([]devices.Heap, 32), make([]devices.Device, 64)
	for i := range heaps {
		heaps[i] = devices.Heap{
			Name: fmt.Sprintf("heap%d", i), Base: 4 << 30, Size: 1 << 30, Chunks: []devices.Bytes{1 << 20, 64 << 10, 4 << 10},
			Coherency: []devices.Coherency{devices.CoherencySnoops, devices.CoherencySync},
		}
	}
	for i := range set {
		set[i] = devices.Device{Name: fmt.Sprintf("device%d", i), Constraints: devices.Constraints{
			Contiguous: true, AddressRanges: []devices.AddressRange{{Base: 0, Size: 4 << 30}}, IOMMUGranule: 64 << 10,
			Coherency: []devices.Coherency{devices.CoherencyUncached},
		}}
	}
	return heaps, set
}

// largeBlob is as large as the largest of Debian's: 520 nodes with 8 properties of 16 bytes, and 16 media devices among them.
func largeBlob() ([]byte, error) {
	cells := func(name string, values ...uint32) dt.Property {
		var v []byte
		for _, c := range values {
			v = binary.BigEndian.AppendUint32(v, c)
		}
		return dt.Property{Name: name, Value: v}
	}
	root := &dt.Node{Properties: []dt.Property{cells("#address-cells", 1), cells("#size-cells", 1)}}
	root.Children = append(root.Children, &dt.Node{Name: "memory@40000000", Properties: []dt.Property{
		{Name: "device_type", Value: []byte("memory\x00")}, cells("reg", 0x40000000, 0x80000000),
	}})
	for i := range 520 {
		at := uint32(i) << 12
		n := &dt.Node{Name: fmt.Sprintf("device@%x", at), Properties: []dt.Property{cells("reg", at, 0x1000), cells("phandle", uint32(i+1))}}
		if i%33 == 0 {
			n.Properties = append(n.Properties, dt.Property{Name: "compatible", Value: []byte("rockchip,rk3399-vpu\x00")}, cells("iommus", 2))
		}
		for j := range 8 {
			n.Properties = append(n.Properties, cells(fmt.Sprintf("property-%d", j), at, at, at, at))
		}
		root.Children = append(root.Children, n)
	}
	var out bytes.Buffer
	f := dt.FDT{Header: dt.Header{Magic: dt.Magic, Version: 17, LastCompVersion: 16}, RootNode: root}
	if _, err := f.Write(&out); err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	return out.Bytes(), nil
}
