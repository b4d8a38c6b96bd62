package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/control"
)

func newEventsCommand() *cobra.Command {
	var socket string
	var follow bool
	var from uint64
	cmd := &cobra.Command{
		Use:   "events [--socket S] [--from N] [--follow=false]",
		Short: "Print the events of a running instance as JSON lines",
		Long: `events prints the events of a running instance, one JSON object on each line: first
those that the instance still keeps, then each as it happens, until the instance ends.
A reader that is too slow loses events and gets a line of kind "lost" that says how many;
heapfs run --events FILE loses none.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := control.Find(socket)
			if err != nil {
				return err
			}
			defer client.Close()
			ctx, stop := untilUnread(cmd.Context(), cmd.OutOrStdout())
			defer stop()
			lines, err := client.Events(ctx, from, follow)
			if err != nil {
				return err
			}
			defer lines.Close()
			err = copyLines(cmd.OutOrStdout(), lines)
			switch {
			case ctx.Err() != nil:
				return nil // interrupted or unread, which is how one ends to follow
			case errors.Is(err, io.ErrUnexpectedEOF):
				return fmt.Errorf("instance at %s: killed before its last event; buffers whose mappings are alive stay valid", client.Path())
			}
			return err
		},
	}
	addSocketFlag(cmd, &socket)
	cmd.Flags().BoolVar(&follow, "follow", true, "go on until the instance ends")
	cmd.Flags().Uint64Var(&from, "from", 0, "first `number` (seq) to print; 0 for all that are kept")
	cmd.Flags().Bool("json", true, "events are always JSON lines")
	return cmd
}

// untilUnread ends when nobody reads the pipe w any more. A command that only writes would notice at its next line, which may be
// long in coming: `heapfs events | head -n 1` inside an instance would keep the instance alive that it waits for.
func untilUnread(ctx context.Context, w io.Writer) (context.Context, context.CancelFunc) {
	ctx, stop := context.WithCancel(ctx)
	f, ok := w.(*os.File)
	if !ok {
		return ctx, stop
	}
	fds := []unix.PollFd{{Fd: int32(f.Fd())}}
	go func() {
		for ctx.Err() == nil {
			// With no events asked for, only the end of the reader is told.
			n, err := unix.Poll(fds, 250)
			if err == nil && n > 0 {
				stop()
			}
		}
	}()
	return ctx, stop
}

// copyLines copies whole lines, each as soon as it is there. Half a line at
// the end is dropped, as it is no event, and is io.ErrUnexpectedEOF.
func copyLines(w io.Writer, r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		switch {
		case errors.Is(err, io.EOF) && len(line) > 0:
			return io.ErrUnexpectedEOF
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
}
