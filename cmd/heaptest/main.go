package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/cmd/heaptest/fuzz"
	"github.com/heapfs/heapfs/cmd/heaptest/rows"
)

// Exit statuses.
const (
	statusOK    = 0
	statusFail  = 1 // a row FAILs
	statusUsage = 2
)

func init() {
	// The first thread tries the row, so that "a thread that is not the first" means something.
	runtime.LockOSThread()
}

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	if len(args) > 0 {
		switch args[0] {
		case rowCommand:
			return tryRow(args[1:])
		case rows.HelperCommand:
			return playHelper(args[1:])
		case "fuzz":
			return fuzz.Main(args[1:])
		case "report":
			return writeReport(args[1:], os.Stdout)
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	return suite(ctx, args)
}

// complain tells why nothing can be done.
func complain(err error) int {
	if !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "heaptest:", err)
	}
	return statusUsage
}
