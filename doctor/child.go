package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// childName is argv[0] of a probe's child: the only mark that tells it
	// from the program, so that no flag and no environment variable is
	// taken for it.
	childName = "heapfs-doctor-probe"

	// timeLimit bounds each child, and so each group of probes.
	timeLimit = 5 * time.Second

	// childLimit is the child's own end, should the parent be stopped or
	// frozen when the time is up.
	childLimit = 8 * time.Second
)

// roles are what a child can be: the argument after childName.
var roles = map[string]func(args []string) []finding{
	roleUserNS:    userNamespaceRole,
	roleMounts:    mountsRole,
	roleSeccomp:   seccompRole,
	roleProcesses: processesRole,
	roleMemory:    memoryRole,
	roleSyncFiles: syncFilesRole,
	roleEnter:     enterRole,
	roleTarget:    targetRole,
}

const (
	roleUserNS    = "user-namespace"
	roleMounts    = "mounts"
	roleSeccomp   = "seccomp"
	roleProcesses = "processes"
	roleMemory    = "memory"
	roleSyncFiles = "sync-files"
	roleTarget    = "target"
	roleEnter     = "enter"
)

// MaybeChild does nothing and returns, unless this process is the child of a
// probe: then it makes the probe and exits. main and TestMain call it before
// anything else.
func MaybeChild() {
	if len(os.Args) < 2 || os.Args[0] != childName {
		return
	}
	time.AfterFunc(childLimit, func() { os.Exit(3) })
	role, ok := roles[os.Args[1]]
	if !ok {
		fmt.Fprintf(os.Stderr, "%s: no probe %q\n", childName, os.Args[1])
		os.Exit(2)
	}
	if err := json.NewEncoder(os.Stdout).Encode(role(os.Args[2:])); err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

// childCommand is this program again, as a probe's child.
func childCommand(ctx context.Context, role string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Args = append([]string{childName, role}, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL}
	// The group, not only the child: a probe may have a child of its own.
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = time.Second
	// Without these os/exec opens /dev/null, which may not be there.
	cmd.Stdin, cmd.Stderr = strings.NewReader(""), io.Discard
	return cmd
}

// namespaces makes cmd's process the only one of new namespaces. In a user
// namespace it is its own uid and gid, as heapfs run does it, and keeps
// CAP_SYS_ADMIN across the exec as an ambient capability.
func namespaces(cmd *exec.Cmd, flags uintptr) {
	attr := cmd.SysProcAttr
	attr.Cloneflags = flags
	attr.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN}
	if flags&unix.CLONE_NEWUSER != 0 {
		uid, gid := os.Geteuid(), os.Getegid()
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
	}
}

// enterRole starts the child that is in namespaces: flags, the names of its
// probes, its role and arguments are the arguments.
func enterRole(args []string) []finding {
	if len(args) < 3 {
		return nil
	}
	flags, err := strconv.ParseUint(args[0], 0, 32)
	if err != nil {
		return nil
	}
	return startChild(context.Background(), uintptr(flags), strings.Split(args[1], ","), args[2], args[3:]...)
}

// runChild makes the probes names in one child, in new namespaces when flags
// has some. When the namespaces are refused, that is the answer of names[0].
func runChild(ctx context.Context, flags uintptr, names []string, role string, args ...string) []finding {
	if flags == 0 {
		return startChild(ctx, 0, names, role, args...)
	}
	// By a process between: os/exec loses two descriptors (the pipe of the
	// id maps) when clone is refused, and they end with it.
	between := append([]string{fmt.Sprintf("%#x", flags), strings.Join(names, ","), role}, args...)
	return startChild(ctx, 0, names, roleEnter, between...)
}

func startChild(ctx context.Context, flags uintptr, names []string, role string, args ...string) []finding {
	ctx, cancel := context.WithTimeout(ctx, timeLimit)
	defer cancel()
	cmd := childCommand(ctx, role, args...)
	if flags != 0 {
		namespaces(cmd, flags)
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr

	// The death signal is sent when the thread that forked ends, not the
	// process: keep it until the child is gone.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return startFailed(err, flags, names)
	}
	err := cmd.Wait()

	var found []finding
	if json.Unmarshal(stdout.Bytes(), &found) == nil && len(found) > 0 {
		return found
	}
	why := fmt.Sprintf("the probe's process ended without an answer (%v)", err)
	if ctx.Err() != nil {
		why = fmt.Sprintf("no answer within %v", timeLimit)
	}
	if line, _, _ := strings.Cut(stderr.String(), "\n"); line != "" {
		why += ": " + line
	}
	return allUnknown(names, why)
}

func startFailed(err error, flags uintptr, names []string) []finding {
	if flags == 0 || !refusal(errnoOf(err)) {
		return allUnknown(names, "start /proc/self/exe: "+reason(err))
	}
	first := fails(names[0], "clone "+flagNames(flags), err)
	return append([]finding{first}, notReached(first, names[1:]...)...)
}

// refusal reports an errno by which clone(2), or the write of the id maps that
// follows it, refuses a namespace. exec may fail too, with others.
func refusal(e unix.Errno) bool {
	switch e {
	case unix.EPERM, unix.EACCES, unix.ENOSPC, unix.EINVAL, unix.ENOSYS, unix.EUSERS:
		return true
	}
	return false
}

func allUnknown(names []string, why string) []finding {
	var out []finding
	for _, n := range names {
		out = append(out, unknown(n, why))
	}
	return out
}

func flagNames(flags uintptr) string {
	if flags&unix.CLONE_NEWUSER != 0 {
		return "CLONE_NEWUSER|CLONE_NEWNS"
	}
	return "CLONE_NEWNS"
}
