package judge

import (
	"slices"
	"sync"
)

// List is the closed list of deviations. An entry belongs here only if something in the kernel keeps heapfs from doing it right.
//
// It is made when somebody asks, as most processes of the suite try rows and judge nothing.
var List = sync.OnceValue(func() []Deviation {
	return slices.Concat(nodeList(), bufferCallList(), bufferFileList(), syncFileList(), udmabufList(), fuseList())
})

// Sourced has the kernel's answers to rows that no judge can try, read from its source: lengths beyond the machine's memory, for
// which the caller of a real system heap is killed (heaps/system_heap.c), and protected heaps (drivers/tee/tee_heap.c).
var Sourced = map[string]string{
	"alloc-len-4e":   "ENOMEM",
	"alloc-len-most": "ENOMEM",
	"protected-mmap": "EINVAL",
	"protected-mode": "rdwr",
	"protected-sync": "0",
	"protected-size": "4096",
}

// differ is the same answer in several rows.
func differ(answer string, rows ...string) []Difference {
	var d []Difference
	for _, r := range rows {
		d = append(d, Difference{Row: r, Answer: answer})
	}
	return d
}

// from limits differences to kernels of a version and later.
func from(v Version, d []Difference) []Difference {
	for i := range d {
		d[i].From = v
	}
	return d
}

// before limits differences to kernels older than a version.
func before(v Version, d []Difference) []Difference {
	for i := range d {
		d[i].Before = v
	}
	return d
}
