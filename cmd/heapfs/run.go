package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/heapfs/heapfs/launch"
)

func newRunCommand() *cobra.Command {
	var cfg launch.RunConfig
	cmd := &cobra.Command{
		Use:   "run [flags] -- CMD [ARG...]",
		Short: "Run an unmodified program with a virtual /dev/dma_heap",
		Long: `run starts CMD in a private mount namespace (and a user namespace when not root) in which /dev/dma_heap holds the board's
heap nodes, and /sys tells of them and of the board's devices. The rest is as outside (docs/run.md has the limits). heapfs writes nothing on
stderr when all is well.

Exit status: CMD's; 128+N when signal N ended it; 125 when heapfs itself could not start; 126 when CMD can't be executed;
127 when it is not found.`,
		Example: `  heapfs run -- ls /dev/dma_heap
  heapfs run --board imx8mq-evk --events events.jsonl -- ./decoder video.mp4
  heapfs run --board imx8mq-evk --bind /dev/video0=38300000.video-codec -- v4l2-ctl -d /dev/video0 ...
  heapfs run --fault system:alloc=ENOMEM@3 -- ./decoder video.mp4`,
		DisableFlagsInUseLine: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &exitError{code: launch.CodeFailed, err: errors.New("run: no command to run; give it after --, as in: heapfs run -- CMD")}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			cfg.Args = args
			cfg.Version = versionString()
			cfg.LogLevel = logLevel.Level()
			code, err := launch.Run(cfg)
			if err != nil {
				var e *launch.Error
				if errors.As(err, &e) {
					code = e.Code
				}
				return &exitError{code: code, err: fmt.Errorf("run: %w", err)}
			}
			if code != 0 {
				return &exitError{code: code}
			}
			return nil
		},
	}
	flags := cmd.Flags()
	// What follows CMD is CMD's, with or without --.
	flags.SetInterspersed(false)
	flags.StringVar(&cfg.Board, "board", "generic", "a built-in `board` (heapfs board list), or a board file: a path with a slash or ending in .yaml")
	addHeapNamesFlag(cmd, &cfg.HeapNames)
	flags.StringVar(&cfg.Export, "export", "auto", "`how` buffers are handed out: auto, memfd, fuse, fuse-cached or udmabuf")
	flags.StringArrayVar(&cfg.Faults, "fault", nil, "a failure on demand, may be repeated; `SPEC` is HEAP:alloc=ERRNO[@N|@every=N], HEAP:delay=DURATION, HEAP:fragment=SEED")
	flags.StringArrayVar(&cfg.Binds, "bind", nil, "`NODE=DEVICE`: a buffer that CMD gives to the driver of the real NODE must suit DEVICE of the board; may be repeated")
	flags.StringVar(&cfg.Events, "events", "", "write every event to `file`, one JSON object a line; what it held before is lost")
	flags.StringVar(&cfg.Socket, "socket", "", "`path` of the control socket, instead of the usual place")
	flags.StringVar(&cfg.User, "user", "", "run CMD as this `user` (name or number); only for root")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return &exitError{code: launch.CodeFailed, err: fmt.Errorf("run: %w; see heapfs run --help", err)}
	})
	return cmd
}
