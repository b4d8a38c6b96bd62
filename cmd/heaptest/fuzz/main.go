package fuzz

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
)

const usage = `usage: heaptest fuzz [flags] -- COMMAND [ARG...]

Executes the same sequences of operations on the heap directory that this process sees and on the one that programs see which COMMAND
starts, and wants the same answers. Exit status: 0 they agree, 1 they differ or the run did not meet its quotas, 2 it could not be run.

`

// Exit statuses of Main.
const (
	exitAgree  = 0
	exitDiffer = 1
	exitBroken = 2
)

// Main is "heaptest fuzz" with what follows it on the command line. It returns the exit status.
func Main(args []string) int {
	if len(args) > 0 {
		switch args[0] {
		case "peer":
			return peer(args[1:])
		case "survivors":
			return survivorsMain()
		}
	}
	r, err := parse(args, os.Stderr)
	if err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "heaptest fuzz:", err)
		}
		return exitBroken
	}
	status, err := r.run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "heaptest fuzz:", err)
	}
	return status
}

func parse(args []string, w io.Writer) (*runner, error) {
	r := &runner{out: os.Stdout, stats: newStats()}
	f := flag.NewFlagSet("fuzz", flag.ContinueOnError)
	f.SetOutput(w)
	f.Usage = func() {
		fmt.Fprint(w, usage)
		f.PrintDefaults()
	}
	f.StringVar(&r.pair.dir, "dir", "/dev/dma_heap", "the heap directory, the same path on both sides")
	f.Uint64Var(&r.seed, "seed", 1, "what the sequences are made from")
	f.IntVar(&r.wanted, "ops", 20000, "how many operations to execute at least")
	f.Int64Var(&r.only, "sequence", -1, "execute this sequence only")
	f.BoolVar(&r.quotas, "quotas", true, "fail if the run does not meet its quotas")
	f.BoolVar(&r.shrinks, "shrink", true, "take out of a failing sequence what it does not need")
	f.IntVar(&r.maxFound, "differences", 5, "stop after so many")
	f.BoolVar(&r.verbose, "v", false, "say how long each sequence took")
	keep := f.String("keep", "", "of --sequence, execute these operations only (numbers with commas)")
	as := f.String("as", AsMemfd, "what buffers are on the other side: memfd, udmabuf or fuse")
	standIns := f.Bool("stand-ins", false, "the other side's sync files are not the kernel's own")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if *as != AsMemfd && *as != AsUdmabuf && *as != AsFuse {
		return nil, fmt.Errorf("--as %s: neither memfd, udmabuf nor fuse", *as)
	}
	if r.pair.prefix = f.Args(); len(r.pair.prefix) == 0 {
		return nil, errors.New("no COMMAND: give the one that shows the other heaps, behind --")
	}
	for _, word := range strings.FieldsFunc(*keep, func(c rune) bool { return c == ',' }) {
		n, err := strconv.Atoi(word)
		if err != nil || r.only < 0 {
			return nil, fmt.Errorf("--keep %s: numbers with commas, and only with --sequence", *keep)
		}
		r.keep = append(r.keep, n)
	}
	r.rules = excuses(*as, *standIns)
	r.flags = fmt.Sprintf("--dir %s --as %s", r.pair.dir, *as)
	if *standIns {
		r.flags += " --stand-ins"
	}
	return r, nil
}

// peer is the process on either side. It starts itself once more so that the Go runtime keeps still.
func peer(args []string) int {
	if len(args) != 1 {
		fmt.Fprintln(os.Stderr, "usage: heaptest fuzz peer DIR")
		return exitBroken
	}
	if os.Getenv("GOGC") != "off" {
		argv := []string{"heaptest", "fuzz", "peer", args[0]}
		err := syscall.Exec("/proc/self/exe", argv, peerEnv)
		fmt.Fprintln(os.Stderr, "heaptest fuzz peer: exec:", err)
		return exitBroken
	}
	if err := peerMain(args[0]); err != nil {
		fmt.Fprintln(os.Stderr, "heaptest fuzz peer:", err)
		return exitBroken
	}
	return 0
}
