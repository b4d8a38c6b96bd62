package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// ordinaryUID is the user, and the group, that root's test run plays when a test wants an ordinary user.
const ordinaryUID = 1001

// supplementaryGID is a group more that this user is in.
const supplementaryGID = 2002

// leg is who runs a command.
type leg string

const (
	asRoot leg = "root"
	asUser leg = "user"
)

// legs runs a test as root, when the test run is root's, and as an ordinary user. The subtests are parallel.
func legs(t *testing.T, test func(t *testing.T, who leg)) {
	t.Helper()
	for _, who := range []leg{asRoot, asUser} {
		t.Run(string(who), func(t *testing.T) {
			if who == asRoot {
				requireRoot(t)
			}
			t.Parallel()
			test(t, who)
		})
	}
}

// Changes of the machine that a command sees, in a mount namespace of its own.
const (
	fuseForAll      = "fuse-for-all"       // /dev/fuse is 0666
	fuseForNobody   = "fuse-for-nobody"    // /dev/fuse is 0600, root's
	fuseHidden      = "fuse-hidden"        // there is no /dev/fuse
	noUserNamespace = "no-user-namespaces" // none can be made
)

// insideEnv carries an insideSpec to the test binary that is started again in the new namespace.
const insideEnv = "HEAPFS_TEST_INSIDE"

type insideSpec struct {
	Changes []string
	UID     int // 0: stay root
	Groups  []int
	Umask   int
	NoFile  uint64 // RLIMIT_NOFILE, 0: as it is
	Args    []string
}

// command makes the command that runs args as one of the legs. With changes it needs root.
func command(t *testing.T, who leg, o options, args ...string) *exec.Cmd {
	t.Helper()
	env := os.Environ()
	spec := insideSpec{Changes: o.changes, Umask: o.umask, NoFile: o.noFile, Args: args}
	if who == asUser && os.Geteuid() == 0 {
		spec.UID, spec.Groups = ordinaryUID, []int{ordinaryUID, supplementaryGID}
		if len(spec.Changes) == 0 {
			spec.Changes = []string{fuseForAll}
		}
		env = append(env, "HOME="+site.home, "XDG_RUNTIME_DIR="+site.runtime, "USER=heapfs-test", "TMPDIR=/tmp",
			// Root's own PATH may lead through directories that are closed to others.
			"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	}
	// What the surroundings of the test run hold must not choose the instance.
	env = append(env, "HEAPFS_SOCKET=")
	env = append(env, o.env...)

	if len(spec.Changes) == 0 && spec.Umask == 0 && spec.NoFile == 0 {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Env, cmd.Dir = withoutEmpty(env), o.dir
		return cmd
	}
	encoded, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env, cmd.Dir = append(withoutEmpty(env), insideEnv+"="+string(encoded)), o.dir
	if len(spec.Changes) > 0 {
		requireRoot(t)
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	}
	return cmd
}

// withoutEmpty leaves out variables whose last value is empty.
func withoutEmpty(env []string) []string {
	last := map[string]int{}
	name := func(s string) string {
		for i := range s {
			if s[i] == '=' {
				return s[:i]
			}
		}
		return s
	}
	for i, entry := range env {
		last[name(entry)] = i
	}
	var kept []string
	for i, entry := range env {
		if n := name(entry); last[n] == i && len(entry) > len(n)+1 {
			kept = append(kept, entry)
		}
	}
	return kept
}

// enterAndExec is the test binary inside the new namespace: it makes the changes and becomes the command.
func enterAndExec(encoded string) {
	var spec insideSpec
	err := json.Unmarshal([]byte(encoded), &spec)
	if err == nil {
		err = os.Unsetenv(insideEnv)
	}
	if err == nil {
		err = enter(spec)
	}
	fmt.Fprintln(os.Stderr, "integration: cannot enter the test's namespace:", err)
	os.Exit(99)
}

func enter(spec insideSpec) error {
	userNamespaces := true
	if len(spec.Changes) > 0 {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return fmt.Errorf("make / private: %w", err)
		}
	}
	for _, change := range spec.Changes {
		var err error
		switch change {
		case fuseForAll:
			err = bindFuse(0o666)
		case fuseForNobody:
			err = bindFuse(0o600)
		case fuseHidden:
			err = hideFuse()
		case noUserNamespace:
			userNamespaces = false
		default:
			err = fmt.Errorf("unknown change")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", change, err)
		}
	}
	if spec.NoFile != 0 {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: spec.NoFile, Max: spec.NoFile}); err != nil {
			return fmt.Errorf("RLIMIT_NOFILE %d: %w", spec.NoFile, err)
		}
	}
	if spec.Umask != 0 {
		unix.Umask(spec.Umask)
	}
	if !userNamespaces {
		return withoutUserNamespaces(spec)
	}
	if spec.UID != 0 {
		// syscall's and not unix's: these change all threads.
		if err := syscall.Setgroups(spec.Groups); err != nil {
			return fmt.Errorf("setgroups: %w", err)
		}
		if err := syscall.Setresgid(spec.UID, spec.UID, spec.UID); err != nil {
			return fmt.Errorf("setresgid: %w", err)
		}
		if err := syscall.Setresuid(spec.UID, spec.UID, spec.UID); err != nil {
			return fmt.Errorf("setresuid: %w", err)
		}
	}
	path, err := exec.LookPath(spec.Args[0])
	if err != nil {
		return err
	}
	return syscall.Exec(path, spec.Args, os.Environ())
}

