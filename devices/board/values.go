package board

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/heapfs/heapfs/devices"
)

// list decodes a list, one call of each for an entry. An empty value is an
// empty list, so that all entries of a key can be commented out.
func list[T any](d *decoder, into *[]T, each func(n ast.Node, path string, v *T)) func(ast.Node, string) {
	return func(n ast.Node, path string) {
		if _, ok := n.(*ast.NullNode); ok {
			return
		}
		seq, ok := n.(*ast.SequenceNode)
		if !ok {
			d.fail(n, path, "expected a list, got %s", describe(n))
			return
		}
		if len(seq.Values) > maxEntries {
			d.fail(seq.Values[maxEntries], path, "more than %d entries", maxEntries)
			return
		}
		for i, entry := range seq.Values {
			var v T
			p := fmt.Sprintf("%s[%d]", path, i)
			d.note(entry, p)
			each(entry, p, &v)
			*into = append(*into, v)
		}
	}
}

// text gives the text of a string, or false after reporting.
func (d *decoder) text(n ast.Node, path string) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		d.fail(n, path, "expected a string, got %s: put it in quotes", describe(n))
	default:
		d.fail(n, path, "expected a string, got %s", describe(n))
	}
	return "", false
}

func (d *decoder) str(into *string) func(ast.Node, string) {
	return func(n ast.Node, path string) {
		if s, ok := d.text(n, path); ok {
			*into = s
		}
	}
}

func (d *decoder) strs(into *[]string) func(ast.Node, string) {
	return list(d, into, func(n ast.Node, path string, v *string) { d.str(v)(n, path) })
}

func (d *decoder) boolean(into *bool) func(ast.Node, string) {
	return func(n ast.Node, path string) {
		b, ok := n.(*ast.BoolNode)
		if !ok {
			d.fail(n, path, "expected true or false, got %s", describe(n))
			return
		}
		*into = b.Value
	}
}

// scalar gives the text of a scalar as it is written: what a number means is
// decided here, not by a YAML reader's idea of octal.
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.IntegerNode:
		return strings.TrimSpace(n.Token.Value), true
	case *ast.FloatNode:
		return strings.TrimSpace(n.Token.Value), true
	case *ast.StringNode:
		return n.Value, true
	}
	return "", false
}

// number decodes what ParseBytes reads.
func number[T ~uint64](d *decoder, into *T) func(ast.Node, string) {
	return func(n ast.Node, path string) {
		s, ok := scalar(n)
		if !ok {
			d.fail(n, path, "%v, got %s", devices.ErrQuantity, describe(n))
			return
		}
		v, err := devices.ParseBytes(s)
		if err != nil {
			d.fail(n, path, "%v", err)
			return
		}
		*into = T(v)
	}
}

// offset decodes what ParseOffset reads.
func (d *decoder) offset(into *devices.Offset) func(ast.Node, string) {
	return func(n ast.Node, path string) {
		s, ok := scalar(n)
		if !ok {
			d.fail(n, path, "%v, got %s", devices.ErrQuantity, describe(n))
			return
		}
		v, err := devices.ParseOffset(s)
		if err != nil {
			d.fail(n, path, "%v", err)
			return
		}
		*into = v
	}
}

func (d *decoder) count(into *uint32) func(ast.Node, string) {
	return func(n ast.Node, path string) {
		s, _ := scalar(n)
		v, err := strconv.ParseUint(s, 10, 32)
		if err != nil {
			d.fail(n, path, "expected a number from 0 to 4294967295, got %s", describe(n))
			return
		}
		*into = uint32(v)
	}
}

// enum decodes one of a list of words.
func enum[T ~string](d *decoder, into *T, known []T) func(ast.Node, string) {
	return func(n ast.Node, path string) {
		s, ok := d.text(n, path)
		if !ok {
			return
		}
		if !slices.Contains(known, T(s)) {
			d.fail(n, path, "%s is not one of %s", quote(s), oneOf(known))
			return
		}
		*into = T(s)
	}
}

func (d *decoder) pages(into *Pages) func(ast.Node, string) {
	return func(n ast.Node, path string) {
		s, _ := scalar(n)
		switch s {
		case "4K":
			*into = Pages4K
		case "2M":
			*into = Pages2M
		default:
			d.fail(n, path, "expected 4K or 2M, got %s", describe(n))
		}
	}
}

// mode reads octal digits whatever YAML takes the scalar for.
func (d *decoder) mode(into **Mode) func(ast.Node, string) {
	return func(n ast.Node, path string) {
		s, ok := scalar(n)
		v, err := strconv.ParseUint(strings.TrimPrefix(s, "0o"), 8, 32)
		if !ok || err != nil {
			d.fail(n, path, "expected permission bits as octal digits (0660), got %s", describe(n))
			return
		}
		m := Mode(v)
		*into = &m
	}
}

// owner reads UID, which YAML takes for a number, or what Heap.Owner says.
func (d *decoder) owner(into *string) func(ast.Node, string) {
	return func(n ast.Node, path string) {
		s, ok := scalar(n)
		if !ok {
			d.fail(n, path, "expected %s, got %s", ownerForms, describe(n))
			return
		}
		*into = s
	}
}
