package rows

import (
	"fmt"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
	"github.com/heapfs/heapfs/uapi"
)

// callerRows: the caller of an ioctl counts, never the opener of the node.
func callerRows() []Row {
	return []Row{
		{ID: "caller-thread", What: "ALLOC from a thread that is not the first", Try: func(c *Case) string {
			heap := c.RW()
			return onThread(func() string { return ask(heap, uapi.HeapIoctlAlloc, newArea(1).putFirst(usual.bytes()), 24) })
		}},
		{ID: "caller-thread-sync", What: "SYNC and SET_NAME from a thread that is not the first", Try: func(c *Case) string {
			fd := c.Buffer(1)
			return onThread(func() string { return each(sync8(fd, syncRW), setName(fd, "thread")) })
		}},
		{ID: "caller-dup", What: "ALLOC on a copy of the node's descriptor, the first closed", Try: func(c *Case) string {
			heap := c.RW()
			other := get[int]("dup")(unix.FcntlInt(uintptr(heap), unix.F_DUPFD_CLOEXEC, 100))
			sys.Close(heap)
			return ask(other, uapi.HeapIoctlAlloc, newArea(1).putFirst(usual.bytes()), 24)
		}},
		{ID: "caller-child", What: "ALLOC by a child on a node that it inherited", Try: func(c *Case) string {
			heap := c.Node(unix.O_RDONLY)
			return c.helper("alloc", nil, fmt.Sprint(heap))
		}},
		{ID: "caller-grandchild", What: "ALLOC by a child of a child", Try: func(c *Case) string {
			return c.helper("nested", nil, fmt.Sprint(c.Node(unix.O_RDWR)))
		}},
		{ID: "caller-passed-node", What: "ALLOC on a node that came by SCM_RIGHTS", Try: func(c *Case) string {
			got := throughSocket(c.RW())
			return ask(got, uapi.HeapIoctlAlloc, newArea(1).putFirst(usual.bytes()), 24)
		}},
		{ID: "caller-threads", What: "64 threads that allocate, name, sync, map and close at once", Try: manyThreads},
		{ID: "caller-children", What: "8 children that allocate at once", Try: func(c *Case) string {
			heap := fmt.Sprint(c.Node(unix.O_RDWR))
			answers := make([]string, 8)
			var all sync.WaitGroup
			for i := range answers {
				all.Go(func() { answers[i] = c.helper("alloc", nil, heap) })
			}
			all.Wait()
			same := map[string]bool{}
			for _, a := range answers {
				same[a] = true
			}
			return oneOf(same)
		}},
		{ID: "caller-close-race", What: "ALLOC while other threads open and close files", Try: closeRace},
		{ID: "caller-signal", What: "ALLOC under a fast timer signal whose handler does not restart calls", Try: underSignals},
		{ID: "caller-closed-fd", What: "ALLOC on a number that is not open", Try: func(c *Case) string {
			return errName(ioctl(400, uapi.HeapIoctlAlloc, newArea(1).putFirst(usual.bytes())))
		}},
		{ID: "caller-fd-minus-1", What: "ALLOC on -1", Try: func(c *Case) string {
			return errName(ioctl(-1, uapi.HeapIoctlAlloc, newArea(1).putFirst(usual.bytes())))
		}},
	}
}

// onThread asks on another thread of this process.
func onThread(f func() string) string {
	answer := make(chan string)
	go func() {
		runtime.LockOSThread()
		defer close(answer)
		defer func() {
			if failure, is := recover().(setUpFailure); is {
				answer <- failure.text
			}
		}()
		answer <- f()
	}()
	return <-answer
}

func manyThreads(c *Case) string {
	heap := c.RW()
	answers := make([]string, 64)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() {
			answers[i] = onThread(func() string {
				for range 2 {
					fd, err := sys.HeapAlloc(heap, 10000, unix.O_RDWR|unix.O_CLOEXEC)
					if err != nil {
						return errName(err)
					}
					p, mark := mapRW(fd, threePages), byte(i+1)
					zero := filled(p, threePages, 0)
					fill(p, threePages, mark)
					done := each(fmt.Sprint(zero), sync8(fd, syncRW), setName(fd, "thread"), sync8(fd, syncRW|syncEnd), fmt.Sprint(filled(p, threePages, mark)))
					_, errno := sys.RawCall(unix.SYS_MUNMAP, p, threePages)
					must("munmap", orNil(errno))
					sys.Close(fd)
					if done != "true, 0, 0, 0, true" {
						return done
					}
				}
				return "0"
			})
		})
	}
	all.Wait()
	same := map[string]bool{}
	for _, a := range answers {
		same[a] = true
	}
	return oneOf(same)
}

// closeRace: numbers come and go in other threads; each ALLOC must still give a number that is its buffer's.
func closeRace(c *Case) string {
	heap, stop := c.RW(), make(chan struct{})
	var others sync.WaitGroup
	for range 2 {
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					sys.Close(get[int]("open")(unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)))
				}
			}
		})
	}
	defer others.Wait()
	defer close(stop)
	for i := range 200 {
		fd, err := sys.HeapAlloc(heap, uint64(i%5+1)*pageSize, unix.O_CLOEXEC)
		if err != nil {
			return errName(err)
		}
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil || st.Size != int64(i%5+1)*pageSize {
			return "another file"
		}
		sys.Close(fd)
	}
	return "0"
}
