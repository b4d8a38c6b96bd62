package launch

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/deliver/seccomp"
	"github.com/heapfs/heapfs/doctor"
	"github.com/heapfs/heapfs/internal/sys"
)

// stageMain is the process that becomes CMD. It returns only if it could not.
func stageMain(p *plan) {
	// Credentials, filter and execve are this thread's.
	runtime.LockOSThread()
	server := channel{p.Sock}
	unix.CloseOnExec(p.Sock)
	unix.CloseOnExec(p.Self)
	err := become(p, server)
	e := failure(err)
	if err := server.send(message{Kind: msgFailed, Code: e.Code, Text: e.Error()}, -1); err != nil {
		fmt.Fprintln(os.Stderr, "heapfs:", e)
	}
	os.Exit(e.Code)
}

func become(p *plan, server channel) error {
	listener, err := trap(p.UserNamespace, len(p.Binds) > 0)
	if err != nil {
		return err
	}
	fuse, err := openFUSE()
	if err != nil {
		return err
	}
	if err := mountAll(p, fuse); err != nil {
		return hint(err, doctor.ExplainMount(err))
	}
	if err := server.send(message{Kind: msgMounted}, fuse); err != nil {
		return err
	}
	sys.Close(fuse)
	if err := deviceFiles(p, server); err != nil {
		return err
	}
	if _, err := server.expect(msgGo); err != nil {
		return fmt.Errorf("wait for the server: %w", err)
	}
	dir, err := sys.StatAt(unix.AT_FDCWD, heapDir)
	if err != nil {
		return &os.PathError{Op: "stat", Path: heapDir, Err: err}
	}
	if err := dropPrivileges(p); err != nil {
		return err
	}
	if err := server.send(message{Kind: msgTrapped, Dir: dir}, listener); err != nil {
		return err
	}
	sys.Close(listener)
	if _, err := server.expect(msgGo); err != nil {
		return fmt.Errorf("wait for the server: %w", err)
	}
	// Another user could not use the socket.
	if p.Socket != "" && !p.Switch {
		if err := os.Setenv("HEAPFS_SOCKET", p.Socket); err != nil {
			return err
		}
	}
	if _, ok := os.LookupEnv(verifySysfs); !ok {
		if err := os.Setenv(verifySysfs, "0"); err != nil {
			return err
		}
	}
	return execute(p.Args)
}

// mountAll makes what CMD sees at /dev and /sys.
func mountAll(p *plan, fuse int) error {
	// What is mounted on the host later shall be seen here, and nothing of ours there.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return &os.PathError{Op: "mount --make-rslave", Path: "/", Err: err}
	}
	if err := privateDev(len(p.Importers) > 0); err != nil {
		return fmt.Errorf("private /dev: %w", err)
	}
	if err := privateSys(sysDir, p.newView()); err != nil {
		return fmt.Errorf("private /sys: %w", err)
	}
	return mountHeaps(fuse, heapDir, p.UID, p.GID)
}

// deviceFiles mounts the device files, if the board has devices.
func deviceFiles(p *plan, server channel) error {
	if len(p.Importers) == 0 {
		return nil
	}
	fuse, err := openFUSE()
	if err != nil {
		return err
	}
	defer sys.Close(fuse)
	if err := mountDevices(fuse, p.UID, p.GID); err != nil {
		return hint(err, doctor.ExplainMount(err))
	}
	return server.send(message{Kind: msgDevices}, fuse)
}

// trap installs the filter on this thread. It comes first: what makes it fail is nothing that the mounts would tell better.
func trap(noNewPrivs, imports bool) (int, error) {
	if noNewPrivs {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return -1, os.NewSyscallError("prctl PR_SET_NO_NEW_PRIVS", err)
		}
	}
	build := seccomp.Filter
	if imports {
		build = seccomp.ImportFilter
	}
	filter, err := build()
	if err != nil {
		return -1, err
	}
	listener, err := sys.InstallListener(filter)
	if err != nil {
		return -1, hint(err, doctor.ExplainListener(err))
	}
	return listener, nil
}

// dropPrivileges leaves CMD with what its user has outside.
func dropPrivileges(p *plan) error {
	if p.Switch {
		if err := unix.Setgroups(p.Groups); err != nil {
			return os.NewSyscallError("setgroups", err)
		}
		if err := unix.Setresgid(p.GID, p.GID, p.GID); err != nil {
			return os.NewSyscallError("setresgid", err)
		}
		if err := unix.Setresuid(p.UID, p.UID, p.UID); err != nil {
			return os.NewSyscallError("setresuid", err)
		}
	}
	if !p.UserNamespace {
		return nil
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl PR_CAP_AMBIENT_CLEAR_ALL", err)
	}
	none := [2]unix.CapUserData{}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capset(&header, &none[0]); err != nil {
		return os.NewSyscallError("capset", err)
	}
	return nil
}

// execute turns this process into CMD, found as execvp(3) does.
func execute(args []string) error {
	paths, err := candidates(args[0])
	if err != nil {
		return err
	}
	// The errno of a file that is there but can't be executed tells more than that of one that is not there.
	var denied error
	for _, path := range paths {
		err := syscall.Exec(path, args, os.Environ())
		switch {
		case errors.Is(err, unix.ENOEXEC) && isText(path):
			// A script without an interpreter's name is the shell's, as for execvp.
			err = syscall.Exec("/bin/sh", slices.Concat([]string{"sh", path}, args[1:]), os.Environ())
			return &Error{CodeNotExecutable, &os.PathError{Op: "execute", Path: path, Err: err}}
		case denied != nil:
		case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
			if _, serr := os.Stat(path); serr == nil {
				denied = hint(&os.PathError{Op: "execute", Path: path, Err: err}, "the file is there, its interpreter or loader is not")
			}
		case errors.Is(err, unix.EACCES) && !strings.Contains(args[0], "/") && !exists(path):
			// A directory of $PATH that this user can't look into.
		default:
			denied = &os.PathError{Op: "execute", Path: path, Err: err}
		}
	}
	if denied != nil {
		return &Error{CodeNotExecutable, denied}
	}
	if strings.Contains(args[0], "/") {
		return &Error{CodeNotFound, &os.PathError{Op: "execute", Path: args[0], Err: unix.ENOENT}}
	}
	return &Error{CodeNotFound, fmt.Errorf("execute %s: not found in $PATH", args[0])}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// isText is how a shell tells a script from a program of another machine: by a NUL.
func isText(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // read only
	head := make([]byte, 128)
	n, err := f.Read(head)
	return (err == nil || errors.Is(err, io.EOF)) && !slices.Contains(head[:n], 0)
}

func candidates(name string) ([]string, error) {
	if name == "" {
		return nil, &Error{CodeNotFound, errors.New("execute: the command's name is empty")}
	}
	if strings.Contains(name, "/") {
		return []string{name}, nil
	}
	path, ok := os.LookupEnv("PATH")
	if !ok {
		path = "/usr/local/bin:/usr/bin:/bin"
	}
	var all []string
	// Not filepath.SplitList: to execvp an empty PATH is one empty element.
	for _, dir := range strings.Split(path, ":") {
		if dir == "" {
			dir = "."
		}
		if candidate := filepath.Join(dir, name); strings.Contains(candidate, "/") {
			all = append(all, candidate)
		} else {
			all = append(all, "./"+candidate)
		}
	}
	return all, nil
}
