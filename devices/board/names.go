package board

import (
	"fmt"
	"path"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName is NAME_MAX, in bytes.
const maxName = 255

// unique checks names that must differ from each other.
type unique struct {
	c    *checker
	what string
	seen map[string]string // name → path of its first use
}

func (u *unique) add(path, name string) {
	u.c.nodeName(path, name)
	if u.seen == nil {
		u.seen = map[string]string{}
	}
	if first, ok := u.seen[name]; ok {
		u.c.fail(path, "%s is taken by %s: names are unique over %s", quote(name), first, u.what)
		return
	}
	u.seen[name] = path
}

// nodeName checks what dma_heap_add, device_create or the VFS would refuse of
// a name; `,` `-` and `@` are legal.
func (c *checker) nodeName(path, name string) {
	switch {
	case name == "":
		c.fail(path, "is empty: expected a name")
	case name == "." || name == "..":
		c.fail(path, "%s is no file name", quote(name))
	case len(name) > maxName:
		c.fail(path, "%d bytes are too long: a file name has at most %d", len(name), maxName)
	case strings.ContainsAny(name, "/!"):
		// device_get_devnode turns a ! into a / below /dev.
		c.fail(path, "%s has a / or !: the node would be in a directory of its own", quote(name))
	default:
		c.printable(path, name, false)
	}
}

// CheckName says why a name is none for a node, a board or a region: the reason
// that Validate gives, without a position.
func CheckName(name string) error {
	var c checker
	c.nodeName("", name)
	return c.errs.err()
}

// CheckPath says why a path is none for Device.Sysfs, its last part aside.
func CheckPath(p string) error {
	var c checker
	c.sysfs("", &Device{Name: path.Base(p), Sysfs: p})
	return c.errs.err()
}

// Printable gives a text as a description or a compatible string may have it:
// on one line, with a ? for each character that a terminal may not like.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return '?'
		}
		return r
	}, text)
}

// printable refuses control characters, which would break one-line output;
// lines says whether line breaks and tabs are fine.
func (c *checker) printable(path, s string, lines bool) {
	for _, r := range s {
		if lines && (r == '\n' || r == '\t') {
			continue
		}
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			c.fail(path, "%s has the unprintable character %U", quote(s), r)
			return
		}
	}
}

// nodeNames checks heaps, aliases and devices together: all become nodes of
// one directory.
func (c *checker) nodeNames(b *Board) {
	names := unique{c: c, what: "heaps, aliases and devices"}
	count, last := 0, ""
	add := func(path, name string) {
		names.add(path, name)
		if count++; count == MaxNodes+1 {
			last = path
		}
	}
	for i, h := range b.Heaps {
		add(fmt.Sprintf("heaps[%d].name", i), h.Name)
	}
	for i, h := range b.Heaps {
		for j, a := range h.Aliases {
			add(fmt.Sprintf("heaps[%d].aliases[%d]", i, j), a)
		}
	}
	for i, h := range b.Heaps {
		for j, l := range h.Links {
			names.add(fmt.Sprintf("heaps[%d].links[%d]", i, j), l) // no node
		}
	}
	for i, d := range b.Devices {
		add(fmt.Sprintf("devices[%d].name", i), d.Name)
	}
	if count > MaxNodes {
		c.fail(last, "%d nodes (heaps, aliases, devices): a kernel has at most %d", count, MaxNodes)
	}
}

// heapNames gives all names and aliases of heaps.
func heapNames(b *Board) map[string]bool {
	names := map[string]bool{}
	for _, h := range b.Heaps {
		names[h.Name] = true
		for _, a := range h.Aliases {
			names[a] = true
		}
	}
	return names
}

// CMDOwner stands for the uid or gid of the program that heapfs runs.
const CMDOwner = -1

const ownerForms = "UID, UID:GID or root"

// parseOwner gives the uid and gid of a Heap.Owner.
func parseOwner(owner string) (uid, gid int, err error) {
	switch owner {
	case "":
		return CMDOwner, CMDOwner, nil
	case "root":
		return 0, 0, nil
	}
	u, g, both := strings.Cut(owner, ":")
	if uid, err = parseID(u); err == nil && both {
		gid, err = parseID(g)
	} else {
		gid = CMDOwner
	}
	if err != nil {
		return 0, 0, fmt.Errorf("%s is no owner: expected %s", quote(owner), ownerForms)
	}
	return uid, gid, nil
}

// parseID reads a uid or gid; the highest number means "none" to the kernel.
func parseID(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err == nil && n == 1<<32-1 {
		err = strconv.ErrRange
	}
	return int(n), err
}
