package vm

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Config says what to boot and what to do in it. Kernel is all that must be given.
type Config struct {
	Kernel  string            // version in the table Kernels: "6.12"
	Modules []string          // "NAME PARAM=VALUE …", with their dependencies loaded first
	Files   map[string]string // guest path: host path of a file or a folder; modes are the host's
	Texts   map[string]string // guest path: contents; executable
	Steps   []Step            // run one after the other
	Script  string            // instead of Steps: one step named "script"
	Collect []string          // guest paths of files to bring back after the last step; 200 KiB/s or so, 16 MiB with all output

	Memory  int           // MiB; 2048 if 0
	CPUs    int           // 2 if 0
	Timeout time.Duration // for the whole boot, from the start of qemu; 3 minutes if 0
	Up      time.Duration // of which this much until the first step; 90 s if 0

	Output io.Writer // gets what the steps print, as they print it; may be nil
	Append string    // more for the kernel's command line
	Image  string    // host path of a kernel to boot in place of Kernel's own
}

// Step is a script for busybox's sh. It runs as root in /tmp, in a session of its own.
type Step struct {
	Name    string        // one word, unique in a boot
	Script  string        // its exit status is the step's
	Timeout time.Duration // in the guest; none of its own if 0
	Modules []string      // loaded before this step and there from then on; like Config.Modules
}

// withDefaults checks a configuration and fills in what it leaves out.
func (c Config) withDefaults() (Config, error) {
	if c.Script != "" {
		if len(c.Steps) > 0 {
			return c, errors.New("vm: Script and Steps: give one of them")
		}
		c.Steps = []Step{{Name: "script", Script: c.Script}}
	}
	var names []string
	for _, step := range c.Steps {
		if step.Name == "" || strings.ContainsAny(step.Name, " \t\n") || slices.Contains(names, step.Name) {
			return c, fmt.Errorf("vm: step name %q: one word, unique in a boot", step.Name)
		}
		names = append(names, step.Name)
	}
	if c.Memory == 0 {
		c.Memory = 2048
	}
	if c.CPUs == 0 {
		c.CPUs = 2
	}
	if c.Timeout == 0 {
		c.Timeout = 3 * time.Minute
	}
	if c.Up == 0 {
		c.Up = 90 * time.Second
	}
	return c, nil
}
