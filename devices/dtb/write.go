package dtb

import (
	"fmt"
	"sort"
	"strings"
)

// Marshal writes a board file, with comments that say where each device comes from, what was left out, and what the tree leaves open.
// head are lines for the top of the file.
func (im *Imported) Marshal(head ...string) ([]byte, error) {
	return im.Board.MarshalWithComments(im.Comments(head...))
}

// Comments gives the comments of Marshal by the path of what they are about.
func (im *Imported) Comments(head ...string) map[string][]string {
	comments := map[string][]string{}
	top := append([]string(nil), head...)
	for _, n := range im.Notes {
		top = append(top, "Note: "+n+".")
	}
	top = append(top, im.skippedLines()...)
	if len(top) > 0 {
		comments["apiVersion"] = top
	}
	for i, o := range im.Origins {
		line := o.Node.Path() + ", " + o.Class
		if len(o.Aliases) > 0 {
			line += ", alias " + strings.Join(o.Aliases, ", ")
		}
		lines := []string{line, fmt.Sprintf("Driver knowledge: %s, %s.", o.Known.Import, o.Known.Source)}
		for _, n := range o.Notes {
			lines = append(lines, "Note: "+n+".")
		}
		comments[fmt.Sprintf("devices[%d].name", i)] = lines
	}
	return comments
}

// skippedLines lists what was left out, a line for each class.
func (im *Imported) skippedLines() []string {
	byClass := map[string][]string{}
	for _, s := range im.Skipped {
		byClass[s.Class] = append(byClass[s.Class], s.Name)
	}
	var lines []string
	for class, names := range byClass {
		lines = append(lines, fmt.Sprintf("Left out, %s: %s.", class, strings.Join(names, " ")))
	}
	sort.Strings(lines)
	return lines
}
