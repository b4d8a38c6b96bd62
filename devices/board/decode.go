package board

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxEntries bounds every list and mapping of a board file: the checks compare
// entries with each other.
const maxEntries = 1024

// maxDepth bounds nesting before the parser sees the file. The schema needs 5;
// the parser recurses and keeps a path for every node, so that a megabyte of
// brackets would cost it a stack and gigabytes.
const maxDepth = 64

// Parse reads a board file. file is its name for messages. The error is an
// ErrorList of all that is wrong, with line and column: first the form (syntax,
// keys, types), and when that is right, the meaning.
func Parse(file string, data []byte) (*Board, error) {
	d := &decoder{file: file, at: map[string]position{}}
	root, err := d.parse(data)
	if err != nil {
		return nil, ErrorList{err}
	}
	b := &Board{}
	d.board(root, b)
	if err := d.errs.err(); err != nil {
		return nil, err
	}
	c := checker{file: file, at: d.at}
	c.board(b)
	if err := c.errs.err(); err != nil {
		return nil, err
	}
	return b, nil
}

type position struct{ line, column int }

// decoder turns the syntax tree into a Board. It walks the tree itself, so
// that each message can name the path, the position and what was expected, and
// so that the positions are at hand when the meaning is checked.
type decoder struct {
	file string
	errs ErrorList
	at   map[string]position // path of a value or mapping → where it is
}

// parse gives the root of the only document.
func (d *decoder) parse(data []byte) (root ast.Node, failure *Error) {
	if len(data) > MaxFileSize {
		return nil, &Error{File: d.file, Msg: fmt.Sprintf("larger than %d bytes: a board file is a few kilobytes", MaxFileSize)}
	}
	// The parser reads files from strangers; should some input make it panic,
	// that is a file that cannot be read, not the end of the server.
	defer func() {
		if r := recover(); r != nil {
			root, failure = nil, &Error{File: d.file, Msg: "not readable as YAML"}
		}
	}()
	tokens := lexer.Tokenize(string(data))
	if tk := tooDeep(tokens); tk != nil {
		return nil, d.errorAt(tk, "", fmt.Sprintf("nested deeper than %d levels", maxDepth))
	}
	// Duplicate keys are left to mapping, which knows the path.
	f, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, d.syntaxError(err)
	}
	var docs []ast.Node
	for _, doc := range f.Docs {
		if doc.Body != nil {
			docs = append(docs, doc.Body)
		}
	}
	switch len(docs) {
	case 0:
		return nil, &Error{File: d.file, Line: 1, Column: 1, Msg: "empty: expected a board (apiVersion: " + APIVersion + ")"}
	case 1:
		return docs[0], nil
	default:
		return nil, d.errorAt(startOf(docs[1]), "", "second document: a file holds one board")
	}
}

// tooDeep gives the first token beyond maxDepth. Nesting by indentation alone
// is bounded as well: every level repeats its indent on a line of its own.
func tooDeep(tokens token.Tokens) *token.Token {
	flow, line, entries := 0, 0, 0
	for _, tk := range tokens {
		if tk.Position.Line != line {
			line, entries = tk.Position.Line, 0
		}
		switch tk.Type {
		case token.MappingStartType, token.SequenceStartType:
			flow++
		case token.MappingEndType, token.SequenceEndType:
			flow--
		case token.SequenceEntryType, token.MappingKeyType, token.MappingValueType, token.AnchorType, token.TagType:
			entries++
			if flow > 0 && tk.Type == token.MappingValueType {
				entries-- // pairs of a flow mapping stand side by side
			}
		}
		if flow > maxDepth || entries > maxDepth || tk.Position.Column > maxColumn {
			return tk
		}
	}
	return nil
}

// maxColumn bounds nesting by indentation.
const maxColumn = 4096

func (d *decoder) syntaxError(err error) *Error {
	var syntax *yaml.SyntaxError
	if !errors.As(err, &syntax) {
		return &Error{File: d.file, Msg: "not readable as YAML: " + oneLine(err.Error())}
	}
	return d.errorAt(syntax.GetToken(), "", oneLine(syntax.GetMessage()))
}

