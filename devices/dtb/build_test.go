package dtb

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/u-root/u-root/pkg/dt"
)

// node makes a node of properties and children.
func node(name string, parts ...any) *dt.Node {
	n := &dt.Node{Name: name}
	for _, p := range parts {
		switch p := p.(type) {
		case dt.Property:
			n.Properties = append(n.Properties, p)
		case *dt.Node:
			n.Children = append(n.Children, p)
		}
	}
	return n
}

func u32s(name string, values ...uint32) dt.Property {
	var v []byte
	for _, c := range values {
		v = binary.BigEndian.AppendUint32(v, c)
	}
	return dt.Property{Name: name, Value: v}
}

func str(name string, values ...string) dt.Property {
	return dt.Property{Name: name, Value: []byte(strings.Join(values, "\x00") + "\x00")}
}

func flag(name string) dt.Property { return dt.Property{Name: name} }

// wide are the cells of a 64-bit bus.
var wide = []any{u32s("#address-cells", 2), u32s("#size-cells", 2)}

// root makes a root with 64-bit cells and memory from 1 to 3 GiB.
func root(parts ...any) *dt.Node {
	all := append(append([]any{}, wide...), str("model", "A board"),
		node("memory@40000000", str("device_type", "memory"), u32s("reg", 0, 0x40000000, 0, 0x80000000)))
	return node("", append(all, parts...)...)
}

// reserved makes /reserved-memory.
func reserved(parts ...any) *dt.Node {
	return node("reserved-memory", append(append([]any{flag("ranges")}, wide...), parts...)...)
}

func blob(t testing.TB, n *dt.Node, entries ...dt.ReserveEntry) []byte {
	t.Helper()
	var out bytes.Buffer
	f := dt.FDT{Header: dt.Header{Magic: dt.Magic, Version: 17, LastCompVersion: 16}, RootNode: n, ReserveEntries: entries}
	_, err := f.Write(&out)
	require.NoError(t, err)
	return out.Bytes()
}

func tree(t testing.TB, n *dt.Node, entries ...dt.ReserveEntry) *Tree {
	t.Helper()
	tr, err := Parse(blob(t, n, entries...))
	require.NoError(t, err)
	return tr
}

func imported(t testing.TB, n *dt.Node, o Options) *Imported {
	t.Helper()
	if o.Name == "" {
		o.Name = "b"
	}
	im, err := tree(t, n).Import(o)
	require.NoError(t, err)
	return im
}
