package mutants

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// apply makes the text of the mutant's files, by their paths from the root.
func (m Mutant) apply(root string) (map[string]string, error) {
	texts := map[string]string{}
	for _, e := range m.edits {
		text, ok := texts[e.file]
		if !ok {
			data, err := os.ReadFile(filepath.Join(root, e.file))
			if err != nil {
				return nil, err
			}
			text = string(data)
		}
		if n := strings.Count(text, e.old); n != 1 {
			return nil, fmt.Errorf("mutant %q: %s has %d times, not once: %q (update the table of mutants)", m.Name, e.file, n, e.old)
		}
		texts[e.file] = strings.Replace(text, e.old, e.new, 1)
	}
	return texts, nil
}

// Build makes out from the checkout at root with the mutant's texts in place.
func (m Mutant) Build(root, dir, out string) error {
	texts, err := m.apply(root)
	if err != nil {
		return err
	}
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for file, text := range texts {
		place := filepath.Join(dir, m.Name+"-"+filepath.Base(file))
		if err := os.WriteFile(place, []byte(text), 0o644); err != nil {
			return err
		}
		overlay.Replace[filepath.Join(root, file)] = place
	}
	data, err := json.Marshal(overlay)
	if err != nil {
		return err
	}
	list := filepath.Join(dir, m.Name+".json")
	if err := os.WriteFile(list, data, 0o644); err != nil {
		return err
	}
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-overlay", list, "-o", out, "./cmd/heapfs")
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if said, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("mutant %q does not compile: %w\n%s", m.Name, err, said)
	}
	return nil
}
