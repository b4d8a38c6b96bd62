package report

import (
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/template"

	"github.com/heapfs/heapfs/cmd/heaptest/judge"
)

//go:embed conformance.md.tmpl
var text string

// Report is what the document is made of.
type Report struct {
	Runs    []*judge.Run
	List    []judge.Deviation
	Sourced map[string]string
	What    map[string]string // what each row asks
	Order   []string          // the rows' IDs, in the order in which they are told
}

// Write writes the document.
func (r *Report) Write(w io.Writer) error {
	t, err := template.New("conformance").Funcs(template.FuncMap{
		"export": func(e judge.Export, letter string) string { return r.export(e, "", letter) },
		"only":   r.export,
		"calls":  func(e judge.Export) string { return r.calls(e, "") }, "callsOnly": r.calls,
		"count":   func(e judge.Export) int { return judge.Count(r.List, e) },
		"kernels": r.kernels, "runs": r.runs, "unlisted": r.unlisted, "rows": func() int { return len(r.Order) },
	}).Parse(text)
	if err != nil {
		return fmt.Errorf("template: %w", err)
	}
	return t.Execute(w, nil)
}

// table writes a table in Markdown.
type table struct{ strings.Builder }

func newTable(columns ...string) *table {
	t := &table{}
	t.row(columns...)
	t.row(slices.Repeat([]string{"---"}, len(columns))...)
	return t
}

func (t *table) row(cells ...string) {
	for i, c := range cells {
		if c == "---" {
			t.WriteString("|---")
			continue
		}
		if i == 0 {
			t.WriteString("|")
		}
		fmt.Fprintf(t, " %s |", c)
	}
	if cells[0] == "---" {
		t.WriteString("|")
	}
	t.WriteString("\n")
}

// cell makes text fit for a table: a bar would end the cell, in code as well.
func cell(s string) string { return strings.ReplaceAll(s, "|", "∣") }

// answer quotes an answer inside a table.
func answer(s string) string { return "`" + strings.ReplaceAll(cell(s), "`", "'") + "`" }

// what says what a row asks.
func (r *Report) what(id string) string { return cell(r.What[id]) }

// export writes the entries of an export whose IDs begin with a letter, but for those that hold in another export, too.
func (r *Report) export(e, but judge.Export, letter string) string {
	t := newTable("row", "a kernel", "heapfs", "what prevents parity", "test")
	for _, d := range r.List {
		if !strings.HasPrefix(d.ID, letter) || !slices.Contains(d.On, e) || slices.Contains(d.On, but) {
			continue
		}
		t.row(d.ID, d.Kernel, d.Here, d.Why, tests(&d, e))
	}
	return t.String()
}

// tests says where an entry is tried.
func tests(d *judge.Deviation, e judge.Export) string {
	var parts []string
	if rows := d.RowsOn(e); len(rows) > 0 {
		parts = append(parts, fmt.Sprintf("heaptest: %s", common(rows)))
	}
	if d.Test != "" {
		parts = append(parts, d.Test)
	}
	return strings.Join(parts, "; ")
}

// common names rows: each, or, if they are many, the first and how many more.
func common(rows []string) string {
	const most = 3
	quoted := make([]string, 0, most)
	for _, id := range rows[:min(most, len(rows))] {
		quoted = append(quoted, "`"+id+"`")
	}
	s := strings.Join(quoted, ", ")
	if more := len(rows) - most; more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}

// runs writes what the document was made from.
func (r *Report) runs() string {
	t := newTable("answers of", "Linux", "user", "`/dev/udmabuf`", "rows", "made by")
	for _, run := range r.Runs {
		user, dev := "user", "no"
		if run.Root {
			user = "root"
		}
		if run.Udmabuf {
			dev = "yes"
		}
		t.row(string(run.As), run.Kernel, user, dev, fmt.Sprint(len(run.Answers)), "`"+run.MadeBy+"`")
	}
	return t.String()
}
