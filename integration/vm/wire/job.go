package wire

import "time"

// JobPath is where the guest finds its job. It removes the file before the first step starts.
const JobPath = "/.job"

// Port is the serial port that carries the frames. All kernels have the driver built in.
const Port = "/dev/ttyS1"

// Job is what the guest is to do.
type Job struct {
	Marker  string   // begins every frame; random, so that nothing that a program prints is taken for one
	Modules []Module // loaded before the first step, in this order
	Steps   []Step
	Collect []string // files to bring back after the steps
}

// Module is a kernel module, uncompressed.
type Module struct {
	Path   string
	Params string
}

// Step is a shell script.
type Step struct {
	Name    string
	Modules []Module // loaded before it, in this order
	Script  string
	Timeout time.Duration // 0: the boot's own
}

// Hello is the guest's first frame.
type Hello struct {
	Release string // uname -r
}

// Exit is how a step ended.
type Exit struct {
	Status   int // as a shell has it: 128+N after signal N
	TimedOut bool
	Elapsed  time.Duration // by the guest's clock
}

// File announces a collected file; frames of kind Data with its bytes follow.
type File struct {
	Path string
	Size int64 // bytes
}
