package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// A scene is this test binary again, in surroundings that take something away
// from it, printing the report of Check.

const sceneName = "heapfs-doctor-scene"

// scenes prepare the process; an error ends it.
var scenes = map[string]func(args []string) error{
	"plain":     func([]string) error { return nil },
	"no-fuse":   func([]string) error { return emptyDev() },
	"open-fuse": func([]string) error { return openFuse() },
	"below-listener": func([]string) error {
		prog, err := trapFilter(0x4801)
		if err != nil {
			return err
		}
		return filterAll(prog, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER|unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH)
	},
	"denied": func(args []string) error {
		prog, err := denials[args[0]].assemble()
		if err != nil {
			return err
		}
		return filterAll(prog, 0)
	},
	"few-descriptors": func([]string) error {
		r, w, err := os.Pipe() // the runtime's own descriptors first: it dies without
		if err != nil {
			return err
		}
		r.Close()
		w.Close()
		return unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 6, Max: 6})
	},
}

func maybeScene() {
	if os.Args[0] != sceneName {
		return
	}
	runtime.LockOSThread()
	if err := scenes[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	before := descriptors()
	report := Check(context.Background())
	if err := json.NewEncoder(os.Stdout).Encode(report); err != nil {
		os.Exit(1)
	}
	if left := leaks(before); left != 0 {
		os.Exit(left)
	}
	os.Exit(0)
}

// stage is who plays a scene, and where.
type stage struct {
	uid   int // 0: as the tests run
	flags uintptr
}

// play runs a scene and returns its report. What the scene leaves behind fails
// the test.
func play(t *testing.T, s stage, name string, args ...string) Report {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = append([]string{sceneName, name}, args...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: s.flags, Pdeathsig: unix.SIGKILL}
	if s.uid != 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(s.uid), Gid: uint32(s.uid)}
	}
	if s.flags&unix.CLONE_NEWUSER != 0 { // as unshare --map-root-user
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	out, err := cmd.Output()
	require.NoError(t, err, "scene %s: %s", name, stderr.String())
	report, err := decodeReport(out)
	require.NoError(t, err, "%s", out)
	return report
}

func requireRoot(t *testing.T) {
	t.Helper()
	if !hasAdmin() || os.Geteuid() != 0 {
		t.Skip("needs root: sudo go test ./doctor/")
	}
}

// emptyDev hides /dev below an empty tmpfs, in this mount namespace only.
func emptyDev() error {
	if err := privateRoot(); err != nil {
		return fmt.Errorf("make / private: %w", err)
	}
	if err := unix.Mount("scene", "/dev", "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("mount /dev: %w", err)
	}
	if err := unix.Mknod("/dev/null", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err != nil {
		return fmt.Errorf("mknod /dev/null: %w", err)
	}
	return os.Chmod("/dev/null", 0o666)
}

// openFuse gives a /dev with a FUSE device for everybody and goes on as an
// ordinary user.
func openFuse() error {
	if err := emptyDev(); err != nil {
		return err
	}
	if err := unix.Mknod(fusePath, unix.S_IFCHR|0o666, int(unix.Mkdev(10, 229))); err != nil {
		return fmt.Errorf("mknod %s: %w", fusePath, err)
	}
	if err := os.Chmod(fusePath, 0o666); err != nil {
		return err
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{sceneName, "plain"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1001, Gid: 1001}}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return err
	}
	os.Exit(0)
	return nil
}

// denial is a filter that answers errno to some system calls, as a container's
// profile or an older kernel would. With bits, only a call whose argument arg has
// one of the bits; with value, only one whose argument arg is that.
type denial struct {
	calls []int
	arg   int
	bits  uint32
	value uint32
	errno unix.Errno
}

func (d denial) assemble() ([]bpf.RawInstruction, error) {
	var prog []bpf.Instruction
	for _, nr := range d.calls {
		refuse := []bpf.Instruction{
			bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(d.errno)},
		}
		low := bpf.LoadAbsolute{Off: uint32(16 + 8*d.arg), Size: 4}
		switch {
		case d.bits != 0:
			refuse = slices.Concat([]bpf.Instruction{
				low, bpf.JumpIf{Cond: bpf.JumpBitsNotSet, Val: d.bits, SkipTrue: 1},
			}, refuse)
		case d.value != 0:
			refuse = slices.Concat([]bpf.Instruction{
				low, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: d.value, SkipTrue: 1},
			}, refuse)
		}
		prog = append(prog, bpf.LoadAbsolute{Off: 0, Size: 4},
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(nr), SkipTrue: uint8(len(refuse))})
		prog = append(prog, refuse...)
	}
	return bpf.Assemble(append(prog, bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW}))
}

// filterAll puts a filter on every thread of the process.
func filterAll(prog []bpf.RawInstruction, flags uintptr) error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	fprog := unix.SockFprog{Len: uint16(len(prog)), Filter: (*unix.SockFilter)(unsafe.Pointer(&prog[0]))}
	_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		flags|unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&fprog)))
	runtime.KeepAlive(prog)
	if errno != 0 {
		return fmt.Errorf("install the scene's filter: %w", errno)
	}
	return nil
}

// tree writes files below a new directory: the /proc and /sys of a test.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	}
	return root
}

// get is the result of one probe, and the whole report when it is not there.
func get(t *testing.T, r Report, name string) Result {
	t.Helper()
	for _, p := range r.Probes {
		if p.Name == name {
			return p
		}
	}
	var text strings.Builder
	require.NoError(t, r.WriteText(&text))
	require.Fail(t, "no probe "+name, text.String())
	return Result{}
}
