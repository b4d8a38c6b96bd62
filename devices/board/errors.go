package board

import (
	"fmt"
	"sort"
	"strings"
)

// Error is one thing wrong with a board, on one line.
type Error struct {
	// File as it was given to Parse; empty for a board made in Go.
	File string
	// Line and Column of the offending value, from 1; zero when unknown.
	Line, Column int
	// Path of the value in the file: "pools[1].kind"; empty for the whole.
	Path string
	// Msg says what is wrong and what was expected.
	Msg string
}

// Error gives FILE:LINE:COLUMN: PATH: MESSAGE without the unknown parts.
func (e *Error) Error() string {
	var s strings.Builder
	if e.File != "" {
		s.WriteString(e.File)
		if e.Line > 0 {
			fmt.Fprintf(&s, ":%d:%d", e.Line, e.Column)
		}
		s.WriteString(": ")
	}
	if e.Path != "" {
		s.WriteString(e.Path + ": ")
	}
	s.WriteString(e.Msg)
	return s.String()
}

// ErrorList is everything wrong with a board, in the order of the source.
type ErrorList []*Error

// Error gives one line for each error.
func (l ErrorList) Error() string {
	lines := make([]string, len(l))
	for i, e := range l {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As find the single errors.
func (l ErrorList) Unwrap() []error {
	errs := make([]error, len(l))
	for i, e := range l {
		errs[i] = e
	}
	return errs
}

// err sorts the list by position and gives nil for an empty one.
func (l ErrorList) err() error {
	if len(l) == 0 {
		return nil
	}
	sort.SliceStable(l, func(i, j int) bool {
		if l[i].Line != l[j].Line {
			return l[i].Line < l[j].Line
		}
		return l[i].Column < l[j].Column
	})
	return l
}

// quote shows a value of the file inside a message: on one line, and short
// enough to leave the message readable.
func quote(s string) string {
	const limit = 64
	if r := []rune(s); len(r) > limit {
		return fmt.Sprintf("%q…", string(r[:limit]))
	}
	return fmt.Sprintf("%q", s)
}

// oneOf lists the legal values for a message.
func oneOf[T ~string](values []T) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = string(v)
	}
	return strings.Join(texts, ", ")
}
