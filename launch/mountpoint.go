package launch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// heapType is the type of our mounts, as /proc/self/mountinfo shows it.
const heapType = "fuse.heapfs"

// mountEntry is a line of /proc/self/mountinfo, as far as we care.
type mountEntry struct{ point, kind, source string }

// parseMounts reads a /proc/PID/mountinfo (proc(5)). Lines that it does not understand are left out.
func parseMounts(text string) []mountEntry {
	var all []mountEntry
	for line := range strings.Lines(text) {
		before, after, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		first, last := strings.Split(before, " "), strings.Split(after, " ")
		if !ok || len(first) < 6 || len(last) < 2 {
			continue
		}
		all = append(all, mountEntry{point: unescape(first[4]), kind: last[0], source: unescape(last[1])})
	}
	return all
}

// unescape undoes the octal escapes of /proc/PID/mountinfo: \040 is a space.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// mountOf is the mount that path, which is absolute and clean, lies in: the one that was mounted last of those with the longest name.
func mountOf(all []mountEntry, path string) (mountEntry, bool) {
	var best mountEntry
	found := false
	for _, m := range all {
		within := m.point == "/" || path == m.point || strings.HasPrefix(path, m.point+"/")
		if within && len(m.point) >= len(best.point) {
			best, found = m, true
		}
	}
	return best, found
}

// mountPoint judges the directory that heapfs is to be mounted on, and gives its path without symbolic links.
func mountPoint(dir string) (string, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	return judgeMountPoint(dir, parseMounts(string(text)))
}

func judgeMountPoint(dir string, mounts []mountEntry) (string, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("mount point %q: %w", dir, err)
	}
	resolved, err := filepath.EvalSymlinks(path)
	switch {
	case errors.Is(err, unix.ENOTCONN):
		return "", staleMount(dir, path, mounts)
	case errors.Is(err, os.ErrNotExist):
		return "", fmt.Errorf("mount point %q: no such directory; make it first: mkdir -p %s", dir, word(path))
	case errors.Is(err, unix.ENOTDIR):
		return "", fmt.Errorf("mount point %q: a part of the path is no directory; give a directory", dir)
	case err != nil:
		return "", fmt.Errorf("mount point %q: %w; give a directory that this user can look into", dir, err)
	}
	if m, ok := mountOf(mounts, resolved); ok {
		switch {
		case m.kind == heapType && m.point != resolved:
			return "", fmt.Errorf("mount point %q: it is inside the heapfs at %s; give a directory outside of that", dir, m.point)
		case m.kind == heapType:
			return "", fmt.Errorf("mount point %q: a heapfs is mounted there already; end that one, or unmount it: umount %s", dir, word(resolved))
		case m.point == resolved && resolved != "/":
			return "", fmt.Errorf("mount point %q: a %s (%s) is mounted there already; give another directory, or unmount it: umount %s",
				dir, m.kind, m.source, word(resolved))
		}
	}
	info, err := os.Stat(resolved)
	switch {
	case err != nil:
		return "", fmt.Errorf("mount point %q: %w", dir, err)
	case !info.IsDir():
		return "", fmt.Errorf("mount point %q: not a directory; give a directory", dir)
	case resolved == "/":
		return "", fmt.Errorf("mount point %q: the root of all files can't be hidden; give another directory", dir)
	}
	return resolved, nil
}

// staleMount tells of a FUSE mount whose server has died, and how to be rid of it.
func staleMount(dir, path string, mounts []mountEntry) error {
	point, what := path, "FUSE"
	if m, ok := mountOf(mounts, path); ok && strings.HasPrefix(m.kind, "fuse") {
		point = m.point
		if m.kind == heapType {
			what = "heapfs"
		}
	}
	return fmt.Errorf("mount point %q: the mount of a dead %s is still there (%w); clear it: umount -l %s", dir, what, unix.ENOTCONN, word(point))
}

// word is a path as a shell takes it.
func word(path string) string {
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("/._-+,@:=%", r)
	}
	if strings.ContainsFunc(path, func(r rune) bool { return !plain(r) }) {
		return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return path
}
