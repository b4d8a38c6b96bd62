package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"time"
)

const (
	allocSamples  = 3000
	ioctlSamples  = 60 // of 1,000 calls each
	mapSamples    = 16 // passes over 8 MiB
	launchSamples = 3
	traceSamples  = 500
	liveBuffers   = 1000

	mapBytes = 8 << 20
	micro    = 1e3 // nanoseconds

	allocTarget = 2.5  // times the floor, at most
	ioctlTarget = 0.1  // µs more than the floor, at most
	traceTarget = 2    // times the floor, at most
	mapTarget   = 0.95 // of the floor, at least
)

// calls measures what a program under run does, beside what the same program does outside.
func calls(s *site, rounds int) (figures []figure, err error) {
	type side struct {
		what    string
		samples int
		client  *client
	}
	inside, err := start("under run", s.heapfs, "run", "--", s.client, "serve")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, inside.stop()) }()
	outside, err := start("outside", s.client, "serve")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, outside.stop()) }()
	notify, err := start("with a listener of its own", s.client, "notify")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, notify.stop()) }()

	r := records{}
	for range rounds {
		for _, x := range []side{
			{"alloc", allocSamples, inside}, {"notify", allocSamples, notify}, {"memfd", allocSamples, outside},
			{"other", ioctlSamples, inside}, {"other", ioctlSamples, outside}, {"other", ioctlSamples, notify},
			{"map", mapSamples, inside},
		} {
			a, err := x.client.ask(x.what, x.samples)
			if err != nil {
				return nil, err
			}
			for name, v := range a {
				r.add(x.client.name+" "+name, v)
			}
		}
	}
	notification, memfd := r.of("with a listener of its own notify", micro), r.of("outside memfd", micro)
	figures = []figure{
		{
			Name: "ALLOC + close of 1 MiB", Unit: "µs", Value: r.of("under run alloc", micro),
			Floor: notification.plus(memfd), FloorIs: "empty notification + memfd_create, ftruncate, close",
			Parts:  map[string]measured{"notification": notification, "memfd": memfd},
			Target: atMost(times, allocTarget),
		},
		{
			Name: "any other ioctl", Unit: "µs", Value: r.of("under run other", micro), Floor: r.of("outside other", micro),
			FloorIs: "FIONREAD on a pipe without heapfs", Target: atMost(more, ioctlTarget),
		},
		{
			Name: "  of it by heapfs's filter", Unit: "µs", Value: r.of("under run other", micro),
			Floor: r.of("with a listener of its own other", micro), FloorIs: "the same under a filter of six instructions", Target: target{How: more},
		},
	}
	for _, pass := range []string{"write", "read"} {
		figures = append(figures, figure{
			Name: "mapped buffer, " + pass, Unit: "GB/s", Value: r.speed("under run buffer_"+pass, mapBytes),
			Floor: r.speed("under run memfd_"+pass, mapBytes), FloorIs: "a plain memfd of 8 MiB in the same process",
			Target: atLeast(times, mapTarget),
		})
	}
	return figures, nil
}

// traces measures what a program gets from a mounted heap directory, beside the stops and calls that this takes. Root's affair.
func traces(s *site, rounds int) (figures []figure, err error) {
	if os.Geteuid() != 0 || runtime.GOARCH != "amd64" {
		return nil, nil
	}
	dir := filepath.Join(s.dir, "heaps")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	end, err := mounted(s.heapfs, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, end()) }()

	caller, err := s.serve("through mount", "HEAP_DIR="+dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, caller.stop()) }()
	tracer, err := s.serve("tracing")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, tracer.stop()) }()
	r := records{}
	for _, with := range []string{"", " beside others"} {
		if with != "" {
			holder, err := s.serve("that holds buffers", "HEAP_DIR="+dir)
			if err != nil {
				return nil, err
			}
			defer func() { err = errors.Join(err, holder.stop()) }()
			if _, err := holder.ask("keep", liveBuffers); err != nil {
				return nil, err
			}
		}
		for range rounds {
			for _, c := range []*client{caller, tracer} {
				what := map[*client]string{caller: "alloc", tracer: "stops"}[c]
				a, err := c.ask(what, traceSamples)
				if err != nil {
					return nil, err
				}
				r.add(what+with, a[what])
			}
		}
	}
	for _, row := range []struct{ name, with string }{
		{"mount: ALLOC + close of 1 MiB", ""},
		{fmt.Sprintf("  with %d live buffers", liveBuffers), " beside others"},
	} {
		figures = append(figures, figure{
			Name: row.name, Unit: "µs", Value: r.of("alloc"+row.with, micro), Floor: r.of("stops"+row.with, micro),
			FloorIs: "9 ptrace stops and 4 injected calls of a child", Target: atMost(times, traceTarget),
		})
	}
	return figures, nil
}

// mounted starts `heapfs mount` and waits until dir is served. end unmounts it.
func mounted(heapfs, dir string) (end func() error, err error) {
	cmd := exec.Command(heapfs, "mount", "--grace", "0s", dir)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	end = func() error {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			return err
		}
		return cmd.Wait()
	}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if _, err := os.Stat(filepath.Join(dir, "system")); err == nil {
			return end, nil
		}
	}
	return nil, errors.Join(fmt.Errorf("heapfs mount %s is not usable", dir), end())
}

// launches measures `run -- true`, as who runs bench and, for root, as an ordinary user too.
func launches(s *site, rounds int) ([]figure, error) {
	users := map[string][]string{}
	order := []string{"an ordinary user"}
	prefix, err := asUser()
	if err == nil {
		users["an ordinary user"] = prefix
	}
	if os.Geteuid() == 0 {
		users["root"] = nil
		order = append([]string{"root"}, order...)
	}
	r := records{}
	for range rounds {
		for who, prefix := range users {
			argv := append(append([]string{}, prefix...), s.client, "launch", strconv.Itoa(launchSamples), s.heapfs, "run", "--", "true")
			a, oerr := once(argv...)
			if oerr != nil {
				err = errors.Join(err, oerr)
				delete(users, who)
				continue
			}
			for name, v := range a {
				r.add(who+" "+name, v)
			}
		}
	}
	var figures []figure
	for _, who := range order {
		if _, ok := users[who]; !ok {
			continue
		}
		figures = append(figures, figure{
			Name: "run -- true, " + who, Unit: "ms", Value: r.of(who+" run", micro*micro), Floor: r.of(who+" true", micro*micro),
			FloorIs: "true", Target: target{How: more},
		})
	}
	return figures, err
}
