package ptrace

import (
	"os/exec"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
)

// BenchmarkAlloc is an ALLOC and the close of its descriptor through a mounted tree, as its caller measures it.
func BenchmarkAlloc(b *testing.B) {
	s := open(b, change{})
	c := s.start(b, "bench", "1000")
	c.say(b)
	for range 2 {
		c.say(b)
		r, ok := c.hear(b)
		require.True(b, ok)
		require.Zero(b, r.Errno, s.reason())
		b.ReportMetric(float64(r.Count)/1000, "ns/alloc")
	}
	require.True(b, c.end(b).Success())
}

// BenchmarkFloor is the same number of stops and injected calls on a process that has nothing to do with heapfs.
func BenchmarkFloor(b *testing.B) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command("sleep", "1000")
	require.NoError(b, cmd.Start())
	time.Sleep(time.Second) // it sleeps by then
	file, err := sys.Memfd("floor")
	require.NoError(b, err)
	const at = 100
	for b.Loop() {
		b.StopTimer()
		for state(cmd.Process.Pid) != 'S' {
			runtime.Gosched()
		}
		b.StartTimer()
		s := &session{order: order{TID: cmd.Process.Pid, Cloexec: true}, file: file, device: -1, late: new(atomic.Bool), received: -1}
		require.NoError(b, s.seize())
		require.NoError(b, s.awaitStop())
		regs, errno := sys.PtraceRegisters(s.TID)
		require.Zero(b, errno)
		s.regs = regs
		require.NoError(b, s.ready())
		restore, err := s.borrow()
		require.NoError(b, err)
		_, err = s.pass(at) // over the one of the last time
		require.NoError(b, err)
		s.closeTheirs()
		restore()
		require.NoError(b, s.anew()) // it sleeps on
		s.detach()
	}
	sys.Close(file)
	require.NoError(b, unix.Kill(cmd.Process.Pid, unix.SIGKILL))
	_ = cmd.Wait()
}
