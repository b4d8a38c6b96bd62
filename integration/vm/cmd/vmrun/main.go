package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/integration/vm"
)

// list is a flag that may be given several times.
type list []string

func (l *list) String() string { return strings.Join(*l, " ") }

func (l *list) Set(value string) error {
	*l = append(*l, value)
	return nil
}

const statusFailed = 125

func main() {
	status, err := run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "vmrun:", err)
	}
	os.Exit(status)
}

func run() (int, error) {
	var files, modules, collect list
	cfg := vm.Config{Output: os.Stdout}
	flag.StringVar(&cfg.Kernel, "kernel", "6.12", "kernel `version`")
	flag.Var(&files, "file", "`HOST:GUEST` file or folder to put in; may be given again")
	flag.Var(&modules, "module", "`NAME PARAM=VALUE` module to load; may be given again")
	flag.Var(&collect, "collect", "guest `path` of a file to bring back into the current directory; may be given again")
	flag.IntVar(&cfg.Memory, "memory", 2048, "`MiB`")
	flag.IntVar(&cfg.CPUs, "cpus", 2, "processors")
	flag.StringVar(&cfg.Append, "append", "", "more for the kernel's command line")
	flag.DurationVar(&cfg.Timeout, "timeout", 5*time.Minute, "time for the whole boot")
	fetch := flag.Bool("fetch", false, "only fetch and unpack the kernel")
	console := flag.Bool("console", false, "print the kernel's console at the end, on stderr")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	if *fetch {
		image, err := vm.Prepare(ctx, cfg.Kernel)
		if err != nil {
			return statusFailed, err
		}
		fmt.Println(image.Vmlinuz)
		return 0, nil
	}
	cfg.Script = strings.Join(flag.Args(), " ")
	cfg.Modules, cfg.Collect, cfg.Files = modules, collect, map[string]string{}
	for _, file := range files {
		host, guest, ok := strings.Cut(file, ":")
		if !ok {
			return statusFailed, fmt.Errorf("-file %q: want HOST:GUEST", file)
		}
		cfg.Files[guest] = host
	}
	result, err := vm.Boot(ctx, cfg)
	if result != nil && *console {
		fmt.Fprintln(os.Stderr, result.Console)
	}
	if err != nil {
		return statusFailed, err
	}
	for path, data := range result.Files {
		if err := os.WriteFile(filepath.Base(path), data, 0o644); err != nil {
			return statusFailed, err
		}
	}
	fmt.Fprintf(os.Stderr, "vmrun: Linux %s, up in %.1f s, ended in %.1f s\n", result.Release, result.Up.Seconds(), result.Elapsed.Seconds())
	if cfg.Script == "" {
		return 0, nil
	}
	return result.Step("script").Status, nil
}
