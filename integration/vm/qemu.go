package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Environment variables for people: a qemu of their own, and an accelerator that is not probed for.
const (
	qemuEnv  = "HEAPFS_VM_QEMU"
	accelEnv = "HEAPFS_VM_ACCEL"
)

func findQEMU() (string, error) {
	name := os.Getenv(qemuEnv)
	if name == "" {
		name = "qemu-system-x86_64"
	}
	file, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%w: %s: apt-get install qemu-system-x86, or scripts/deps.sh vm", ErrTools, name)
	}
	return file, nil
}

// kernelArgs: what the kernel does against the leaks of real processors costs a third of the time under tcg, and changes no answer. A panic ends the machine (panic=-1 with -no-reboot), an oops is a panic, warnings reach the console. The watchdogs measure
// the host here, which may be busy, and not the kernel.
const kernelArgs = "console=ttyS0 loglevel=5 oops=panic panic=-1 rdinit=/init nowatchdog mitigations=off rcupdate.rcu_cpu_stall_suppress=1"

// cpuTCG is all that tcg can do, less what costs it about a tenth of the time and changes no answer: a fifth level of page tables, and
// the guards of the kernel's against its own accesses to a program's memory.
const cpuTCG = "max,la57=off,smap=off,smep=off,umip=off"

// resultFD is the descriptor in qemu of the guest's second serial port.
const resultFD = 3

func qemuArgs(cfg Config, accel, kernel, initrd string) []string {
	cpu := cpuTCG
	if accel == "kvm" {
		cpu = "host"
	}
	return []string{
		"-accel", accel, "-cpu", cpu, "-smp", strconv.Itoa(cfg.CPUs), "-m", strconv.Itoa(cfg.Memory),
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-net", "none",
		"-serial", "stdio",
		"-chardev", fmt.Sprintf("file,id=result,path=/dev/fd/%d", resultFD), "-serial", "chardev:result",
		"-kernel", kernel, "-initrd", initrd,
		"-append", strings.TrimSpace(kernelArgs + " " + cfg.Append),
	}
}

// probeTime is how long a machine under kvm may take to come up, run nothing, and end.
const probeTime = 20 * time.Second

var probed struct {
	sync.Mutex
	accel string
}

// accelerator says what to run the processor by: kvm where a machine under it really comes up (it may exist and hang), else tcg.
func accelerator(ctx context.Context, cfg Config) string {
	if given := os.Getenv(accelEnv); given != "" {
		return given
	}
	probed.Lock()
	defer probed.Unlock()
	if probed.accel == "" {
		probed.accel = "tcg"
		if kvmThere() {
			probe := Config{Kernel: cfg.Kernel, Memory: cfg.Memory, CPUs: cfg.CPUs, Timeout: probeTime, Up: probeTime}
			if _, err := boot(ctx, probe, "kvm"); err == nil {
				probed.accel = "kvm"
			} else if ctx.Err() != nil {
				probed.accel = "" // not the answer to the question
				return "tcg"
			}
		}
	}
	return probed.accel
}

func kvmThere() bool {
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	return errors.Join(err, f.Close()) == nil
}
