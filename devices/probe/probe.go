package probe

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/heapfs/heapfs/devices/board"
	"github.com/heapfs/heapfs/devices/dtb"
)

// Options say where to look.
type Options struct {
	// Root is the directory that has proc and sys; empty is "/".
	Root string
	// Name of the board; empty is what the machine calls itself.
	Name string
}

// Found is a board and what is to be said about it.
type Found struct {
	Board *board.Board
	// Notes are what could not be seen, a line each.
	Notes []string

	comments map[string][]string // path of the board file → lines
}

// Marshal writes a board file with comments that say where things come from. head are lines for its top.
func (f *Found) Marshal(head ...string) ([]byte, error) {
	comments := map[string][]string{}
	for path, lines := range f.comments {
		comments[path] = lines
	}
	top := append([]string(nil), head...)
	for _, n := range f.Notes {
		top = append(top, "Note: "+n+".")
	}
	comments["apiVersion"] = append(top, f.comments["apiVersion"]...)
	return f.Board.MarshalWithComments(comments)
}

// Probe makes a board of the machine. The error is that of a file that is there and can't be read, or says what of the machine makes a
// board impossible.
func Probe(o Options) (*Found, error) {
	m := &machine{root: o.Root, found: &Found{comments: map[string][]string{}}}
	if m.root == "" {
		m.root = "/"
	}
	tree, err := m.tree()
	if err != nil {
		return nil, err
	}
	if tree != nil {
		err = m.fromTree(tree, o.Name)
	} else {
		err = m.fromPC(o.Name)
	}
	if err != nil {
		return nil, err
	}
	if err := errors.Join(m.pci(), m.heaps()); err != nil {
		return nil, err
	}
	if err := m.found.Board.Validate(); err != nil {
		return nil, fmt.Errorf("board probe: the board that comes of this machine is not valid: %w", err)
	}
	return m.found, nil
}

// machine is what is looked at.
type machine struct {
	root  string
	found *Found
}

func (m *machine) path(parts ...string) string {
	return filepath.Join(append([]string{m.root}, parts...)...)
}

func (m *machine) note(format string, args ...any) {
	m.found.Notes = append(m.found.Notes, board.Printable(fmt.Sprintf(format, args...)))
}

// word gives the text of a small file without line breaks, "" where there is none.
func (m *machine) word(parts ...string) string {
	data, err := os.ReadFile(m.path(parts...))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(strings.TrimRight(string(data), "\x00"))
}

// names lists a directory, nothing where there is none.
func (m *machine) names(parts ...string) ([]string, error) {
	entries, err := os.ReadDir(m.path(parts...))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("board probe: %w", err)
	}
	list := make([]string, len(entries))
	for i, e := range entries {
		list[i] = e.Name()
	}
	return list, nil
}

// target resolves a symbolic link to a path below the root, as a program on the machine sees it; "" where there is none. The links of
// sysfs are relative.
func (m *machine) target(parts ...string) string {
	link := m.path(parts...)
	to, err := os.Readlink(link)
	if err != nil {
		return ""
	}
	if filepath.IsAbs(to) {
		return filepath.Clean(to)
	}
	rel, err := filepath.Rel(m.root, filepath.Join(filepath.Dir(link), to))
	if err != nil {
		return ""
	}
	return "/" + rel
}

// fromTree takes the device tree's board, and from sysfs where its devices really are.
func (m *machine) fromTree(tree *dtb.Tree, name string) error {
	if name == "" {
		name = "probed"
		if c := tree.Root.Compatible(); len(c) > 0 {
			_, model, _ := strings.Cut(c[0], ",")
			name = nameOf(model)
		}
	}
	// The memory is the tree's, which the boot loader has filled in: what a kernel says of it lacks all that is reserved without a mapping.
	im, err := tree.Import(dtb.Options{Name: name})
	if err != nil {
		return fmt.Errorf("board probe: %w", err)
	}
	m.found.Board, m.found.comments = im.Board, im.Comments()
	there, err := m.names("sys/bus/platform/devices")
	if err != nil {
		return err
	}
	if len(there) == 0 {
		return nil
	}
	for i := range im.Board.Devices {
		d := &im.Board.Devices[i]
		at := m.target("sys/bus/platform/devices", d.Name)
		switch {
		case at == "":
			m.note("%s is in the device tree and not under /sys/bus/platform/devices", d.Name)
		case board.CheckPath(at) == nil && at != "/sys/devices/platform/"+d.Name:
			d.Sysfs = at
		}
	}
	return nil
}

// nameOf makes a board's name of what a machine calls itself.
func nameOf(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '.':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, text)
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '-' }), "-")
	if text = strings.Trim(text, "."); text == "" {
		return "probed"
	}
	return text[:min(len(text), 64)]
}
