package doctor

import (
	"context"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/backing"
	"github.com/heapfs/heapfs/internal/sys"
)

var syncFileProbes = []string{"sync-files"}

// probeSyncFiles has a child of its own: a device may take seconds to wake.
func probeSyncFiles(ctx context.Context, _ host) []finding {
	return runChild(ctx, 0, syncFileProbes, roleSyncFiles)
}

func syncFilesRole([]string) []finding {
	const name = "sync-files"
	fd, node, err := backing.KernelSyncFile()
	if err != nil {
		return []finding{fails(name, "by /dev/udmabuf or a DRM node", err)}
	}
	sys.Close(fd)
	return []finding{works(name, "made by %s", node)}
}

func hintSyncFiles(_ host, f finding) string {
	switch f.Errno {
	case unix.ENOENT:
		return "load a module (sudo modprobe udmabuf), or start the container with --device /dev/udmabuf or a node of /dev/dri"
	case unix.EACCES:
		return "let the user open a DRM render node: sudo usermod -aG render USER, and log in again"
	case unix.EPERM:
		return container + "start it with --device /dev/udmabuf or a node of /dev/dri"
	}
	return "the driver makes none: load udmabuf (sudo modprobe udmabuf) and let the user open /dev/udmabuf"
}
