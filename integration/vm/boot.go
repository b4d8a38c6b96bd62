package vm

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/heapfs/heapfs/integration/vm/wire"
)

// Boot boots a kernel, runs the steps, and returns what they said. Fetching the kernel, the first time, is limited by ctx alone;
// from the start of qemu on, Config.Timeout counts too.
//
// An error wraps one of ErrPackage, ErrTools, ErrNotUp, ErrDied, ErrTimeout, ErrGuest and ErrKernel, and says with what the console
// ended. The result is nil only when no machine was started.
func Boot(ctx context.Context, cfg Config) (*Result, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return boot(ctx, cfg, accelerator(ctx, cfg))
}

func boot(ctx context.Context, cfg Config, accel string) (*Result, error) {
	qemu, err := findQEMU()
	if err != nil {
		return nil, err
	}
	image, err := Prepare(ctx, cfg.Kernel)
	if err != nil {
		return nil, err
	}
	job, files, err := plan(image, cfg)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "heapfs-vm-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	initrd := filepath.Join(dir, "initramfs")
	if err := initramfs(ctx, initrd, cfg, job, files); err != nil {
		return nil, err
	}
	kernel := cmp.Or(cfg.Image, image.Vmlinux, image.Vmlinuz)
	m := &machine{
		cfg:    cfg,
		marker: job.Marker,
		result: &Result{Kernel: cfg.Kernel, Accel: accel, Files: map[string][]byte{}},
	}
	err = m.run(ctx, qemu, qemuArgs(cfg, accel, kernel, initrd))
	return m.result, m.judge(err)
}

// plan makes the guest's job, and says which modules it needs: guest path, host path.
func plan(image Image, cfg Config) (wire.Job, map[string]string, error) {
	job := wire.Job{Marker: rand.Text(), Collect: cfg.Collect}
	modules, err := image.loader()
	if err != nil {
		return job, nil, err
	}
	if job.Modules, err = modules.load(append(slices.Clone(image.Kernel.modules), cfg.Modules...)); err != nil {
		return job, nil, err
	}
	for _, step := range cfg.Steps {
		own, err := modules.load(step.Modules)
		if err != nil {
			return job, nil, fmt.Errorf("step %s: %w", step.Name, err)
		}
		job.Steps = append(job.Steps, wire.Step{Name: step.Name, Modules: own, Script: step.Script, Timeout: step.Timeout})
	}
	return job, modules.files, nil
}

// machine is one qemu.
type machine struct {
	cfg     Config
	marker  string
	result  *Result
	console console
	said    listener
}

// run runs qemu until it ends or must be ended.
func (m *machine) run(ctx context.Context, qemu string, args []string) error {
	start := time.Now()
	defer func() {
		m.result.Elapsed = time.Since(start)
		m.result.Console = m.console.String()
		m.said.into(m.result)
	}()
	whole, cancel := context.WithTimeoutCause(ctx, m.cfg.Timeout, ErrTimeout)
	defer cancel()
	running, stop := context.WithCancelCause(whole)
	defer stop(nil)

	out, in, err := os.Pipe()
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.CommandContext(running, qemu, args...)
	cmd.Stdout = &m.console
	cmd.Stderr = &m.console // qemu's own words, where it cannot start
	cmd.ExtraFiles = []*os.File{in}
	cmd.WaitDelay = 5 * time.Second
	// A test that is killed must not leave a machine behind.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	err = cmd.Start()
	in.Close()
	if err != nil {
		return fmt.Errorf("%w: %s: %v", ErrTools, qemu, err)
	}
	up := time.AfterFunc(m.cfg.Up, func() { stop(errNotYetUp) })
	defer up.Stop()
	m.said.prepare(m.cfg, func() {
		if up.Stop() {
			m.result.Up = time.Since(start)
		}
	})
	listened := make(chan error, 1)
	go func() {
		err := m.said.listen(wire.NewReader(out, m.marker))
		if err != nil {
			stop(err) // nothing more can be learned from this machine
		}
		// Who stops reading must let qemu write on, or it would never end.
		_, _ = io.Copy(io.Discard, out)
		listened <- err
	}()
	waited := cmd.Wait()
	listenErr := <-listened
	if cause := context.Cause(running); cause != nil {
		return cause
	}
	if listenErr != nil {
		return listenErr
	}
	return waited
}

var errNotYetUp = errors.New("the first step has not begun in its time")

// judge turns the end of a machine into Boot's error: nil only if the guest has said that it is through, and its kernel has not
// complained.
func (m *machine) judge(err error) error {
	r := m.result
	var f failure
	switch {
	case errors.Is(err, ErrTools) || errors.Is(err, ErrTooMuch):
		f.add(err, err.Error())
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		f.add(err, fmt.Sprintf("the boot was broken off %s: %v", m.where(), err))
	case errors.Is(err, ErrTimeout) && r.Release != "":
		f.add(ErrTimeout, fmt.Sprintf("%v: %v are over %s", ErrTimeout, m.cfg.Timeout, m.where()))
	case r.Release == "":
		f.add(ErrNotUp, fmt.Sprintf("%v: %s", ErrNotUp, m.whyNotUp(err)))
	case m.said.fault != "":
		f.add(ErrGuest, fmt.Sprintf("%v: %s", ErrGuest, m.said.fault))
	case errors.Is(err, wire.ErrGarbled):
		f.add(err, fmt.Sprintf("%v %s: %v", ErrDied, m.where(), err))
	case !m.said.ended:
		f.add(ErrDied, fmt.Sprintf("%v %s", ErrDied, m.where()))
	}
	if complaints := Complaints(r.Console); len(complaints) > 0 {
		f.add(ErrKernel, fmt.Sprintf("%v: %s", ErrKernel, strings.Join(complaints[:min(3, len(complaints))], " / ")))
	}
	if len(f.kinds) == 0 {
		return nil
	}
	f.text = fmt.Sprintf("vm: Linux %s (%s): %s\n%s", r.Kernel, r.Accel, f.text, r.Tail())
	return &f
}

// where says how far the steps were.
func (m *machine) where() string {
	steps := m.result.Steps
	if len(steps) == 0 {
		return "before the first step"
	}
	last := steps[len(steps)-1]
	if last.Ended {
		return "after step " + last.Name
	}
	return "in step " + last.Name
}

func (m *machine) whyNotUp(err error) string {
	switch {
	case errors.Is(err, errNotYetUp):
		return fmt.Sprintf("no sign of its first step within %v", m.cfg.Up)
	case errors.Is(err, ErrTimeout):
		return fmt.Sprintf("no sign of its first step within %v", m.cfg.Timeout)
	case err != nil:
		return fmt.Sprintf("qemu: %v", err)
	default:
		return "it ended without a word"
	}
}
