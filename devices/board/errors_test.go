package board

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// head is lines 1 and 2 of the boards below; ram is one line more.
const (
	head = "apiVersion: heapfs/v1\nname: b\n"
	ram  = "memory: [{name: ram, base: 0x40000000, size: 1GiB}]\n"
	cma  = ram + "pools: [{name: cma, kind: contiguous, size: 64MiB}]\n"
)

func TestWrongBoardsAreToldWhereAndWhy(t *testing.T) {
	for name, tc := range map[string]struct{ body, want string }{
		"empty": {"-", "b.yaml:1:1: empty: expected a board (apiVersion: heapfs/v1)"},
		"unknown key": {
			"heapz: []\n",
			`b.yaml:3:1: unknown key "heapz": known keys are apiVersion, name, description, memory, pools, heaps, iommus, devices, policy, export, uapi`,
		},
		"unknown key of a list entry": {
			ram + "pools:\n  - name: p\n    kind: scatter\n    sise: 4K\n",
			`b.yaml:7:5: pools[0]: unknown key "sise": known keys are name, kind, region, base, size, align, pages`,
		},
		"duplicate key": {
			"name: c\n",
			`b.yaml:3:1: name: given twice, first in line 2`,
		},
		"duplicate usage": {
			cma + "heaps: [{name: h, pool: cma}]\npolicy:\n  camera: h\n  camera: h\n",
			`b.yaml:8:3: policy["camera"]: given twice, first in line 7`,
		},
		"syntax": {
			"pools: [\n",
			`b.yaml:3:8: sequence end token ']' not found`,
		},
		"tab": {
			"heaps:\n\t- name: h\n",
			`b.yaml:4:1: found character '\t' that cannot start any token`,
		},
		"second document": {
			"---\nname: c\n",
			`b.yaml:4:1: second document: a file holds one board`,
		},
		"list where a mapping belongs": {
			"policy: []\n",
			`b.yaml:3:9: policy: expected a mapping, got a list`,
		},
		"mapping where a list belongs": {
			"pools:\n  name: p\n",
			`b.yaml:4:3: pools: expected a list, got a mapping`,
		},
		"number where a string belongs": {
			"description: 12\n",
			`b.yaml:3:14: description: expected a string, got the int "12": put it in quotes`,
		},
		"string where a boolean belongs": {
			cma + "heaps:\n  - name: h\n    pool: cma\n    default: \"yes\"\n",
			`b.yaml:8:14: heaps[0].default: expected true or false, got the string "yes"`,
		},
		"alias": {
			"memory: &m []\npools: *m\n",
			"b.yaml:3:9: memory: expected a list, got an anchor: write the value out\n" +
				"b.yaml:4:8: pools: expected a list, got an alias: write the value out",
		},
		"merge key": {
			"policy:\n  <<: {a: b}\n",
			`b.yaml:4:3: expected a plain key, got the merge key "<<"`,
		},
		"missing keys": {
			ram + "pools:\n  - size: 4K\n",
			"b.yaml:5:5: pools[0]: missing key \"name\"\nb.yaml:5:5: pools[0]: missing key \"kind\"",
		},
		"kind": {
			ram + "pools:\n  - name: a\n    kind: scatter\n  - name: b\n    kind: foo\n",
			`b.yaml:8:11: pools[1].kind: "foo" is not one of contiguous, scatter, coherent, protected`,
		},
		"size with a unit of disputed meaning": {
			"memory:\n  - name: ram\n    base: 0x40000000\n    size: 1GB\n",
			`b.yaml:6:11: memory[0].size: "1GB" is no size: expected bytes as a number, as 0x hex, or with KiB, MiB, GiB or TiB`,
		},
		"negative size": {
			"memory: [{name: ram, base: 0, size: -4096}]\n",
			`b.yaml:3:37: memory[0].size: "-4096" is no size: expected bytes as a number, as 0x hex, or with KiB, MiB, GiB or TiB`,
		},
		"octal size": {
			"memory: [{name: ram, base: 0, size: 010000}]\n",
			`b.yaml:3:37: memory[0].size: "010000" is no size: expected bytes as a number, as 0x hex, or with KiB, MiB, GiB or TiB`,
		},
		"size beyond 64 bits": {
			"memory: [{name: ram, base: 0, size: 99999999TiB}]\n",
			`b.yaml:3:37: memory[0].size: "99999999TiB" does not fit 64 bits: expected bytes as a number, as 0x hex, or with KiB, MiB, GiB or TiB`,
		},
		"export": {
			"export: dmabuf\n",
			`b.yaml:3:9: export: "dmabuf" is not one of auto, memfd, fuse, udmabuf`,
		},
		"memory of size 0": {
			"memory: [{name: ram, base: 0x1000, size: 0}]\n",
			`b.yaml:3:42: memory[0].size: is 0: expected at least 4KiB`,
		},
		"memory that is no multiple of pages": {
			"memory: [{name: ram, base: 0x1001, size: 4097}]\n",
			"b.yaml:3:28: memory[0].base: 0x1001 is not a multiple of 4KiB\n" +
				"b.yaml:3:42: memory[0].size: 4097 is not a multiple of 4KiB",
		},
		"memory beyond 52 bits": {
			"memory: [{name: ram, base: 0xfffffffffffff000, size: 4KiB}]\n",
			`b.yaml:3:54: memory[0].size: 4KiB from 0xfffffffffffff000 goes beyond the 52-bit physical address space`,
		},
		"overlapping memory": {
			"memory:\n  - {name: a, base: 0, size: 2MiB}\n  - {name: b, base: 1MiB, size: 2MiB}\n",
			`b.yaml:5:21: memory[1].base: 0x100000-0x2fffff overlaps "a" (0x0-0x1fffff)`,
		},
		"reserved outside its memory": {
			"memory:\n  - name: a\n    base: 0\n    size: 2MiB\n    reserved: [{name: r, base: 1MiB, size: 2MiB}]\n",
			`b.yaml:7:32: memory[0].reserved[0].base: 0x100000 + 2MiB is not inside memory "a" (0x0 + 2MiB)`,
		},
		"reserved with a memory's name": {
			"memory:\n  - name: a\n    base: 0\n    size: 2MiB\n    reserved: [{name: a, base: 1MiB, size: 1MiB}]\n",
			`b.yaml:7:23: memory[0].reserved[0].name: "a" is taken by memory[0].name: names are unique over memory and reserved regions`,
		},
		"overlapping pools": {
			ram + "pools:\n  - {name: a, kind: scatter, base: 0x40000000, size: 2MiB}\n  - {name: b, kind: scatter, base: 0x40100000, size: 2MiB}\n",
			`b.yaml:6:36: pools[1].base: 0x40100000-0x402fffff overlaps "a" (0x40000000-0x401fffff)`,
		},
		"pool over a reserved region": {
			"memory:\n  - name: a\n    base: 0\n    size: 2MiB\n    reserved: [{name: r, base: 1MiB, size: 1MiB}]\n" +
				"pools: [{name: p, kind: scatter, base: 1MiB, size: 4K, region: a}]\n",
			`b.yaml:8:40: pools[0].base: 0x100000-0x100fff overlaps "r" (0x100000-0x1fffff)`,
		},
		"pool larger than its memory": {
			ram + "pools: [{name: p, kind: scatter, size: 2GiB}]\n",
			`b.yaml:4:40: pools[0].size: 2GiB is more than the 1GiB of "ram"`,
		},
		"pool outside its memory": {
			ram + "pools: [{name: p, kind: scatter, base: 0x7ffff000, size: 8KiB}]\n",
			`b.yaml:4:40: pools[0].base: 0x7ffff000 + 8KiB is not inside "ram" (0x40000000-0x7fffffff)`,
		},
		"pools that fit alone but not together": {
			ram + "pools:\n  - {name: a, kind: scatter, size: 600MiB}\n  - {name: b, kind: scatter, size: 600MiB}\n",
			`b.yaml:6:36: pools[1].size: 600MiB do not fit what is free of "ram"`,
		},
		"nothing left for a pool": {
			ram + "pools:\n  - {name: a, kind: scatter, size: 1GiB}\n  - {name: b, kind: scatter}\n",
			`b.yaml:6:5: pools[1]: nothing is free of "ram": give a size to the pools before`,
		},
		"contiguous pool without size": {
			ram + "pools:\n  - {name: a, kind: contiguous}\n",
			`b.yaml:5:5: pools[0]: missing key "size": only a scatter pool or a pool of a reserved region takes what is left`,
		},
		"pool with a base without size": {
			ram + "pools:\n  - {name: a, kind: scatter, base: 0x40000000}\n",
			`b.yaml:5:5: pools[0]: missing key "size": a pool with a base needs one`,
		},
		"unknown region": {
			ram + "pools: [{name: p, kind: scatter, region: rom, size: 1GiB}]\n",
			`b.yaml:4:42: pools[0].region: no memory or reserved region is named "rom"`,
		},
		"no region to default to": {
			"pools:\n  - {name: p, kind: scatter, size: 1GiB}\n",
			`b.yaml:4:5: pools[0]: missing key "region": the board has not exactly one memory`,
		},
		"alignment that is no power of two": {
			ram + "pools: [{name: p, kind: contiguous, size: 1MiB, align: 12KiB}]\n",
			`b.yaml:4:56: pools[0].align: 12288 is no power of two`,
		},
		"alignment below a page": {
			ram + "pools: [{name: p, kind: contiguous, size: 1MiB, align: 64}]\n",
			`b.yaml:4:56: pools[0].align: 64 is less than 4KiB`,
		},
		"pool that is no multiple of pages": {
			ram + "pools: [{name: p, kind: contiguous, size: 5000}]\n",
			`b.yaml:4:43: pools[0].size: 5000 is not a multiple of 4KiB`,
		},
		"pool that is no multiple of its huge pages": {
			ram + "pools: [{name: p, kind: contiguous, size: 3MiB, pages: 2M}]\n",
			`b.yaml:4:43: pools[0].size: 3145728 is not a multiple of 2MiB`,
		},
		"pages": {
			ram + "pools: [{name: p, kind: contiguous, size: 3MiB, pages: 1G}]\n",
			`b.yaml:4:56: pools[0].pages: expected 4K or 2M, got the string "1G"`,
		},
		"pool name twice": {
			ram + "pools:\n  - {name: a, kind: scatter, size: 4K}\n  - {name: a, kind: scatter, size: 4K}\n",
			`b.yaml:6:12: pools[1].name: "a" is taken by pools[0].name: names are unique over pools`,
		},
		"heap without its pool": {
			ram + "heaps: [{name: h, pool: nix}]\n",
			`b.yaml:4:25: heaps[0].pool: no pool is named "nix"`,
		},
		"alias of its own heap": {
			cma + "heaps: [{name: h, pool: cma, aliases: [i, h]}]\n",
			`b.yaml:5:43: heaps[0].aliases[1]: "h" is taken by heaps[0].name: names are unique over heaps, aliases and devices`,
		},
		"alias of another heap's name": {
			cma + "heaps:\n  - {name: h, pool: cma, aliases: [i]}\n  - {name: i, pool: cma, aliases: [h]}\n",
			"b.yaml:6:36: heaps[0].aliases[0]: \"i\" is taken by heaps[1].name: names are unique over heaps, aliases and devices\n" +
				"b.yaml:7:36: heaps[1].aliases[0]: \"h\" is taken by heaps[0].name: names are unique over heaps, aliases and devices",
		},
		"device with a heap's name": {
			cma + "heaps: [{name: h, pool: cma}]\ndevices: [{name: h}]\n",
			`b.yaml:6:18: devices[0].name: "h" is taken by heaps[0].name: names are unique over heaps, aliases and devices`,
		},
		"empty name":    {cma + "heaps: [{name: \"\", pool: cma}]\n", `b.yaml:5:16: heaps[0].name: is empty: expected a name`},
		"dot":           {cma + "heaps: [{name: ., pool: cma}]\n", `b.yaml:5:16: heaps[0].name: "." is no file name`},
		"dot dot":       {cma + "heaps: [{name: .., pool: cma}]\n", `b.yaml:5:16: heaps[0].name: ".." is no file name`},
		"slash":         {cma + "heaps: [{name: a/b, pool: cma}]\n", `b.yaml:5:16: heaps[0].name: "a/b" has a / or !: the node would be in a directory of its own`},
		"control":       {cma + "heaps: [{name: \"a\\nb\", pool: cma}]\n", `b.yaml:5:16: heaps[0].name: "a\nb" has the unprintable character U+000A`},
		"too long name": {"devices: [{name: " + strings.Repeat("x", 256) + "}]\n", `b.yaml:3:18: devices[0].name: 256 bytes are too long: a file name has at most 255`},
		"mode beyond 0777": {
			cma + "heaps: [{name: h, pool: cma, mode: 01777}]\n",
			`b.yaml:5:36: heaps[0].mode: 1777 is beyond 0777`,
		},
		"mode that is not octal": {
			cma + "heaps: [{name: h, pool: cma, mode: 0800}]\n",
			`b.yaml:5:36: heaps[0].mode: expected permission bits as octal digits (0660), got the string "0800"`,
		},
		"owner": {
			cma + "heaps: [{name: h, pool: cma, owner: video}]\n",
			`b.yaml:5:37: heaps[0].owner: "video" is no owner: expected UID, UID:GID or root`,
		},
		"owner without gid": {
			cma + "heaps: [{name: h, pool: cma, owner: \"1000:\"}]\n",
			`b.yaml:5:37: heaps[0].owner: "1000:" is no owner: expected UID, UID:GID or root`,
		},
		"quota beyond its pool": {
			cma + "heaps: [{name: h, pool: cma, quota: 65MiB}]\n",
			`b.yaml:5:37: heaps[0].quota: 65MiB is more than the 64MiB of pool "cma"`,
		},
		"quota that is no multiple of pages": {
			cma + "heaps: [{name: h, pool: cma, quota: 1}]\n",
			`b.yaml:5:37: heaps[0].quota: 1 is not a multiple of 4KiB`,
		},
		"quota beyond what is left": {
			ram + "pools: [{name: s, kind: scatter}]\nheaps: [{name: h, pool: s, quota: 2GiB}]\n",
			`b.yaml:5:35: heaps[0].quota: 2GiB is more than the 1GiB of pool "s"`,
		},
		"default heap of a scatter pool": {
			ram + "pools: [{name: s, kind: scatter}]\nheaps: [{name: h, pool: s, default: true}]\n",
			`b.yaml:5:37: heaps[0].default: pool "s" is scatter: the default CMA heap needs a contiguous one`,
		},
		"two default heaps": {
			cma + "heaps:\n  - {name: a, pool: cma, default: true}\n  - {name: b, pool: cma, default: true}\n",
			`b.yaml:7:35: heaps[1].default: heaps[0] is the default CMA heap already`,
		},
		"granule": {
			"iommus: [{name: i, granule: 5KiB}]\n",
			`b.yaml:3:29: iommus[0].granule: 5120 is no power of two`,
		},
		"aperture": {
			"iommus: [{name: i, granule: 64KiB, aperture: {base: 4KiB, size: 4KiB}}]\n",
			"b.yaml:3:53: iommus[0].aperture.base: 0x1000 is not a multiple of the granule 64KiB\n" +
				"b.yaml:3:65: iommus[0].aperture.size: 4096 is not a multiple of 64KiB",
		},
		"unknown IOMMU": {
			"devices: [{name: d, iommu: i}]\n",
			`b.yaml:3:28: devices[0].iommu: no IOMMU is named "i"`,
		},
		"unknown memory region": {
			"devices: [{name: d, memoryRegion: i}]\n",
			`b.yaml:3:35: devices[0].memoryRegion: no pool is named "i"`,
		},
		"memory region that is not coherent": {
			cma + "devices: [{name: d, memoryRegion: cma}]\n",
			`b.yaml:5:35: devices[0].memoryRegion: pool "cma" is contiguous: a device's own region is coherent`,
		},
		"unknown heap of a device": {
			"devices: [{name: d, heap: i}]\n",
			`b.yaml:3:27: devices[0].heap: no heap or alias is named "i"`,
		},
		"sysfs elsewhere": {
			"devices: [{name: d, sysfs: /sys/devices/../d}]\n",
			`b.yaml:3:28: devices[0].sysfs: "/sys/devices/../d" is not a clean path under /sys/devices/`,
		},
		"sysfs of another device": {
			"devices: [{name: d, sysfs: /sys/devices/e}]\n",
			`b.yaml:3:28: devices[0].sysfs: "/sys/devices/e" does not end in the device's name "d"`,
		},
		"constraints": {
			"devices:\n  - name: d\n    constraints:\n      addressRanges:\n        - {base: 0, size: 0}\n        - {base: 4K, size: 4K, busOffset: 8K}\n" +
				"      alignment: 3\n      pitchAlignment: 256\n      maxPitch: 64\n      coherency: [sync, sync]\n      iommuGranule: 1KiB\n",
			"b.yaml:7:27: devices[0].constraints.addressRanges[0].size: is 0: expected at least 1\n" +
				"b.yaml:8:43: devices[0].constraints.addressRanges[1].busOffset: 0x2000 is more than the base 0x1000\n" +
				"b.yaml:9:18: devices[0].constraints.alignment: 3 is no power of two\n" +
				"b.yaml:10:23: devices[0].constraints.pitchAlignment: 256 is more than maxPitch 64\n" +
				"b.yaml:12:25: devices[0].constraints.coherency[1]: \"sync\" is given twice\n" +
				"b.yaml:13:21: devices[0].constraints.iommuGranule: 1KiB is less than 4KiB",
		},
		"negative bus offset beyond 64 bits": {
			"devices: [{name: d, constraints: {addressRanges: [{base: 0xffffffff00000000, size: 4GiB, busOffset: -8GiB}]}}]\n",
			`b.yaml:3:101: devices[0].constraints.addressRanges[0].busOffset: -0x200000000 from the base 0xffffffff00000000 goes beyond 64 bits`,
		},
		"bus offset": {
			"devices: [{name: d, constraints: {addressRanges: [{base: 0, size: 4GiB, busOffset: -x}]}}]\n",
			`b.yaml:3:84: devices[0].constraints.addressRanges[0].busOffset: "x" is no size: expected bytes as a number, as 0x hex, or with KiB, MiB, GiB or TiB`,
		},
		"segments": {
			"devices: [{name: d, constraints: {maxSegments: 4294967296}}]\n",
			`b.yaml:3:48: devices[0].constraints.maxSegments: expected a number from 0 to 4294967295, got the int "4294967296"`,
		},
		"coherency": {
			"devices: [{name: d, constraints: {coherency: [snoop]}}]\n",
			`b.yaml:3:47: devices[0].constraints.coherency[0]: "snoop" is not one of snoops, uncached, sync`,
		},
		"protected": {
			"devices: [{name: d, constraints: {protected: true}}]\n",
			`b.yaml:3:46: devices[0].constraints.protected: expected a string, got the boolean "true": put it in quotes`,
		},
		"policy": {
			cma + "heaps: [{name: h, pool: cma}]\npolicy:\n  camera: hh\n",
			`b.yaml:7:11: policy["camera"]: no heap or alias is named "hh"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			text := head + tc.body
			if tc.body == "-" {
				text = "# nothing\n"
			}
			b, err := Parse("b.yaml", []byte(text))
			require.Error(t, err)
			assert.Nil(t, b)
			assert.Equal(t, tc.want, err.Error())
		})
	}
}

func TestWrongVersionAndNameAreErrors(t *testing.T) {
	_, err := Parse("b.yaml", []byte("apiVersion: heapfs/v2\nname: a/b\n"))
	require.EqualError(t, err, "b.yaml:1:13: apiVersion: \"heapfs/v2\" is not heapfs/v1\n"+
		"b.yaml:2:7: name: \"a/b\" has a / or !: the node would be in a directory of its own")
	_, err = Parse("b.yaml", []byte("{}"))
	require.EqualError(t, err, "b.yaml:1:1: missing key \"apiVersion\"\nb.yaml:1:1: missing key \"name\"")
}

func TestMoreNodesThanAKernelHasAreAnError(t *testing.T) {
	text := head + "devices:\n"
	for i := range MaxNodes {
		text += fmt.Sprintf("  - name: d%d\n", i)
	}
	_, err := Parse("b.yaml", []byte(text))
	require.NoError(t, err)
	_, err = Parse("b.yaml", []byte(text+"  - name: x\n"))
	require.EqualError(t, err, "b.yaml:132:11: devices[128].name: 129 nodes (heaps, aliases, devices): a kernel has at most 128")
}

func TestErrorsCanBeTakenApart(t *testing.T) {
	_, err := Parse("b.yaml", []byte(head+"export: x\nheapz: 1\n"))
	var list ErrorList
	require.ErrorAs(t, err, &list)
	require.Len(t, list, 2)
	var first *Error
	require.ErrorAs(t, err, &first)
	assert.Equal(t, Error{File: "b.yaml", Line: 3, Column: 9, Path: "export", Msg: `"x" is not one of auto, memfd, fuse, udmabuf`}, *first)
}

func TestABoardMadeInGoIsCheckedWithoutPositions(t *testing.T) {
	b := Board{APIVersion: APIVersion, Name: "b", Heaps: []Heap{{Name: "h", Pool: "nix"}}}
	require.EqualError(t, b.Validate(), `heaps[0].pool: no pool is named "nix"`)
	_, err := b.Nodes()
	require.Error(t, err)
	_, err = b.PoolSpecs()
	require.Error(t, err)
}

func TestHostileFilesAreRefusedQuickly(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for i := 'b'; i <= 'z'; i++ {
		bomb += fmt.Sprintf("%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n", i, i, i-1, i-1, i-1, i-1, i-1, i-1, i-1, i-1, i-1)
	}
	for name, text := range map[string]string{
		"alias bomb":        head + bomb + "pools: *z\n",
		"brackets":          strings.Repeat("[", MaxFileSize),
		"braces":            strings.Repeat("{a: ", MaxFileSize/4),
		"dashes":            strings.Repeat("- ", MaxFileSize/2),
		"question marks":    strings.Repeat("? ", MaxFileSize/2),
		"anchors":           strings.Repeat("&a ", MaxFileSize/3),
		"tags":              strings.Repeat("!a ", MaxFileSize/3),
		"too large":         strings.Repeat("#", MaxFileSize+1),
		"too many pools":    head + "pools: [" + strings.Repeat("{},", 2000) + "]",
		"too many policies": head + "policy: {" + strings.Repeat("a: b,", 2000) + "}",
		"binary":            "\x00\x01\xff\xfe",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("b.yaml", []byte(text))
			var list ErrorList
			require.True(t, errors.As(err, &list), "%v", err)
			for _, line := range strings.Split(err.Error(), "\n") {
				assert.Less(t, len(line), 400)
				assert.True(t, strings.HasPrefix(line, "b.yaml:"), line)
			}
		})
	}
}
