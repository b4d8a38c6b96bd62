package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/backing"
	"github.com/heapfs/heapfs/control"
	"github.com/heapfs/heapfs/heapnodes/events"
)

type fakeInstance struct {
	heaps   []control.Heap
	buffers []control.Buffer
	policy  map[string]string
	stream  *events.Stream
}

func (f *fakeInstance) Instance() control.Instance {
	return control.Instance{ID: "1-a", PID: 1, Board: "generic", Policy: f.policy, Export: "memfd", Started: time.Unix(0, 0).UTC()}
}
func (f *fakeInstance) Heaps() []control.Heap     { return f.heaps }
func (f *fakeInstance) Buffers() []control.Buffer { return f.buffers }
func (f *fakeInstance) Events() *events.Stream    { return f.stream }
func (f *fakeInstance) Phys(b control.Buffer) control.Phys {
	if b.Heap != "system" {
		return control.Phys{Error: "hidden"}
	}
	return control.Phys{Phys: backing.Phys{Runs: len(b.Extents), Longest: b.Extents[0].Len}}
}

// serveInstance answers for f at the returned socket until the test ends.
func serveInstance(t *testing.T, f *fakeInstance) string {
	t.Helper()
	f.stream = events.NewStream(events.Config{Instance: "1-a"})
	path := filepath.Join(t.TempDir(), "s")
	ln, err := control.Listen(path)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- control.Serve(ctx, ln, f) }()
	t.Cleanup(func() { cancel(); assert.NoError(t, <-done) })
	return path
}

func runState(t *testing.T, cmd *cobra.Command, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(io.Discard)
	cmd.SetArgs(args)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.ExecuteContext(context.Background())
	return out.String(), err
}

func TestStateCommandsWithoutAnInstance(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	for _, cmd := range []*cobra.Command{newLsCommand(), newBuffersCommand(), newEventsCommand()} {
		out, err := runState(t, cmd, "--socket", none)
		require.ErrorContains(t, err, none)
		assert.NotContains(t, err.Error(), "\n")
		assert.Empty(t, out)
	}
}

func TestEmptyListsPrintHeaderOrEmptyArray(t *testing.T) {
	s := serveInstance(t, &fakeInstance{})
	out, err := runState(t, newLsCommand(), "--socket", s)
	require.NoError(t, err)
	assert.Equal(t, "NODE  KIND  POOL  SIZE  FREE  BUFFERS\n", out)
	out, err = runState(t, newBuffersCommand(), "--socket", s)
	require.NoError(t, err)
	assert.Equal(t, "ID  HEAP  POOL  SIZE  OWNER  EXTENTS  NAME\n", out)
	out, err = runState(t, newBuffersCommand(), "--socket", s, "--json")
	require.NoError(t, err)
	assert.Equal(t, "[]\n", out)
	out, err = runState(t, newEventsCommand(), "--socket", s, "--follow=false")
	require.NoError(t, err)
	assert.Empty(t, out)
}

func TestLs(t *testing.T) {
	s := serveInstance(t, &fakeInstance{heaps: []control.Heap{
		{Name: "system", Kind: "scatter", Pool: "ram", PoolSize: 4 << 30, PoolFree: 4<<30 - 4096, Buffers: 1},
		{Name: "linux,cma", Kind: "contiguous", Pool: "cma", PoolSize: 256 << 20, PoolFree: 256 << 20},
	}})
	out, err := runState(t, newLsCommand(), "--socket", s)
	require.NoError(t, err)
	assert.Equal(t, []string{
		"NODE KIND POOL SIZE FREE BUFFERS", "system scatter ram 4GiB 4.0GiB 1", "linux,cma contiguous cma 256MiB 256MiB 0",
	}, fields(out))
	out, err = runState(t, newLsCommand(), "--socket", s, "--json")
	require.NoError(t, err)
	var got heapList
	require.NoError(t, json.Unmarshal([]byte(out), &got))
	assert.Equal(t, "memfd", got.Instance.Export)
	require.Len(t, got.Heaps, 2)
	assert.EqualValues(t, 4<<30-4096, got.Heaps[0].PoolFree)
}

// fields are the lines of a table with one space between columns.
func fields(table string) (out []string) {
	for line := range strings.Lines(table) {
		out = append(out, strings.Join(strings.Fields(line), " "))
	}
	return out
}