// bindFuse puts a FUSE device with this mode over the machine's.
func bindFuse(mode uint32) error {
	dir, err := os.MkdirTemp("", "heapfs-fuse-")
	if err != nil {
		return err
	}
	// The mount hides the directory's own content and goes with the namespace; the directory itself must not stay.
	defer func() { _ = unix.Rmdir(dir) }()
	if err := unix.Mount("heapfs-test", dir, "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("tmpfs: %w", err)
	}
	node := filepath.Join(dir, "fuse")
	if err := unix.Mknod(node, unix.S_IFCHR|mode, int(unix.Mkdev(10, 229))); err != nil {
		return fmt.Errorf("mknod: %w", err)
	}
	if err := os.Chmod(node, os.FileMode(mode)); err != nil {
		return err
	}
	if err := unix.Mount(node, "/dev/fuse", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind over /dev/fuse: %w", err)
	}
	return unix.Unmount(dir, unix.MNT_DETACH)
}

// hideFuse puts a /dev without fuse over the machine's.
func hideFuse() error {
	dir, err := os.MkdirTemp("", "heapfs-dev-")
	if err != nil {
		return err
	}
	defer func() { _ = unix.Rmdir(dir) }()
	if err := unix.Mount("heapfs-test", dir, "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("tmpfs: %w", err)
	}
	entries, err := os.ReadDir("/dev")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		from, to := filepath.Join("/dev", entry.Name()), filepath.Join(dir, entry.Name())
		switch {
		case entry.Name() == "fuse":
			continue
		case entry.Type()&os.ModeSymlink != 0:
			target, err := os.Readlink(from)
			if err == nil {
				err = os.Symlink(target, to)
			}
			if err != nil {
				return err
			}
			continue
		case entry.IsDir():
			err = os.Mkdir(to, 0o755)
		default:
			err = os.WriteFile(to, nil, 0o600)
		}
		if err == nil {
			err = unix.Mount(from, to, "", unix.MS_BIND|unix.MS_REC, "")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", from, err)
		}
	}
	return unix.Mount(dir, "/dev", "", unix.MS_MOVE, "")
}

// withoutUserNamespaces runs the command in a user namespace in which no other can be made, as where an administrator
// forbids them; the machine's own limit is not touched. It ends with the command's status.
func withoutUserNamespaces(spec insideSpec) error {
	limit := insideSpec{UID: spec.UID, Groups: spec.Groups, Args: spec.Args}
	if os.Getenv("HEAPFS_TEST_NESTED") == "" {
		encoded, err := json.Marshal(insideSpec{UID: limit.UID, Groups: []int{ordinaryUID}, Args: limit.Args, Changes: []string{noUserNamespace}})
		if err != nil {
			return err
		}
		ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}, {ContainerID: ordinaryUID, HostID: ordinaryUID, Size: 1}}
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), insideEnv+"="+string(encoded), "HEAPFS_TEST_NESTED=1")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS, UidMappings: ids, GidMappings: ids, GidMappingsEnableSetgroups: true,
		}
		_ = cmd.Run()
		os.Exit(cmd.ProcessState.ExitCode())
	}
	if err := os.Unsetenv("HEAPFS_TEST_NESTED"); err != nil {
		return err
	}
	if err := os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0); err != nil {
		return err
	}
	limit.Changes = nil
	return enter(limit)
}
