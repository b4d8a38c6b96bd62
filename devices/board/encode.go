package board

import (
	"fmt"
	"regexp"
	"strconv"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/token"
)

// Marshal writes a board as a board file that Parse reads back to an equal
// board.
func (b *Board) Marshal() ([]byte, error) { return b.MarshalWithComments(nil) }

// MarshalWithComments writes a board as Marshal does, with comments before the
// values at the given paths, as errors name them ("devices[0]"; "apiVersion"
// for the head of the file). Each line becomes a comment line.
func (b *Board) MarshalWithComments(comments map[string][]string) ([]byte, error) {
	options := []yaml.EncodeOption{yaml.IndentSequence(true), yaml.CustomMarshaler(quoteYAML)}
	if len(comments) > 0 {
		byPath := yaml.CommentMap{}
		for path, lines := range comments {
			texts := make([]string, len(lines))
			for i, l := range lines {
				texts[i] = " " + Printable(l)
			}
			byPath["$."+path] = []*yaml.Comment{yaml.HeadComment(texts...)}
		}
		options = append(options, yaml.WithComment(byPath))
	}
	data, err := yaml.MarshalWithOptions(b, options...)
	if err != nil {
		return nil, fmt.Errorf("board %s: to YAML: %w", quote(b.Name), err)
	}
	return data, nil
}

// plain matches strings that no YAML reader takes for anything else, numbers
// and words such as null aside.
var plain = regexp.MustCompile(`^[A-Za-z0-9/][A-Za-z0-9_./@-]*$`)

// quoteYAML writes a string in double quotes unless it is safe without. The
// library's own rule misses a few (`.inf`, `? a`, a lone tab).
func quoteYAML(s string) ([]byte, error) {
	if plain.MatchString(s) && !token.IsNeedQuoted(s) && token.ToNumber(s) == nil {
		return []byte(s), nil
	}
	return []byte(strconv.Quote(s)), nil
}