func TestBuffers(t *testing.T) {
	exts := make([]backing.Extent, 5)
	for i := range exts {
		exts[i] = backing.Extent{Addr: 0x40000000 + uint64(i)<<21, Len: 1<<20 + 4096}
	}
	s := serveInstance(t, &fakeInstance{buffers: []control.Buffer{
		{ID: 1, Heap: "system", Pool: "ram", Len: 1536 << 10, PID: 7, Comm: "a.out", Extents: exts, Name: "frame"},
		{ID: 2, Heap: "system", Pool: "ram", Len: 4096, PID: 8, Comm: "\x1b[31m\n", Extents: exts[:1], Name: "a\tb"},
	}})
	out, err := runState(t, newBuffersCommand(), "--socket", s)
	require.NoError(t, err)
	assert.Equal(t, []string{
		"ID HEAP POOL SIZE OWNER EXTENTS NAME",
		"1 system ram 1.5MiB a.out[7] 0x40000000+1028KiB,0x40200000+1028KiB,0x40400000+1028KiB,…(2 more) frame",
		`2 system ram 4KiB "\x1b[31m\n"[8] 0x40000000+1028KiB "a\tb"`,
	}, fields(out))
	out, err = runState(t, newBuffersCommand(), "--socket", s, "--extents")
	require.NoError(t, err)
	assert.Contains(t, out, "0x40800000+1028KiB")
	assert.NotContains(t, out, "more")
	out, err = runState(t, newBuffersCommand(), "--socket", s, "--json")
	require.NoError(t, err)
	var got []control.Buffer
	require.NoError(t, json.Unmarshal([]byte(out), &got))
	assert.Equal(t, exts, got[0].Extents)
}

func TestBuffersPhysSaysHowTheyLieOrWhyNot(t *testing.T) {
	extents := []backing.Extent{{Addr: 0x40000000, Len: 1 << 20}, {Addr: 0x40200000, Len: 4096}}
	bufs := []control.Buffer{{ID: 1, Heap: "system", Pool: "ram", Len: 1<<20 + 4096, PID: 7, Comm: "a.out", Extents: extents}}
	s := serveInstance(t, &fakeInstance{buffers: bufs})
	out, err := runState(t, newBuffersCommand(), "--socket", s, "--phys")
	require.NoError(t, err)
	assert.Equal(t, []string{
		"ID HEAP POOL SIZE OWNER EXTENTS RUNS LONGEST NAME",
		"1 system ram 1.0MiB a.out[7] 0x40000000+1MiB,0x40200000+4KiB 2 1MiB",
	}, fields(out))
	out, err = runState(t, newBuffersCommand(), "--socket", s, "--phys", "--json")
	require.NoError(t, err)
	assert.Contains(t, strings.Join(strings.Fields(out), ""), `"phys":{"runs":2,"longest":1048576}`)

	bufs = append(bufs, control.Buffer{ID: 2, Heap: "cma", Len: 4096, Extents: extents[1:]})
	s = serveInstance(t, &fakeInstance{buffers: bufs})
	out, err = runState(t, newBuffersCommand(), "--socket", s, "--phys")
	require.EqualError(t, err, "buffers: --phys: buffer 2: hidden")
	assert.Contains(t, out, " 1MiB", "the others are told all the same")
}

func TestEventsFollowUntilTheInstanceEnds(t *testing.T) {
	f := &fakeInstance{}
	s := serveInstance(t, f)
	f.stream.Emit(events.Event{Event: events.Start})
	f.stream.Emit(events.Event{Event: events.Warning, Reason: "r"})
	out, err := runState(t, newEventsCommand(), "--socket", s, "--follow=false", "--from", "2", "--json")
	require.NoError(t, err)
	assert.Equal(t, 1, strings.Count(out, "\n"))
	assert.Contains(t, out, `"seq":2`)
	time.AfterFunc(20*time.Millisecond, func() { // most likely while the command waits
		f.stream.Emit(events.Event{Event: events.Exit})
		f.stream.Close()
	})
	out, err = runState(t, newEventsCommand(), "--socket", s)
	require.NoError(t, err)
	assert.Equal(t, 3, strings.Count(out, "\n"))
	assert.True(t, strings.HasSuffix(out, "}\n"))
	assert.Contains(t, out, `"event":"exit"`)
}

func TestEventsOfAKilledInstance(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	require.NoError(t, err)
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 4096)) // none from the probe of the socket
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}\n{x\r\n")
			_ = c.Close()
		}
	}()
	out, err := runState(t, newEventsCommand(), "--socket", path)
	require.ErrorContains(t, err, "killed")
	assert.Equal(t, "{}\n", out, "half an event is no answer")
}

func TestSizes(t *testing.T) {
	for n, want := range map[uint64][2]string{
		0:            {"0B", "0B"},
		1:            {"1B", "1B"},
		4096:         {"4KiB", "4KiB"},
		1<<20 + 4096: {"1.0MiB", "1028KiB"},
		3 << 29:      {"1.5GiB", "1536MiB"},
		1 << 63:      {"8EiB", "8EiB"},
		1<<64 - 1:    {"16.0EiB", "18446744073709551615B"},
	} {
		assert.Equal(t, want, [2]string{roundSize(n), exactSize(n)}, n)
	}
}
