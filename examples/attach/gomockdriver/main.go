// Gomockdriver plays the driver of a device of the board, as mockdriver.c does, in Go:
//
//	heapfs run --board imx8mq-evk -- gomockdriver 38300000.video-codec system 1048576
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/uapi"
)

func main() {
	if len(os.Args) < 4 || len(os.Args)%2 != 0 {
		fmt.Fprintln(os.Stderr, "usage: gomockdriver DEVICE HEAP BYTES [HEAP BYTES]...")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "gomockdriver:", err)
		os.Exit(1)
	}
}

func run(name string, pairs []string) error {
	device, err := open("/dev/heapfs", name)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(device) }()
	for i := 0; i < len(pairs); i += 2 {
		size, err := strconv.ParseUint(pairs[i+1], 0, 64)
		if err != nil {
			return err
		}
		buffer, err := alloc(pairs[i], size)
		if err != nil {
			return err
		}
		what, err := attach(device, buffer)
		_ = unix.Close(buffer)
		if err != nil {
			return err
		}
		fmt.Printf("%s %s: %s\n", pairs[i], pairs[i+1], what)
	}
	return nil
}

func open(dir, name string) (int, error) {
	path := filepath.Join(dir, name)
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// alloc gives a descriptor of a new buffer.
func alloc(heap string, size uint64) (int, error) {
	fd, err := open("/dev/dma_heap", heap)
	if err != nil {
		return -1, err
	}
	defer func() { _ = unix.Close(fd) }()
	data := struct {
		length      uint64
		fd, fdFlags uint32
		heapFlags   uint64
	}{length: size, fdFlags: unix.O_RDWR | unix.O_CLOEXEC}
	if errno := ioctl(fd, uapi.HeapIoctlAlloc, unsafe.Pointer(&data)); errno != 0 {
		return -1, fmt.Errorf("%s: DMA_HEAP_IOCTL_ALLOC: %w", heap, errno)
	}
	return int(data.fd), nil
}

// attach says what the device sees of a buffer, or the errno of its refusal.
func attach(device, buffer int) (string, error) {
	var arg [uapi.HeapfsAttachSize]byte
	uapi.AttachArg{FD: uint32(buffer), Dir: uapi.Bidirectional}.Put(arg[:])
	if errno := ioctl(device, uapi.HeapfsAttach, unsafe.Pointer(&arg[0])); errno != 0 {
		return unix.ErrnoName(errno), nil
	}
	a := uapi.DecodeAttach(arg[:])
	segments := make([]byte, uapi.HeapfsSegmentSize*int(a.NSegs))
	n, err := unix.Pread(device, segments, int64(a.AttachID)<<uapi.HeapfsSegmentShift)
	if err != nil {
		return "", fmt.Errorf("pread: %w", err)
	}
	if n != len(segments) {
		return "", errors.New("pread: fewer segments than HEAPFS_ATTACH told")
	}
	plural := "s"
	if a.NSegs == 1 {
		plural = ""
	}
	text := fmt.Sprintf("%d segment%s at", a.NSegs, plural)
	for i := 0; i < n; i += uapi.HeapfsSegmentSize {
		if i == 4*uapi.HeapfsSegmentSize {
			text += " ..."
			break
		}
		addr, length := uapi.Segment(segments[i:])
		text += fmt.Sprintf(" %#x+%d", addr, length)
	}
	var id [uapi.HeapfsDetachSize]byte
	uapi.PutDetach(id[:], a.AttachID)
	if errno := ioctl(device, uapi.HeapfsDetach, unsafe.Pointer(&id[0])); errno != 0 {
		return "", fmt.Errorf("HEAPFS_DETACH: %w", errno)
	}
	return text, nil
}

func ioctl(fd int, cmd uapi.Cmd, arg unsafe.Pointer) unix.Errno {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(cmd), uintptr(arg))
	return errno
}
