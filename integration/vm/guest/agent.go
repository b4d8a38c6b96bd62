package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/integration/vm/wire"
)

// agent does the job and reports. An error is one that could not be reported.
func agent() error {
	if err := mountAll(); err != nil {
		return err
	}
	job, err := takeJob()
	if err != nil {
		return err
	}
	port, err := openPort()
	if err != nil {
		return err
	}
	out := wire.NewWriter(port, job.Marker)
	if err := work(job, out); err != nil {
		if err := out.Write(wire.KindFault, -1, []byte(err.Error())); err != nil {
			return err
		}
	}
	if err := out.Write(wire.KindEnd, -1, nil); err != nil {
		return err
	}
	return drain(port)
}

func work(job wire.Job, out *wire.Writer) error {
	var uname unix.Utsname
	if err := unix.Uname(&uname); err != nil {
		return fmt.Errorf("uname: %w", err)
	}
	if err := send(out, wire.KindHello, -1, wire.Hello{Release: unix.ByteSliceToString(uname.Release[:])}); err != nil {
		return err
	}
	if err := load(job.Modules); err != nil {
		return err
	}
	// What a login gives: 1024 descriptors, and more for who asks.
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 1024, Max: 524288}); err != nil {
		return fmt.Errorf("limit of open files: %w", err)
	}
	for i, step := range job.Steps {
		if err := load(step.Modules); err != nil {
			return fmt.Errorf("step %s: %w", step.Name, err)
		}
		if err := runStep(i, step, out); err != nil {
			return fmt.Errorf("step %s: %w", step.Name, err)
		}
	}
	for _, path := range job.Collect {
		if err := sendFile(out, path); err != nil {
			return err
		}
	}
	return nil
}

// takeJob reads the job and removes it: its marker is nobody else's business.
func takeJob() (wire.Job, error) {
	var job wire.Job
	data, err := os.ReadFile(wire.JobPath)
	if err != nil {
		return job, err
	}
	if err := os.Remove(wire.JobPath); err != nil {
		return job, err
	}
	if err := json.Unmarshal(data, &job); err != nil {
		return job, fmt.Errorf("%s: %w", wire.JobPath, err)
	}
	return job, nil
}

// openPort opens the serial port as a line that changes no byte.
func openPort() (*os.File, error) {
	port, err := os.OpenFile(wire.Port, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	fd := int(port.Fd())
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", wire.Port, err)
	}
	t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
	t.Cflag = unix.CS8 | unix.CREAD | unix.CLOCAL | unix.B115200
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, t); err != nil {
		return nil, fmt.Errorf("%s: raw mode: %w", wire.Port, err)
	}
	return port, nil
}

// drain waits until the last byte has left: switching off does not.
func drain(port *os.File) error {
	if err := unix.IoctlSetInt(int(port.Fd()), unix.TCSBRK, 1); err != nil {
		return fmt.Errorf("%s: drain: %w", wire.Port, err)
	}
	return nil
}

// load loads modules and opens the devices that they bring.
func load(modules []wire.Module) error {
	for _, module := range modules {
		if err := loadOne(module); err != nil {
			return err
		}
	}
	return openDevices()
}

func loadOne(module wire.Module) error {
	f, err := os.Open(module.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), module.Params, 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("module %s %s: %w", module.Path, module.Params, err)
	}
	return nil
}

func send(out *wire.Writer, kind wire.Kind, step int, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return out.Write(kind, step, data)
}

// sendFile sends a file. One that is not there is not sent: whoever wants it notices.
func sendFile(out *wire.Writer, path string) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := send(out, wire.KindFile, -1, wire.File{Path: path, Size: int64(len(data))}); err != nil {
		return err
	}
	return out.Write(wire.KindData, -1, data)
}
