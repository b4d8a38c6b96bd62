// Command goclient is a client of DMA-BUF heaps in Go: static, without a C library, with a run-time that moves
// goroutines between threads and interrupts them by signals. It knows a directory of heap nodes (HEAP_DIR, else
// /dev/dma_heap) and nothing else; it exits 0 when all checks hold, 1 after a line that says which does not, 2 without
// a heap.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"unsafe"
)

// allocationData is struct dma_heap_allocation_data of include/uapi/linux/dma-heap.h.
type allocationData struct {
	len       uint64
	fd        uint32
	fdFlags   uint32
	heapFlags uint64
}

const (
	ioctlAlloc   = 0xC0184800
	ioctlSync    = 0x40086200
	ioctlSetName = 0x40086201

	syncRW    = 3
	syncStart = 0
	syncEnd   = 4
)

func ioctl(fd int, cmd uintptr, arg unsafe.Pointer) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), cmd, uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}

func alloc(heap int, length uint64, fdFlags uint32) (int, error) {
	data := allocationData{len: length, fdFlags: fdFlags}
	if err := ioctl(heap, ioctlAlloc, unsafe.Pointer(&data)); err != nil {
		return -1, err
	}
	return int(data.fd), nil
}

func syncBuffer(fd int, flags uint64) error {
	return ioctl(fd, ioctlSync, unsafe.Pointer(&flags))
}

// check ends the program at the first check that fails, with the line that called it.
func check(holds bool, format string, args ...any) {
	if holds {
		return
	}
	_, file, line, _ := runtime.Caller(1)
	fmt.Fprintf(os.Stderr, "%s:%d: %s\n", filepath.Base(file), line, fmt.Sprintf(format, args...))
	os.Exit(1)
}

func heapDir() string {
	if dir := os.Getenv("HEAP_DIR"); dir != "" {
		return dir
	}
	return "/dev/dma_heap"
}

// useBuffer allocates, maps, finds zeroes, writes, synchronizes, names and frees one buffer.
func useBuffer(heap, length int, pattern byte) {
	page := os.Getpagesize()
	size := (length + page - 1) / page * page
	fd, err := alloc(heap, uint64(length), syscall.O_RDWR|syscall.O_CLOEXEC)
	check(err == nil, "ALLOC of %d: %v", length, err)
	var st syscall.Stat_t
	check(syscall.Fstat(fd, &st) == nil && st.Size == int64(size), "size %d, want %d", st.Size, size)

	memory, err := syscall.Mmap(fd, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	check(err == nil, "mmap: %v", err)
	err = syncBuffer(fd, syncStart|syncRW)
	check(err == nil, "SYNC START: %v", err)
	check(bytes.Count(memory, []byte{0}) == size, "a new buffer is not zero")
	for i := range memory {
		memory[i] = pattern
	}
	err = syncBuffer(fd, syncEnd|syncRW)
	check(err == nil, "SYNC END: %v", err)
	name := []byte("go client\x00")
	err = ioctl(fd, ioctlSetName, unsafe.Pointer(&name[0]))
	check(err == nil, "SET_NAME: %v", err)

	check(syscall.Close(fd) == nil, "close")
	check(bytes.Count(memory, []byte{pattern}) == size, "the mapping changed when its descriptor was closed")
	check(syscall.Munmap(memory) == nil, "munmap")
}

func checkErrors(heap int) {
	for _, row := range []struct {
		name string
		data allocationData
	}{
		{"len 0", allocationData{fdFlags: syscall.O_RDWR}},
		{"a len that wraps", allocationData{len: ^uint64(0), fdFlags: syscall.O_RDWR}},
		{"fd 1", allocationData{len: 1, fd: 1, fdFlags: syscall.O_RDWR}},
		{"fd_flags O_NONBLOCK", allocationData{len: 1, fdFlags: syscall.O_NONBLOCK}},
		{"heap_flags 1", allocationData{len: 1, heapFlags: 1}},
	} {
		data := row.data
		err := ioctl(heap, ioctlAlloc, unsafe.Pointer(&data))
		check(errors.Is(err, syscall.EINVAL), "%s: %v, want EINVAL", row.name, err)
	}
	err := ioctl(heap, ioctlAlloc, nil)
	check(errors.Is(err, syscall.EFAULT), "nil argument: %v, want EFAULT", err)
	name := [8]byte{'n'}
	err = ioctl(heap, ioctlSetName, unsafe.Pointer(&name))
	check(errors.Is(err, syscall.EINVAL), "SET_NAME on a heap: %v, want EINVAL", err)
}

// checkGoroutines allocates from many goroutines, each on whichever thread it happens to run.
func checkGoroutines(heap int) {
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			if i%5 == 0 { // and some on a thread of their own that ends with them
				runtime.LockOSThread()
			}
			for round := range 10 {
				useBuffer(heap, 1+i*1000+round*5000, byte(i+1))
				runtime.Gosched()
			}
		})
	}
	all.Wait()
}

func main() {
	path := filepath.Join(heapDir(), "system")
	heap, err := syscall.Open(path, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		reason := err.Error()
		if errors.Is(err, syscall.ENOENT) {
			reason = "No such file or directory" // as C libraries spell it
		}
		fmt.Fprintf(os.Stderr, "open %s: %s\n", path, reason)
		os.Exit(2)
	}
	entries, err := os.ReadDir(heapDir())
	check(err == nil && len(entries) > 0, "list of heaps: %v", err)
	for _, entry := range entries {
		node, err := syscall.Open(filepath.Join(heapDir(), entry.Name()), syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		check(err == nil, "open %s: %v", entry.Name(), err)
		useBuffer(node, 100000, 0x5a)
		checkErrors(node)
		check(syscall.Close(node) == nil, "close %s", entry.Name())
	}
	checkGoroutines(heap)
	check(syscall.Close(heap) == nil, "close system")
	fmt.Printf("goclient: %d heaps: ok\n", len(entries))
}
