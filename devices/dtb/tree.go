package dtb

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/u-root/u-root/pkg/dt"
)

// Tree is a device tree: of a blob (Parse), or of a running machine (NewTree). It is not changed once it is made.
type Tree struct {
	Root *Node
	// Reserved are the entries of the blob's memory reservation block. A running machine doesn't show them.
	Reserved []Range

	handles map[uint32]*Node
	aliases map[*Node][]string
}

// Range is a range of addresses in bytes.
type Range struct{ Base, Size uint64 }

// Property is a property of a node, its value as it is in the blob.
type Property struct {
	Name  string
	Value []byte
}

// Node is a node of a tree.
type Node struct {
	// Name with unit address: "video-codec@38300000"; the root's is empty.
	Name       string
	Properties []Property
	Children   []*Node
	Parent     *Node // nil for the root; set by NewTree
}

// Parse reads a device tree blob. The error is ErrBlob with the reason.
func Parse(data []byte) (*Tree, error) {
	if err := checkShape(data); err != nil {
		return nil, err
	}
	parsed, err := parse(data)
	if err != nil {
		return nil, refuse("%v", err)
	}
	root := nodeOf(parsed.RootNode)
	root.Name = ""
	t := NewTree(root)
	for _, r := range parsed.ReserveEntries {
		t.Reserved = append(t.Reserved, Range{r.Address, r.Size})
	}
	return t, nil
}

// parse calls the library. Should some blob make it panic, that is a blob that cannot be read, not the end of the program.
func parse(data []byte) (parsed *dt.FDT, err error) {
	defer func() {
		if r := recover(); r != nil {
			parsed, err = nil, fmt.Errorf("the parser gave up: %v", r)
		}
	}()
	return dt.ReadFDT(bytes.NewReader(data))
}

// nodeOf copies a node with all below it; checkShape has bounded the depth.
func nodeOf(from *dt.Node) *Node {
	n := &Node{Name: from.Name, Properties: make([]Property, len(from.Properties)), Children: make([]*Node, len(from.Children))}
	for i, p := range from.Properties {
		n.Properties[i] = Property(p)
	}
	for i, c := range from.Children {
		n.Children[i] = nodeOf(c)
	}
	return n
}

// NewTree makes a tree of nodes that are linked downwards: it sets the Parent of each.
func NewTree(root *Node) *Tree {
	t := &Tree{Root: root, handles: map[uint32]*Node{}, aliases: map[*Node][]string{}}
	for n := range root.all {
		for _, c := range n.Children {
			c.Parent = n
		}
		for _, name := range []string{"phandle", "linux,phandle"} {
			if h, ok := n.u32(name); ok && h != 0 && t.handles[h] == nil {
				t.handles[h] = n
			}
		}
	}
	for _, n := range root.Children {
		if n.Name != "aliases" {
			continue
		}
		for _, p := range n.Properties {
			if at := t.At(text(p.Value)); at != nil && at != root {
				t.aliases[at] = append(t.aliases[at], p.Name)
			}
		}
	}
	return t
}

// all yields the node and everything below it, parents first.
func (n *Node) all(yield func(*Node) bool) { n.walk(yield) }

func (n *Node) walk(yield func(*Node) bool) bool {
	if !yield(n) {
		return false
	}
	for _, c := range n.Children {
		if !c.walk(yield) {
			return false
		}
	}
	return true
}

// At gives the node of a path from the root ("/soc@0/gpu@38000000"), nil where there is none. A path that begins with an alias is
// none: aliases are looked up once and never followed, so that a circle of them leads nowhere.
func (t *Tree) At(path string) *Node {
	rest, ok := strings.CutPrefix(path, "/")
	if !ok {
		return nil
	}
	n := t.Root
	for name := range strings.SplitSeq(rest, "/") {
		if name == "" {
			continue
		}
		if n = n.child(name); n == nil {
			return nil
		}
	}
	return n
}

func (n *Node) child(name string) *Node {
	for _, c := range n.Children {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// Aliases gives the names under /aliases of a node.
func (t *Tree) Aliases(n *Node) []string { return t.aliases[n] }

// Path of a node from the root.
func (n *Node) Path() string {
	if n.Parent == nil {
		return "/"
	}
	path := ""
	for ; n.Parent != nil; n = n.Parent {
		path = "/" + n.Name + path
	}
	return path
}

// BaseName is the name without unit address (%pOFn in the kernel).
func (n *Node) BaseName() string {
	base, _, _ := strings.Cut(n.Name, "@")
	return base
}

// Value gives the bytes of a property, or false without it.
func (n *Node) Value(name string) ([]byte, bool) {
	for i := range n.Properties {
		if n.Properties[i].Name == name {
			return n.Properties[i].Value, true
		}
	}
	return nil, false
}

// Has says whether the node has a property, whatever its value.
func (n *Node) Has(name string) bool {
	_, ok := n.Value(name)
	return ok
}

// Compatible gives the node's compatible strings, most specific first.
func (n *Node) Compatible() []string {
	v, _ := n.Value("compatible")
	return texts(v)
}

// Enabled says whether the kernel would make a device of the node, as far as status says (of_device_is_available): of its own and of
// all that it is below, as nothing below a disabled bus is looked at.
func (n *Node) Enabled() bool {
	for ; n != nil; n = n.Parent {
		if !n.available() {
			return false
		}
	}
	return true
}

func (n *Node) available() bool {
	v, ok := n.Value("status")
	if !ok {
		return true
	}
	s := text(v)
	return s == "okay" || s == "ok"
}

// text gives a string value without its end, and "" where the value is none.
func text(value []byte) string {
	if i := bytes.IndexByte(value, 0); i >= 0 {
		return string(value[:i])
	}
	return ""
}

// texts gives the strings of a list; what follows the last zero byte is none.
func texts(value []byte) []string {
	var list []string
	for len(value) > 0 {
		i := bytes.IndexByte(value, 0)
		if i < 0 {
			break
		}
		if i > 0 {
			list = append(list, string(value[:i]))
		}
		value = value[i+1:]
	}
	return list
}

// cells gives a value as 32-bit cells; what is left of a last one is dropped.
func cells(value []byte) []uint32 {
	list := make([]uint32, len(value)/4)
	for i := range list {
		list[i] = binary.BigEndian.Uint32(value[4*i:])
	}
	return list
}

func (n *Node) u32(name string) (uint32, bool) {
	v, _ := n.Value(name)
	if len(v) < 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(v), true
}

// references gives the nodes that a list of phandles names, each followed by as many cells as cellsName of the node says; with an
// empty cellsName by none. A phandle that leads nowhere ends the list, as its length is unknown.
func (t *Tree) references(n *Node, name, cellsName string) []*Node {
	v, _ := n.Value(name)
	var list []*Node
	for c := cells(v); len(c) > 0; {
		to := t.handles[c[0]]
		if to == nil {
			break
		}
		list = append(list, to)
		args := uint32(0)
		if cellsName != "" {
			args, _ = to.u32(cellsName)
		}
		if int64(args) >= int64(len(c)) {
			break
		}
		c = c[1+args:]
	}
	return list
}
