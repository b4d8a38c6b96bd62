package trees

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"sort"
	"strconv"
	"strings"

	"github.com/heapfs/heapfs/devices/driver"
)

// candidates gives the paths of a blob's candidates as dtc's source text has them: enabled nodes with iommus, memory-region or a
// compatible string of a media device.
func candidates(ctx context.Context, file string) ([]string, error) {
	cmd := exec.CommandContext(ctx, "dtc", "-q", "-I", "dtb", "-O", "dts", file)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("dtc %s: %w: %s", file, err, stderr.String())
	}
	return readSource(string(out))
}

// media are the compatible strings of the table of drivers.
var media = func() map[string]bool {
	m := map[string]bool{}
	for _, k := range driver.Table() {
		m[k.Compatible] = true
	}
	return m
}()

// level is a node that is open.
type level struct {
	path             string
	off, masters, is bool // disabled; has iommus or memory-region; has a media compatible
}

// readSource reads what dtc prints, which has a node's start, a node's end or a property on each line.
func readSource(text string) ([]string, error) {
	var list []string
	var open []level
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasSuffix(line, "{"):
			name := strings.TrimSpace(strings.TrimSuffix(line, "{"))
			if i := strings.LastIndex(name, ": "); i >= 0 {
				name = name[i+2:]
			}
			next := level{path: "/" + name}
			if n := len(open); n == 0 {
				next.path = ""
			} else {
				next.path, next.off = open[n-1].path+next.path, open[n-1].off
			}
			open = append(open, next)
		case line == "};":
			if len(open) == 0 {
				return nil, fmt.Errorf("unbalanced %q", line)
			}
			top := open[len(open)-1]
			open = open[:len(open)-1]
			if len(open) > 0 && !top.off && (top.masters || top.is) {
				list = append(list, top.path)
			}
		case len(open) > 0 && line != "":
			property(&open[len(open)-1], line)
		}
	}
	sort.Strings(list)
	return list, nil
}

// property reads `name;` or `name = value;`. A node's properties come before its children, so that what a status turns off is known in
// time.
func property(n *level, line string) {
	name, value, _ := strings.Cut(strings.TrimSuffix(line, ";"), " = ")
	switch name {
	case "iommus", "memory-region":
		n.masters = true
	case "status":
		for _, s := range strs(value) {
			if s != "okay" && s != "ok" {
				n.off = true
			}
		}
	case "compatible":
		for _, s := range strs(value) {
			n.is = n.is || media[s]
		}
	}
}

// strs gives the strings of a value such as `"a", "b\0c"`.
func strs(value string) []string {
	var list []string
	for part := range strings.SplitSeq(value, ", ") {
		s, err := strconv.Unquote(strings.ReplaceAll(part, `\0`, `\x00`))
		if err != nil {
			continue
		}
		list = append(list, strings.Split(s, "\x00")...)
	}
	return list
}
