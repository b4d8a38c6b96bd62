package mutants

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// Env names the mutant as which a process of the program that Build makes behaves. Without it, it is heapfs without a defect.
const Env = "HEAPFS_MUTANT"

// switchFile is a file of the build alone: the package that the new texts ask.
const (
	switchFile = "internal/mutant/mutant.go"
	switchText = `package mutant

import "os"

var name = os.Getenv("` + Env + `")

func Is(n string) bool { return n == name }

func Or[T any](n string, with, without T) T {
	if Is(n) {
		return with
	}
	return without
}
`
)

var clause = regexp.MustCompile(`(?m)^package \w+$`)

// apply makes the texts of the files that the edits change, by their paths from the root.
func apply(edits []edit, root string) (map[string]string, error) {
	texts := map[string]string{}
	for _, e := range edits {
		text, ok := texts[e.file]
		if !ok {
			data, err := os.ReadFile(filepath.Join(root, e.file))
			if err != nil {
				return nil, err
			}
			text = string(data)
		}
		if n := strings.Count(text, e.old); n != 1 {
			return nil, fmt.Errorf("%s has %d times, not once: %q (update the table of mutants)", e.file, n, e.old)
		}
		texts[e.file] = strings.Replace(text, e.old, e.new, 1)
	}
	for file, text := range texts {
		if strings.Contains(text, "mutant.") {
			texts[file] = clause.ReplaceAllString(text, "$0\n\nimport \"github.com/heapfs/heapfs/internal/mutant\"")
		}
	}
	return texts, nil
}

// Build makes out, which is all mutants (see Env), from the checkout at root with the edits in place, by "go build -overlay": no file of
// the checkout is changed. dir is for files that the build reads.
func Build(root, dir, out string) error {
	texts, err := apply(edits, root)
	if err != nil {
		return err
	}
	texts[switchFile] = switchText
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for file, text := range texts {
		place := filepath.Join(dir, strings.ReplaceAll(file, "/", "-"))
		if err := os.WriteFile(place, []byte(text), 0o644); err != nil {
			return err
		}
		overlay.Replace[filepath.Join(root, file)] = place
	}
	data, err := json.Marshal(overlay)
	if err != nil {
		return err
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, data, 0o644); err != nil {
		return err
	}
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-overlay", list, "-o", out, "./cmd/heapfs")
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if said, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("the mutants do not compile: %w\n%s", err, said)
	}
	return nil
}
