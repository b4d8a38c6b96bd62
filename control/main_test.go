package control

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/heapfs/heapfs/backing"
	"github.com/heapfs/heapfs/heapnodes/events"
)

// childEnv makes the test binary a client of the socket that it names; see
// TestForeignUserIsRefused.
const childEnv = "HEAPFS_CONTROL_TEST_CHILD"

// serverEnv makes it a server that answers everyone at the socket that it
// names, until its standard input ends.
const serverEnv = "HEAPFS_CONTROL_TEST_SERVER"

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		os.Exit(askAsChild(path))
	}
	if path := os.Getenv(serverEnv); path != "" {
		os.Exit(serveAsChild(path))
	}
	goleak.VerifyTestMain(m)
}

// askAsChild prints the status of one request and what the product's own
// client says.
func askAsChild(path string) int {
	tr := &http.Transport{DialContext: dialer(path)}
	resp, err := (&http.Client{Transport: tr}).Get("http://heapfs/v1/instance")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(resp.Status)
	_, err = NewClient(path).Instance(ctxBackground)
	fmt.Println(err)
	return 0
}

func serveAsChild(path string) int {
	ln, err := net.Listen("unix", path)
	if err == nil {
		err = os.Chmod(path, 0o666)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	go http.Serve(ln, handler{newFake()})
	fmt.Println("listening")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// fakeSource is an instance with fixed answers.
type fakeSource struct {
	instance Instance
	heaps    []Heap
	buffers  []Buffer
	stream   *events.Stream
}

func (f *fakeSource) Instance() Instance     { return f.instance }
func (f *fakeSource) Heaps() []Heap          { return f.heaps }
func (f *fakeSource) Buffers() []Buffer      { return f.buffers }
func (f *fakeSource) Events() *events.Stream { return f.stream }
func (f *fakeSource) Phys(b Buffer) Phys {
	return Phys{Phys: backing.Phys{Runs: len(b.Extents), Longest: b.Len}}
}

func newFake() *fakeSource {
	return &fakeSource{
		instance: Instance{ID: "1-abc", PID: 1, Board: "generic", Export: "memfd", Door: "seccomp", Version: "0.1", Started: time.Unix(1, 2).UTC()},
		heaps: []Heap{{Name: "system", ExpName: "system", Pool: "ram", Kind: "scatter", Mode: "0600", PoolSize: 1 << 30,
			PoolFree: 1<<30 - 4096, PoolUsed: 4096, LargestRun: 1 << 29, Base: 1 << 30, Buffers: 1}},
		buffers: []Buffer{{ID: 1, Heap: "system", Pool: "ram", Kind: "scatter", Name: "n\xff", Len: 4096, PID: 2, TID: 3, UID: 4, Comm: "c",
			Created: time.Unix(3, 4).UTC(), Extents: []backing.Extent{{Addr: 1 << 30, Len: 4096}}}},
		stream: events.NewStream(events.Config{Instance: "1-abc", Backlog: 64}),
	}
}
