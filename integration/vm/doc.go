// Package vm boots a Debian kernel in qemu, runs steps in it and brings back what they said.
//
// It owns the kernels (their packages, fetched once and kept outside the checkout), the initramfs that it makes for each boot, the
// virtual machine, and the judgement of its console. What is to be found out with a kernel lives elsewhere: the steps of
// `make test-vm` are in integration/vm/judge. The program that is process 1 in the virtual machine is integration/vm/guest, and
// what it says to this package is in integration/vm/wire.
//
//	result, err := vm.Boot(ctx, vm.Config{
//		Kernel:  "6.12",
//		Modules: []string{"vgem", "vivid n_devs=2 allocators=0,1"},
//		Files:   map[string]string{"/bin/heapfs": "bin/heapfs", "/bin/client": client}, // guest path: host path, static programs
//		Steps: []vm.Step{
//			{Name: "kernel", Script: "client /dev/dma_heap", Timeout: time.Minute},
//			{Name: "heapfs", Script: "heapfs run -- client > /tmp/out", Timeout: time.Minute},
//		},
//		Collect: []string{"/tmp/out"},
//	})
//	if err != nil { … }              // the virtual machine or its kernel failed: errors.Is(err, vm.ErrDied), …
//	result.Step("kernel").Status     // exit status of the step's script, run by busybox's sh
//	result.Files["/tmp/out"]         // bytes of a collected file; a file that is not there is missing here
//
// Steps run one after the other, each in its own session and with its own time limit; a step that fails does not keep the later
// ones from running. A step that does not succeed is no error of Boot: see Result.Failed. Boot's error is for everything after which
// the steps' own word counts for nothing: no package, no qemu, a machine that does not come up, dies, hangs, or whose kernel
// complains (panic, oops, BUG, WARNING, out of memory).
//
// A guest has /proc, /sys (with cgroup2 and debugfs), /dev with pts and shm, tmpfs on /tmp and /run, busybox in /bin, root and an ordinary
// user (uid 1001, `su user -c CMD`). It has no network and no disk. Programs must be static: there is no C library.
//
// By hand: go run ./integration/vm/cmd/vmrun -kernel 6.12 -file bin/heapfs:/bin/heapfs -- 'heapfs doctor'
//
// Judging tests run by `make test-vm` only. This package's own tests need neither qemu nor a network.
package vm
