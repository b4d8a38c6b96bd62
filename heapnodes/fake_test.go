package heapnodes

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/backing"
	"github.com/heapfs/heapfs/devices/board"
	"github.com/heapfs/heapfs/heapnodes/events"
	"github.com/heapfs/heapfs/internal/sys"
	"github.com/heapfs/heapfs/uapi"
)

const (
	kib  = 1 << 10
	page = uapi.PageSize

	// argument is where callers keep what they point at: the end of a page is 256 bytes further on.
	argument = 0x7f0000001f00
)

// fakeCaller is a call whose memory is data, from argument on, and faults everywhere else.
type fakeCaller struct {
	data    []byte
	noRead  map[uint64]bool // single addresses that fault
	noWrite map[uint64]bool
	writes  func(n int) error // says what the n-th Write ends with, from 1; nil: what the memory does

	check error // what Check ends with

	id      Identity
	install func() (int, error)
	files   map[int32]fakeFile // what Describe knows

	log       []string // what was asked of it, in order
	written   int
	installed []fakeInstall
}

type fakeFile struct{ link, fdinfo string }

type fakeInstall struct {
	fd      int
	cloexec bool
}

// newCaller keeps data at argument.
func newCaller(data []byte) *fakeCaller {
	return &fakeCaller{data: data, id: Identity{PID: 10, TID: 11, UID: 1000, Comm: "client"}}
}

func (c *fakeCaller) Door() string       { return "fake" }
func (c *fakeCaller) Identity() Identity { return c.id }

func (c *fakeCaller) reach(addr uint64, n int, closed map[uint64]bool) ([]byte, bool) {
	off := addr - argument
	if off > uint64(len(c.data)) {
		return nil, n == 0
	}
	there := min(n, len(c.data)-int(off))
	for i := range there {
		if closed[addr+uint64(i)] {
			there = i
			break
		}
	}
	return c.data[off : int(off)+there], there == n
}

func (c *fakeCaller) Read(p []byte, addr uint64) error {
	c.log = append(c.log, fmt.Sprintf("read %d", len(p)))
	b, ok := c.reach(addr, len(p), c.noRead)
	copy(p, b)
	if !ok {
		return ErrFault
	}
	return nil
}

func (c *fakeCaller) Check() error { return c.check }

func (c *fakeCaller) Write(p []byte, addr uint64) error {
	c.log = append(c.log, fmt.Sprintf("write %d", len(p)))
	c.written++
	if c.writes != nil {
		if err := c.writes(c.written); err != nil {
			return err
		}
	}
	b, ok := c.reach(addr, len(p), c.noWrite)
	copy(b, p)
	if !ok {
		return ErrFault
	}
	return nil
}

func (c *fakeCaller) Install(fd int, cloexec bool) (int, error) {
	c.log = append(c.log, "install")
	if c.install != nil {
		if n, err := c.install(); err != nil {
			return n, err
		}
	}
	c.installed = append(c.installed, fakeInstall{fd, cloexec})
	return 40 + len(c.installed), nil
}

func (c *fakeCaller) Describe(fd int32) (string, []byte, error) {
	f, ok := c.files[fd]
	if !ok {
		return "", nil, ErrBadFD
	}
	return f.link, []byte(f.fdinfo), nil
}

// fakeExporter makes files that exist in its list only.
type fakeExporter struct {
	err     error
	made    []*fakeExport
	sweeps  int
	onSweep func()
}

type fakeExport struct {
	id                   sys.FileID
	fd                   int
	size                 uint64
	accMode              int
	cpu                  bool
	gone                 func()
	request              ExportRequest
	delivered, discarded int
}

func (x *fakeExporter) Export(r ExportRequest) (Export, error) {
	if x.err != nil {
		return nil, x.err
	}
	n := len(x.made) + 1
	e := &fakeExport{
		id: sys.FileID{Dev: 7, Ino: uint64(n)}, fd: 100 + n, size: r.Size, accMode: r.AccMode, cpu: r.CPU, gone: r.Gone, request: r,
	}
	x.made = append(x.made, e)
	return e, nil
}

func (x *fakeExporter) Sweep() {
	x.sweeps++
	if x.onSweep != nil {
		x.onSweep()
	}
}

func (e *fakeExport) ID() sys.FileID { return e.id }
func (e *fakeExport) FD() int        { return e.fd }
func (e *fakeExport) Delivered()     { e.delivered++ }
func (e *fakeExport) Discard()       { e.discarded++ }

// fakeSync takes "sync" for the kernel's sync files and "ours" for its own.
type fakeSync struct {
	t     *testing.T
	err   error
	names []string
}

func (s *fakeSync) Make(name string) (int, error) {
	if s.err != nil {
		return -1, s.err
	}
	s.names = append(s.names, name)
	fd, err := sys.Memfd("sync file")
	require.NoError(s.t, err)
	return fd, nil
}

