package backing

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
)

// syncSource is a kind of device that leads to a sync file of the kernel's own.
type syncSource struct {
	nodes string // pattern of paths
	// make gives a sync file whose fence has signalled; node is an open one of nodes and stays the caller's.
	make func(node int) (int, error)
}

// syncSources are in the order in which they are tried: what wakes no hardware comes first, and the primary nodes last, because
// whoever opens one that nobody has open is the display's master until it is closed.
var syncSources = []syncSource{
	{"/dev/udmabuf", settled(udmabufSyncFile)},
	{"/dev/dri/renderD*", settled(sys.DRMSyncFile)},
	{"/dev/dri/card*", settled(cardSyncFile)},
}

const (
	// syncSourceTime is how long a device may take, which may have to wake first, before callers get stand-ins.
	syncSourceTime = 5 * time.Second
	// settleTime is how long a driver may work on a buffer that it has just made.
	settleTime = time.Second
	// dumbWidth and dumbHeight are pixels of a dumb buffer that no driver should find too small.
	dumbWidth, dumbHeight = 64, 64
)

// KernelSyncFile makes a sync file of the kernel's own, whose fence has signalled, by the first device that leads to one, and says which.
// The device is closed again; the descriptor is the caller's, and sys.MergeSyncFile makes more of it. The error is of the last
// device that was there, ENOENT if none was. It may take as long as hardware needs to wake.
func KernelSyncFile() (fd int, node string, err error) { return firstSyncFile(syncSources) }

func firstSyncFile(sources []syncSource) (int, string, error) {
	last := error(unix.ENOENT)
	for _, source := range sources {
		nodes, err := filepath.Glob(source.nodes)
		if err != nil {
			return -1, "", fmt.Errorf("%s: %w", source.nodes, err)
		}
		for _, path := range nodes {
			fd, err := source.open(path)
			if err == nil {
				return fd, path, nil
			}
			last = fmt.Errorf("%s: %w", path, err)
			slog.Debug("no sync files by this device", "device", path, "error", err)
		}
	}
	return -1, "", last
}

func (s syncSource) open(path string) (int, error) {
	node, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open: %w", err)
	}
	defer sys.Close(node)
	return s.make(node)
}

// seedSyncFile is firstSyncFile with a limit of time, so that a device that hangs keeps no caller: -1 if there is no sync file until then.
func seedSyncFile(sources []syncSource, limit time.Duration) int {
	found := make(chan int, 1)
	go func() {
		fd, node, err := firstSyncFile(sources)
		if err != nil {
			slog.Debug("sync files are stand-ins", "error", err)
		} else {
			slog.Debug("sync files are the kernel's", "device", node)
		}
		found <- fd
	}()
	select {
	case fd := <-found:
		return fd
	case <-time.After(limit):
		slog.Warn("sync files are stand-ins: a device does not answer", "after", limit)
		go func() { sys.Close(<-found) }() // what comes later would mix both kinds, which can't be merged
		return -1
	}
}

// settled waits for the fence, and lets go of it for one of the kernel's that has nothing to do with the device. It also tries what more
// sync files are made by.
func settled(source func(node int) (int, error)) func(int) (int, error) {
	return func(node int) (int, error) {
		fd, err := source(node)
		if err != nil {
			return -1, err
		}
		defer sys.Close(fd)
		if err := waitReadable(fd, settleTime); err != nil {
			return -1, err
		}
		return sys.MergeSyncFile(fd, "")
	}
}

func waitReadable(fd int, limit time.Duration) error {
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	end := time.Now().Add(limit)
	for {
		n, err := unix.Poll(poll, int(max(0, time.Until(end)).Milliseconds()))
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("poll a sync file: %w", err)
		case n == 0:
			return fmt.Errorf("the fence has not signalled: %w", unix.ETIMEDOUT)
		}
		return nil
	}
}

func udmabufSyncFile(node int) (int, error) { return exportOnce(sys.UdmabufOfAPage(node)) }

// cardSyncFile takes either way: display controllers have no synchronisation objects but dumb buffers, renderers the reverse.
func cardSyncFile(node int) (int, error) {
	fd, err := sys.DRMSyncFile(node)
	if err == nil {
		return fd, nil
	}
	slog.Debug("no sync files by objects of a card; trying a dumb buffer", "error", err)
	return exportOnce(sys.DRMDumbBuffer(node, dumbWidth, dumbHeight))
}

// exportOnce is for a dma-buf that only one sync file is wanted of.
func exportOnce(dmabuf int, err error) (int, error) {
	if err != nil {
		return -1, err
	}
	defer sys.Close(dmabuf)
	return sys.ExportSyncFile(dmabuf)
}
