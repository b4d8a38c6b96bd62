// Command heapfs presents a virtual /dev/dma_heap to unmodified programs.
//
// Each file of this package is one subcommand: flags, output and exit status. What a subcommand does lives in the packages.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/heapfs/heapfs/doctor"
	"github.com/heapfs/heapfs/launch"
)

// exitError ends the program with a status of its own; err may be nil when all has been said.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func main() {
	launch.MaybeChild()
	doctor.MaybeChild()
	err := newRootCommand().ExecuteContext(context.Background())
	if err == nil {
		return
	}
	code := 1
	var e *exitError
	if errors.As(err, &e) {
		code, err = e.code, e.err
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "heapfs:", err)
	}
	os.Exit(code)
}

// logLevel is --log-level, or what -v stands for.
var logLevel slog.LevelVar

func newRootCommand() *cobra.Command {
	var verbose bool
	var level string
	root := &cobra.Command{
		Use:   "heapfs",
		Short: "A virtual /dev/dma_heap for unmodified programs",
		Long: `heapfs presents a virtual /dev/dma_heap: a node per heap type and a node per device of a board.
Unmodified programs open the nodes, allocate, map, sync and share buffers, on machines that have no such heaps.`,
		SilenceUsage: true, SilenceErrors: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("no command %q; see heapfs --help", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(*cobra.Command, []string) error {
			logLevel.Set(slog.LevelWarn)
			if verbose {
				logLevel.Set(slog.LevelInfo)
			}
			if level != "" {
				var l slog.Level
				if err := l.UnmarshalText([]byte(level)); err != nil {
					return &exitError{code: launch.CodeFailed, err: fmt.Errorf("--log-level %q: use debug, info, warn or error", level)}
				}
				logLevel.Set(l)
			}
			slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: &logLevel})))
			return nil
		},
	}
	root.PersistentFlags().BoolVarP(&verbose, "verbose", "v", false, "say on stderr what is decided")
	root.PersistentFlags().StringVar(&level, "log-level", "", "debug, info, warn (as without) or error")
	root.AddCommand(
		newRunCommand(), newMountCommand(), newDemoCommand(), newDemoClientCommand(), newDoctorCommand(), newBoardCommand(),
		newLsCommand(), newBuffersCommand(), newEventsCommand(), newNegotiateCommand(), newPolicyCommand(), newVersionCommand(),
	)
	return root
}