func (s *fakeSync) Recognise(link string, _ []byte) bool { return link == "sync" || link == "ours" }
func (s *fakeSync) StandIn(link string, _ []byte) bool   { return link == "ours" }
func (s *fakeSync) Name(fdinfo []byte) string            { return string(fdinfo) }
func (s *fakeSync) Signalled() uint64                    { return 123456789 }

// site is an instance with fakes around it.
type site struct {
	*Heaps
	t        *testing.T
	exporter *fakeExporter
	sync     *fakeSync
	stream   *events.Stream
	told     *events.Subscription
}

// fakeBoard has a scatter heap, a CMA heap of 256 KiB with a quota of 128 KiB, an alias and a device's view of it, a protected
// heap, and two views of a device pool that no heap is declared over.
func fakeBoard() Config {
	cma := board.Node{Name: "default_cma_region", Pool: "cma", Heap: "default_cma_region", Kind: board.KindContiguous, Quota: 128 * kib}
	alias, view := cma, cma
	alias.Name, alias.Alias = "linux,cma", true
	view.Name, view.Device = "38300000.video-codec", "38300000.video-codec"
	return Config{
		Nodes: []board.Node{
			{Name: "system", Pool: "ram", Heap: "system", Kind: board.KindScatter},
			cma, alias, view,
			{Name: "protected,secure-video", Pool: "tee", Heap: "protected,secure-video", Kind: board.KindProtected},
			{Name: "a", Pool: "dsp", Device: "a", Kind: board.KindCoherent},
			{Name: "b", Pool: "dsp", Device: "b", Kind: board.KindCoherent},
		},
		Pools: []backing.PoolConfig{
			{Name: "ram", Kind: backing.Scatter, Base: 0x40000000, Size: 1024 * kib},
			{Name: "cma", Kind: backing.Contiguous, Base: 0x50000000, Size: 256 * kib},
			{Name: "tee", Kind: backing.Protected, Base: 0x60000000, Size: 64 * kib},
			{Name: "dsp", Kind: backing.Coherent, Base: 0x70000000, Size: 64 * kib},
		},
	}
}

func newSite(t *testing.T, change ...func(*Config)) *site {
	t.Helper()
	s := &site{t: t, exporter: &fakeExporter{}, sync: &fakeSync{t: t}, stream: events.NewStream(events.Config{Instance: "test"})}
	cfg := fakeBoard()
	cfg.Exporter, cfg.Sync, cfg.Events = s.exporter, s.sync, s.stream
	for _, f := range change {
		f(&cfg)
	}
	var err error
	s.Heaps, err = New(cfg)
	require.NoError(t, err)
	s.told = s.stream.Subscribe(1)
	return s
}

func withFaults(specs ...string) func(*Config) {
	return func(c *Config) {
		for _, spec := range specs {
			f, err := ParseFault(spec)
			if err != nil {
				panic(err)
			}
			c.Faults = append(c.Faults, f)
		}
	}
}

func (s *site) node(name string) *Node {
	s.t.Helper()
	for _, n := range s.Nodes() {
		if n.Name == name {
			return n
		}
	}
	require.FailNow(s.t, "no node", name)
	return nil
}

// events is what was told since the last time.
func (s *site) events() []events.Event {
	var all []events.Event
	for e, ok := s.told.Poll(); ok; e, ok = s.told.Poll() {
		all = append(all, e)
	}
	return all
}

func (s *site) kinds() []string {
	var all []string
	for _, e := range s.events() {
		all = append(all, e.Event)
	}
	return all
}

// alloc is an ALLOC of today's struct.
func (s *site) alloc(node string, length uint64) error {
	return s.allocOn(s.node(node), length)
}

func (s *site) allocOn(n *Node, length uint64) error {
	return n.Ioctl(context.Background(), newCaller(request(length, 0, 0, 0)), uapi.HeapIoctlAlloc, argument)
}

// live makes a buffer that must succeed.
func (s *site) live(node string, length uint64) *Buffer {
	s.t.Helper()
	require.NoError(s.t, s.alloc(node, length))
	b := s.Buffer(s.exporter.made[len(s.exporter.made)-1].id)
	require.NotNil(s.t, b)
	return b
}

// untouched asserts that pool and quota of every heap are as before the first ALLOC.
func (s *site) untouched() {
	s.t.Helper()
	for _, n := range s.Nodes() {
		_, stats := n.PoolStats()
		assert.Zero(s.t, stats.Used, "bytes of %s in use", n.Name)
		assert.Zero(s.t, stats.Extents, "extents of %s", n.Name)
		assert.Zero(s.t, n.heap.used.Load(), "quota of %s in use", n.Name)
	}
	assert.Empty(s.t, s.buffers)
}

// request is a struct dma_heap_allocation_data.
func request(length uint64, fd, fdFlags uint32, heapFlags uint64) []byte {
	b := binary.LittleEndian.AppendUint64(nil, length)
	b = binary.LittleEndian.AppendUint32(b, fd)
	b = binary.LittleEndian.AppendUint32(b, fdFlags)
	return binary.LittleEndian.AppendUint64(b, heapFlags)
}
