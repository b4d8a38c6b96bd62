package launch

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/backing"
	"github.com/heapfs/heapfs/devices"
	"github.com/heapfs/heapfs/devices/board"
	"github.com/heapfs/heapfs/devices/sysfs"
	"github.com/heapfs/heapfs/internal/sys"
)

// plan is what the front tells server and stage. Both read it from the same memfd.
type plan struct {
	Version   string
	Board     string
	HeapNames string // the set of names that its heaps go by, "" for its own
	Export    string
	Door      string // the way in
	LogLevel  int
	Nodes     []board.Node
	Pools     []backing.PoolConfig
	Platform  devices.Platform
	Devices   []sysfs.Device // as /sys shows them
	Faults    []string
	// Importers are the devices, each with a file; Binds are real nodes that stand for some of them.
	Importers []board.Importer
	Binds     []bind

	// UAPI is what heap nodes take beyond today's interface.
	UAPI board.UAPI

	// Args is CMD with its arguments.
	Args []string
	// Socket is the path of the control socket, "" for none.
	Socket string
	// Front is the process id of the front, and Group its process group, which CMD joins.
	Front, Group int

	// UserNamespace: the user is not privileged, so that the mounts need a user namespace.
	UserNamespace bool
	// UID, GID are CMD's. With Switch the stage takes them, and Groups.
	UID, GID int
	Groups   []int
	Switch   bool

	// Descriptors that the processes inherit.
	Self, Sock, Events int
}

// store writes the plan into a memfd that execve keeps open.
func (p *plan) store() (*os.File, error) {
	fd, err := unix.MemfdCreate("heapfs-plan", 0)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	p.Self = fd
	f := os.NewFile(uintptr(fd), "heapfs-plan")
	if err := json.NewEncoder(f).Encode(p); err != nil {
		_ = f.Close() // the error above says it
		return nil, fmt.Errorf("plan: %w", err)
	}
	return f, nil
}

// loadPlan reads the plan on descriptor fd, which stays open.
func loadPlan(fd int) (*plan, error) {
	own, err := sys.Reopen(fd, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(own), "heapfs-plan")
	defer func() { _ = f.Close() }() // read only
	var p plan
	if err := json.NewDecoder(io.LimitReader(f, 64<<20)).Decode(&p); err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	return &p, nil
}

// pools turns a board's pools into backing's.
func pools(b *board.Board) ([]backing.PoolConfig, error) {
	specs, err := b.PoolSpecs()
	if err != nil {
		return nil, err
	}
	configs := make([]backing.PoolConfig, len(specs))
	for i, s := range specs {
		configs[i] = backing.PoolConfig{Name: s.Name, Kind: backing.Kind(s.Kind), Base: s.Base, Size: s.Size, AlignOrder: alignOrder(s.AlignCap)}
		if s.PageSize > board.PageSize {
			configs[i].StorePages = s.PageSize
		}
	}
	return configs, nil
}

// alignOrder is the order in pages of an alignment in bytes, as far as backing takes it.
func alignOrder(bytes uint64) int {
	if bytes <= board.PageSize {
		return backing.NoAlign
	}
	order := 0
	for bytes > board.PageSize && order < backing.MaxAlignOrder {
		bytes >>= 1
		order++
	}
	return order
}
