package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/heapfs/heapfs/launch"
)

func main() {
	// Before MaybeChild: the server that answers is another process of this program.
	launch.Extend(proposal{})
	launch.MaybeChild()
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: uapi BOARD CMD [ARG...]")
		os.Exit(launch.CodeFailed)
	}
	slog.SetLogLoggerLevel(slog.LevelWarn)
	code, err := launch.Run(launch.RunConfig{Board: os.Args[1], Args: os.Args[2:], LogLevel: slog.LevelWarn})
	if err != nil {
		var e *launch.Error
		if errors.As(err, &e) {
			code = e.Code
		}
		fmt.Fprintln(os.Stderr, "uapi:", err)
	}
	os.Exit(code)
}
