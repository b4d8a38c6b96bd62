package demo

import (
	"fmt"
	"io"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
)

const (
	heapDir = "/dev/dma_heap"
	// decoder is what the kernel calls a video decoder's platform device, behind its address.
	decoder = "*.video-codec"
	// frameSize is a 1080p frame of NV12 in bytes.
	frameSize = 1920 * 1080 * 3 / 2
)

// Client does what any media program does, with the kernel's interface and nothing else: it finds the heap of the video decoder,
// allocates a frame, maps, fills and syncs it, and writes what it got to w, one line.
func Client(w io.Writer) error {
	nodes, err := filepath.Glob(filepath.Join(heapDir, decoder))
	if err != nil {
		return err
	}
	if len(nodes) == 0 {
		return fmt.Errorf("no %s in %s", decoder, heapDir)
	}
	heap, err := unix.Open(nodes[0], unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", nodes[0], err)
	}
	defer sys.Close(heap)
	fd, err := sys.HeapAlloc(heap, frameSize, unix.O_RDWR|unix.O_CLOEXEC)
	if err != nil {
		return fmt.Errorf("%s: %w", nodes[0], err)
	}
	defer sys.Close(fd)
	size, err := unix.Seek(fd, 0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("size of the buffer: %w", err)
	}
	frame, err := unix.Mmap(fd, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map the buffer: %w", err)
	}
	if err := sys.BufSync(fd, false); err != nil {
		return err
	}
	for i := range frame {
		frame[i] = byte(i)
	}
	if err := sys.BufSync(fd, true); err != nil {
		return err
	}
	if err := unix.Munmap(frame); err != nil {
		return fmt.Errorf("unmap the buffer: %w", err)
	}
	_, err = fmt.Fprintf(w, "%s gave fd %d: %d bytes, mapped, filled and synced\n", nodes[0], fd, size)
	return err
}
