package vm

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/heapfs/heapfs/integration/vm/wire"
)

// moduleName is a module's name as the kernel has it: file names and parameters may have hyphens.
func moduleName(name string) string { return strings.ReplaceAll(name, "-", "_") }

// moduleDepends reads the modules that a module needs from its .modinfo section (see modpost in the kernel's scripts/mod).
func moduleDepends(module io.ReaderAt) ([]string, error) {
	f, err := elf.NewFile(module)
	if err != nil {
		return nil, err
	}
	section := f.Section(".modinfo")
	if section == nil {
		return nil, errors.New("no .modinfo section")
	}
	data, err := section.Data()
	if err != nil {
		return nil, fmt.Errorf(".modinfo: %w", err)
	}
	var names []string
	for entry := range bytes.SplitSeq(data, []byte{0}) {
		if list, ok := strings.CutPrefix(string(entry), "depends="); ok && list != "" {
			for name := range strings.SplitSeq(list, ",") {
				names = append(names, moduleName(name))
			}
		}
	}
	return names, nil
}

// loader works out which modules to load for what is asked. It remembers what earlier steps have loaded.
type loader struct {
	image   Image
	depends map[string][]string
	loaded  []string
	files   map[string]string // guest path: host path
}

func (i Image) loader() (*loader, error) {
	depends, err := i.dependencies()
	if err != nil {
		return nil, err
	}
	return &loader{image: i, depends: depends, files: map[string]string{}}, nil
}

// load returns the modules to load for specs ("NAME PARAM=VALUE …"), in order. One that the image does not have is an error.
func (l *loader) load(specs []string) ([]wire.Module, error) {
	var jobs []wire.Module
	for _, spec := range specs {
		name, params, _ := strings.Cut(spec, " ")
		name = moduleName(name)
		if _, ok := l.depends[name]; !ok {
			return nil, fmt.Errorf("%w of Linux %s: it has no module %s", ErrPackage, l.image.Kernel.Version, name)
		}
		jobs = l.add(jobs, name, params)
	}
	return jobs, nil
}

func (l *loader) add(jobs []wire.Module, name, params string) []wire.Module {
	if slices.Contains(l.loaded, name) {
		return jobs
	}
	for _, other := range l.depends[name] {
		if _, ok := l.depends[other]; ok { // what is not there is built in
			jobs = l.add(jobs, other, "")
		}
	}
	guest := "/lib/modules/" + name + ".ko"
	l.loaded = append(l.loaded, name)
	l.files[guest] = filepath.Join(l.image.dir, "modules", name+".ko")
	return append(jobs, wire.Module{Path: guest, Params: params})
}

// dependencies reads modules/order.
func (i Image) dependencies() (map[string][]string, error) {
	data, err := os.ReadFile(filepath.Join(i.dir, "modules", "order"))
	if err != nil {
		return nil, fmt.Errorf("%w: %v (delete %s to make it anew)", ErrPackage, err, i.dir)
	}
	depends := map[string][]string{}
	for line := range strings.Lines(string(data)) {
		name, list, _ := strings.Cut(strings.TrimSpace(line), " ")
		depends[name] = strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
	}
	return depends, nil
}