// oneLine keeps a library's message on one line, with the tab visible that it
// may complain about.
func oneLine(s string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(s, "\t", `\t`)), " ")
}

func (d *decoder) errorAt(tk *token.Token, path, msg string) *Error {
	e := &Error{File: d.file, Path: path, Msg: msg}
	if tk != nil && tk.Position != nil {
		e.Line, e.Column = tk.Position.Line, tk.Position.Column
	}
	return e
}

func (d *decoder) fail(n ast.Node, path, format string, args ...any) {
	d.errs = append(d.errs, d.errorAt(startOf(n), path, fmt.Sprintf(format, args...)))
}

// startOf gives the first token of a node; a mapping's own token is its first
// colon.
func startOf(n ast.Node) *token.Token {
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return startOf(n.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return startOf(n.Key)
	}
	return n.GetToken()
}

func (d *decoder) note(n ast.Node, path string) {
	if tk := startOf(n); tk != nil && tk.Position != nil {
		d.at[path] = position{tk.Position.Line, tk.Position.Column}
	}
}

// describe names what a node is, for "expected X, got Y".
func describe(n ast.Node) string {
	switch n := n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.NullNode:
		return "nothing"
	case *ast.AnchorNode:
		return "an anchor: write the value out"
	case *ast.AliasNode:
		return "an alias: write the value out"
	case *ast.TagNode:
		return "a tag"
	case *ast.StringNode:
		return "the string " + quote(n.Value)
	case *ast.LiteralNode:
		return "a text block"
	case ast.ScalarNode:
		return "the " + n.Type().YAMLName() + " " + quote(n.GetToken().Value)
	}
	return "a " + n.Type().YAMLName()
}

// field is one key of a mapping.
type field struct {
	key      string
	required bool
	decode   func(n ast.Node, path string)
}

// pairs gives the entries of a mapping, or false after reporting.
func (d *decoder) pairs(n ast.Node, path string) ([]*ast.MappingValueNode, bool) {
	var values []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		d.fail(n, path, "expected a mapping, got %s", describe(n))
		return nil, false
	}
	if len(values) > maxEntries {
		d.fail(values[maxEntries], path, "more than %d entries", maxEntries)
		return nil, false
	}
	return values, true
}

// keyOf gives the text of a key. Anything but a plain or quoted string is no
// key that a board file knows.
func (d *decoder) keyOf(v *ast.MappingValueNode) (string, bool) {
	s, ok := v.Key.(*ast.StringNode)
	if !ok {
		d.fail(v.Key, "", "expected a plain key, got %s", describe(v.Key))
		return "", false
	}
	return s.Value, true
}

// mapping decodes a mapping by its fields.
func (d *decoder) mapping(n ast.Node, path string, fields ...field) {
	values, ok := d.pairs(n, path)
	if !ok {
		return
	}
	d.note(n, path)
	seen := map[string]int{} // key → line
	for _, v := range values {
		key, ok := d.keyOf(v)
		if !ok {
			continue
		}
		f := find(fields, key)
		if f == nil {
			d.fail(v.Key, path, "unknown key %s: known keys are %s", quote(key), keys(fields))
			continue
		}
		if line, ok := seen[key]; ok {
			d.fail(v.Key, join(path, key), "given twice, first in line %d", line)
			continue
		}
		seen[key] = startOf(v.Key).Position.Line
		d.note(v.Value, join(path, key))
		f.decode(v.Value, join(path, key))
	}
	for _, f := range fields {
		if _, ok := seen[f.key]; f.required && !ok {
			d.fail(n, path, "missing key %q", f.key)
		}
	}
}

func find(fields []field, key string) *field {
	for i := range fields {
		if fields[i].key == key {
			return &fields[i]
		}
	}
	return nil
}

func keys(fields []field) string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.key
	}
	return strings.Join(names, ", ")
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
