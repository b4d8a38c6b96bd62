package control

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// places knows the directories in which instances of one user have their
// sockets.
type places struct {
	uid    int
	getenv func(string) string
	run    string // the system's directory for run-time state
}

func ownPlaces() places { return places{uid: os.Geteuid(), getenv: os.Getenv, run: "/run"} }

// SocketPath returns the path at which the instance with process id pid has
// its socket, and makes the directory. It is $XDG_RUNTIME_DIR/heapfs/PID.sock;
// for root /run/heapfs/PID.sock. Where that directory is unset or unusable it
// is heapfs-UID/PID.sock under $TMPDIR, and then /tmp.
//
// The directory is the user's own, of mode 0700 and no symbolic link; the
// error says what stands in the way otherwise.
func SocketPath(pid int) (string, error) { return ownPlaces().socketPath(pid) }

func (p places) socketPath(pid int) (string, error) {
	var why []string
	for _, dir := range p.preferred() {
		if err := p.makeOwnDir(dir); err != nil {
			why = append(why, err.Error())
			continue
		}
		return filepath.Join(dir, strconv.Itoa(pid)+socketSuffix), nil
	}
	return "", fmt.Errorf("no directory for the control socket: %s; name a socket in a directory of your own with --socket", strings.Join(why, ", "))
}

const socketSuffix = ".sock"

// preferred lists the directories for a new socket, best first.
func (p places) preferred() []string {
	var dirs []string
	if p.uid == 0 {
		// Not $XDG_RUNTIME_DIR, which after sudo is often still the user's.
		dirs = append(dirs, filepath.Join(p.run, "heapfs"))
	} else if xdg := p.getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(xdg) {
		dirs = append(dirs, filepath.Join(xdg, "heapfs"))
	}
	own := "heapfs-" + strconv.Itoa(p.uid)
	if tmp := filepath.Clean(p.getenv("TMPDIR")); filepath.IsAbs(tmp) {
		dirs = append(dirs, filepath.Join(tmp, own))
	}
	if last := filepath.Join("/tmp", own); !slices.Contains(dirs, last) {
		dirs = append(dirs, last)
	}
	return dirs
}

// searched lists the directories in which sockets are looked for. It is longer
// than preferred because the instance may have been started from a session
// with $XDG_RUNTIME_DIR and the command is run from one without, by cron or su.
func (p places) searched() []string {
	dirs := p.preferred()
	if usual := filepath.Join(p.run, "user", strconv.Itoa(p.uid), "heapfs"); p.uid != 0 && !slices.Contains(dirs, usual) {
		dirs = append(dirs, usual)
	}
	return dirs
}

// makeOwnDir makes dir with mode 0700 if it is not there, and verifies that
// nobody else can put anything in it or in its place.
func (p places) makeOwnDir(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := p.checkOwnDir(dir); err != nil {
		return err
	}
	return p.checkSharedDir(filepath.Dir(dir))
}

// checkOwnDir verifies that dir is a directory, not a link to one, belongs to
// the user and admits nobody else. In /tmp anyone may have made it first.
func (p places) checkOwnDir(dir string) error {
	st, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	switch {
	case st.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("%s is a symbolic link", dir)
	case !st.IsDir():
		return fmt.Errorf("%s is no directory", dir)
	case ownerOf(st) != p.uid:
		return fmt.Errorf("%s belongs to uid %d", dir, ownerOf(st))
	case st.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("%s has mode %#o, not 0700", dir, st.Mode().Perm())
	}
	return nil
}

// checkSharedDir verifies that in dir, which may be one for everybody like
// /tmp, not just anybody can replace what the user has put there. A group is
// trusted, because many systems give each user one of their own and umask 002.
func (p places) checkSharedDir(dir string) error {
	st, err := os.Stat(dir)
	if err != nil {
		return err
	}
	owner := ownerOf(st)
	switch {
	case !st.IsDir():
		return fmt.Errorf("%s is no directory", dir)
	case owner != p.uid && owner != 0 && !isUnmappedOwner(owner):
		return fmt.Errorf("%s belongs to uid %d", dir, owner)
	case st.Mode().Perm()&0o002 != 0 && st.Mode()&fs.ModeSticky == 0:
		return fmt.Errorf("%s can be written by others", dir)
	}
	return nil
}

// isUnmappedOwner reports whether uid stands for all users that the user
// namespace does not map. In the one that run makes for an ordinary user root
// is among them, so that /tmp seems to be nobody's.
func isUnmappedOwner(uid int) bool {
	overflow, err := os.ReadFile("/proc/sys/kernel/overflowuid")
	if err != nil || strings.TrimSpace(string(overflow)) != strconv.Itoa(uid) {
		return false
	}
	m, err := os.ReadFile("/proc/self/uid_map")
	// The initial namespace maps all: "0 0 4294967295".
	return err == nil && !slices.Equal(strings.Fields(string(m)), []string{"0", "0", "4294967295"})
}

func ownerOf(st fs.FileInfo) int { return int(st.Sys().(*syscall.Stat_t).Uid) }
