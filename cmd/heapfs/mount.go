package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/heapfs/heapfs/launch"
)

func newMountCommand() *cobra.Command {
	var cfg launch.MountConfig
	cmd := &cobra.Command{
		Use:   "mount [flags] DIR",
		Short: "Mount a virtual /dev/dma_heap for programs that heapfs did not start",
		Long: `mount serves the board's heap nodes at DIR, in the foreground, to every process that can reach them there: containers,
services, programs that run already. It needs root, or a user namespace of its own (docs/mount.md). heapfs writes nothing on stderr when all is well, and
tells a service manager by sd_notify when DIR can be used.

SIGTERM, SIGINT and SIGHUP unmount DIR and refuse further buffers. Live ones are served until they are gone or the grace has passed; another
signal ends that at once. Mappings stay valid; of the export fuse-cached only the pages that were touched.

Exit status: 0 after such an end; 1 when DIR could not be mounted.`,
		Example: `  heapfs mount /dev/dma_heap
  heapfs mount --board imx8mq-evk --events events.jsonl /run/heaps
  docker run -v /run/heaps:/dev/dma_heap ...`,
		DisableFlagsInUseLine: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("mount: one directory to mount on; give it as in: heapfs mount DIR")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			cfg.Dir = args[0]
			cfg.Version = versionString()
			if cfg.Grace < 0 {
				return fmt.Errorf("mount: --grace %s: it can't be negative; 0 waits for nothing", cfg.Grace)
			}
			if err := launch.Mount(cfg); err != nil {
				return fmt.Errorf("mount: %w", err)
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&cfg.Board, "board", "generic", "a built-in `board` (heapfs board list), or a board file: a path with a slash or ending in .yaml")
	addHeapNamesFlag(cmd, &cfg.HeapNames)
	flags.StringVar(&cfg.Export, "export", "auto", "`how` buffers are handed out: auto, fuse, fuse-cached, memfd or udmabuf")
	flags.StringArrayVar(&cfg.Faults, "fault", nil, "a failure on demand, as for heapfs run; `SPEC` may be repeated")
	flags.StringVar(&cfg.Events, "events", "", "write every event to `file`, one JSON object a line; what it held before is lost")
	flags.StringVar(&cfg.Socket, "socket", "", "`path` of the control socket, instead of the usual place")
	flags.StringVar(&cfg.Sysfs, "sysfs", "", "a `directory` that is to show the heaps and devices as /sys does, to be bound where programs look")
	flags.DurationVar(&cfg.Grace, "grace", launch.DefaultGrace, "how long live buffers are waited for at the end")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fmt.Errorf("mount: %w; see heapfs mount --help", err) })
	return cmd
}
