package ptrace

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"

	"github.com/heapfs/heapfs/heapnodes"
	"github.com/heapfs/heapfs/heapnodes/events"
	"github.com/heapfs/heapfs/internal/sys"
)

func withoutCaps(values ...cap.Value) {
	set := cap.GetProc()
	for _, flag := range []cap.Flag{cap.Effective, cap.Permitted, cap.Inheritable} {
		if err := set.SetFlag(flag, false, values...); err != nil {
			os.Exit(9)
		}
	}
	if err := set.SetProc(); err != nil {
		os.Exit(9)
	}
}

// scenes are what a caller can do, by name.
var scenes = map[string]func(){
	"once": func() { // flags
		flags, _ := strconv.ParseUint(os.Args[1], 0, 32)
		heap := openNode()
		want := lowest()
		r := try(heap, foreign, uint32(flags))
		if r.Errno == 0 && r.FD != want {
			r.Fault += " not the lowest: " + strconv.Itoa(want)
		}
		tell(r)
	},
	"limit": func() { // how many descriptors are free, and how many more the hard limit allows
		free, _ := strconv.Atoi(os.Args[1])
		heap := openNode()
		// Fill up all holes below the highest number.
		for top := lowest(); ; {
			fd, err := unix.Dup(0)
			if err != nil || fd > top+20 {
				break
			}
		}
		next := lowest()
		hard, _ := strconv.Atoi(os.Args[2])
		limit := unix.Rlimit{Cur: uint64(next + free), Max: uint64(next + free + hard)}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			os.Exit(4)
		}
		r := try(heap, foreign, unix.O_RDWR|unix.O_CLOEXEC)
		var now unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &now); err != nil || now != limit {
			r.Fault += " the limit is another now"
		}
		if r.Errno == 0 && r.FD != next {
			r.Fault += " not the lowest: " + strconv.Itoa(next)
		}
		tell(r)
	},
	"bench": func() { // how many at a time
		n, _ := strconv.Atoi(os.Args[1])
		heap := openNode()
		for awaitGo() {
			began := time.Now()
			r := report{}
			for range n {
				req := request{length: 8192, flags: unix.O_RDWR | unix.O_CLOEXEC}
				if r.Errno = int(alloc(heap, foreign, &req)); r.Errno != 0 {
					break
				}
				unix.Close(int(req.fd))
			}
			r.Count = int(time.Since(began))
			tell(r)
		}
	},
	// An ALLOC while another thread of the process, or this process's first, is told by SIGUSR1 to execute a program.
	"exec": func() { // "leader" or "thread": who calls
		told := make(chan os.Signal, 1)
		signal.Notify(told, unix.SIGUSR1)
		run := func() {
			runtime.LockOSThread()
			<-told
			_ = os.Setenv(callerScene, "after")
			_ = unix.Exec("/proc/self/exe", []string{"x"}, os.Environ())
			os.Exit(5)
		}
		heap := openNode()
		call := func() {
			runtime.LockOSThread()
			tell(try(heap, foreign, unix.O_RDWR|unix.O_CLOEXEC))
			select {}
		}
		if os.Args[1] == "leader" {
			go run()
			call()
		}
		go call()
		run()
	},
	// What is open after execve.
	"after": func() { tell(report{After: openFDs(), Count: 1}) },
	// An ALLOC while another thread starts a program.
	"fork": func() {
		told := make(chan os.Signal, 1)
		signal.Notify(told, unix.SIGUSR1)
		child := make(chan report)
		go func() {
			<-told
			cmd := exec.Command("/proc/self/exe")
			cmd.Env = append(os.Environ(), callerScene+"=after")
			cmd.Stdin = strings.NewReader("go\n")
			out, err := cmd.Output()
			var r report
			if err != nil || json.Unmarshal(out, &r) != nil {
				r.Fault = fmt.Sprint("the child: ", err)
			}
			child <- r
		}()
		heap := openNode()
		tell(try(heap, foreign, unix.O_RDWR|unix.O_CLOEXEC))
		tell(<-child)
	},
	// An ALLOC by a program whose own filter kills it for a socketpair.
	"filter": func() {
		heap := openNode()
		filter := []unix.SockFilter{
			{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // seccomp_data.nr
			{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_SOCKETPAIR, Jf: 1},
			{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_KILL_PROCESS},
			{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		}
		prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
		const flags = unix.SECCOMP_FILTER_FLAG_TSYNC
		_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&prog)))
		if errno != 0 {
			os.Exit(6)
		}
		r := try(heap, foreign, unix.O_RDWR|unix.O_CLOEXEC)
		status, _ := os.ReadFile("/proc/thread-self/status")
		if !strings.Contains(string(status), "Seccomp:\t2") {
			r.Fault += " the filter is gone"
		}
		tell(r)
	},
	"undumpable": func() {
		heap := openNode()
		if err := unix.Setresuid(1234, 1234, 1234); err != nil { // takes dumpability too
			os.Exit(7)
		}
		tell(try(heap, foreign, unix.O_RDWR))
	},
	// Many threads under a timer, whose handler restarts calls or does not.
	"threads": func() { // threads, ALLOCs of each, "restart" or ""
		threads, _ := strconv.Atoi(os.Args[1])
		each, _ := strconv.Atoi(os.Args[2])
		ticks := make(chan os.Signal, 1)
		signal.Notify(ticks, unix.SIGALRM)
		if os.Args[3] != "restart" {
			if errno := sys.InterruptsCalls(unix.SIGALRM); errno != 0 {
				os.Exit(8)
			}
		}
		heap := openNode()
		before := openFDs()
		timer := unix.Itimerval{Interval: unix.Timeval{Usec: 500}, Value: unix.Timeval{Usec: 500}}
		if _, err := unix.Setitimer(unix.ITIMER_REAL, timer); err != nil {
			os.Exit(8)
		}
		var wg sync.WaitGroup
		var good atomic.Int64
		var fault atomic.Value
		for range threads {
			wg.Go(func() {
				runtime.LockOSThread()
				for range each {
					req := request{length: 4096, flags: unix.O_RDWR | unix.O_CLOEXEC}
					if errno := alloc(heap, foreign, &req); errno != 0 {
						fault.Store(errno.Error())
						continue
					}
					var st unix.Stat_t
					if unix.Fstat(int(req.fd), &st) == nil && st.Size == 4096 && unix.Close(int(req.fd)) == nil {
						good.Add(1)
					}
				}
			})
		}
		wg.Wait()
		_, _ = unix.Setitimer(unix.ITIMER_REAL, unix.Itimerval{})
		why, _ := fault.Load().(string)
		tell(report{Count: int(good.Load()), Before: before, After: openFDs(), Fault: why})
	},
	// This door's other process, with the control socket as descriptor 3.
	"agent": func() { Serve(3) },
	"lesser agent": func() {
		withoutCaps(cap.SYS_ADMIN)
		Serve(3)
	},
	"powerless agent": func() {
		withoutCaps(cap.SYS_ADMIN, cap.SYS_PTRACE)
		Serve(3)
	},
	// An agent that is killed at a step.
	"mortal agent": func() {
		newAgent(func(p step, _ int) {
			if string(p) == os.Args[1] {
				_ = unix.Kill(os.Getpid(), unix.SIGKILL)
				select {}
			}
		}).serve(3)
	},
	// A program that belongs to root and may be started by anybody.
	"setuid": func() {
		if os.Getuid() == 0 || os.Geteuid() != 0 {
			os.Exit(13)
		}
		tell(try(openNode(), foreign, unix.O_RDWR))
	},
	// The server's process: a tree at a directory, with an agent behind descriptor 3.
	"server": func() {
		heaps, err := heapnodes.New(config(&files{}, events.NewStream(events.Config{Instance: "test"})))
		if err == nil {
			_, err = mount(os.Args[1], heaps, Open(Config{Start: func() (int, error) { return 3, nil }}))
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(10)
		}
		fmt.Print("x")
		select {}
	},
	// An ALLOC by a thread that traces another process.
	"tracer": func() {
		cmd := exec.Command("sleep", "100")
		if err := cmd.Start(); err != nil {
			os.Exit(11)
		}
		pid := cmd.Process.Pid
		if errno := sys.PtraceSeize(pid, 0); errno != 0 {
			os.Exit(11)
		}
		r := try(openNode(), foreign, unix.O_RDWR)
		if errno := sys.PtraceInterrupt(pid); errno != 0 {
			r.Fault = "no tracer any more: " + errno.Error()
		}
		_ = cmd.Process.Kill()
		tell(r)
	},
	// An ALLOC whose argument can be read and not written.
	"readonly": func() {
		heap := openNode()
		page, errno := sys.RawMap(4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS, ^0, 0)
		if errno != 0 {
			os.Exit(12)
		}
		binary.LittleEndian.PutUint64(sys.RawBytes(page, 8), 4096)
		if _, errno := sys.RawCall(unix.SYS_MPROTECT, page, 4096, unix.PROT_READ); errno != 0 {
			os.Exit(12)
		}
		r := report{Before: openFDs()}
		_, errno = sys.RawCall(unix.SYS_IOCTL, uintptr(heap), uintptr(foreign), page)
		r.Errno, r.After = int(errno), openFDs()
		tell(r)
	},
}
