package main

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "agent" {
		if err := agent(); err != nil {
			fmt.Fprintln(os.Stderr, "guest:", err)
			os.Exit(1)
		}
		return
	}
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "guest: this is /init of a virtual machine: it runs as process 1 only")
		os.Exit(2)
	}
	if err := supervise(); err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
	}
	unix.Sync()
	err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	fmt.Fprintln(os.Stderr, "guest: power off:", err)
}

// supervise starts the agent and reaps all that end until it does.
func supervise() error {
	agent, err := os.StartProcess("/init", []string{"/init", "agent"}, &os.ProcAttr{
		Env:   []string{"PATH=/bin", "HOME=/root", "USER=root", "LC_ALL=C", "TMPDIR=/tmp"},
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
	})
	if err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("wait: %w", err)
		}
		if pid == agent.Pid {
			if status != 0 {
				return fmt.Errorf("the agent ended with status %#x", uint32(status))
			}
			return nil
		}
	}
}
